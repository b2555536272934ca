"""Clients of the realtime tier: Python here, JavaScript in `js/`; both do what the shared scenarios say."""
