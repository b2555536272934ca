"""Figures of the realtime path."""
