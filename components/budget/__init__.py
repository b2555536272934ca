"""The monthly budget and its notifications."""
