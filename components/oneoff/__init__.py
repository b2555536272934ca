"""A task that runs once per deployment and must succeed before services roll: migrations."""
