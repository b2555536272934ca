"""Slipway's CrossGuard pack: tri-state controls over one resource, or over the relations of a whole stack."""
