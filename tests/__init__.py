"""What each part promises, shown."""
