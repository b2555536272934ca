"""What the lab promises, shown."""
