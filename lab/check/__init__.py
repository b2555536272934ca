"""Judges a stack's preview-mode graph by the policy pack, through pulumi-policy's own analyzer."""
