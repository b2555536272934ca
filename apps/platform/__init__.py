"""The leaf kit every app stands on; it imports no app."""
