"""Messages between apps: typed, versioned, with the names of the streams and channels they travel on."""
