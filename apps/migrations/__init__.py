"""The one-off task that brings the database's schema and the app's role up to date."""
