"""Saved filters of a user."""
