"""Messages to users and channels."""
