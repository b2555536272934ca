"""Least privilege from both sides: what a role may do against what its service was seen to do."""
