"""Entities: what moves on the map, who may see it, and each change with its version."""
