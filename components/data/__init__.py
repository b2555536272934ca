"""What the stack keeps: PostgreSQL, Valkey, buckets, secrets, and the key that encrypts them."""
