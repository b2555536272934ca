"""The REST API: entities, saved filters, viewport snapshots, and the console's files."""
