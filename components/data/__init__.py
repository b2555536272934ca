"""What the stack keeps: PostgreSQL, Valkey, buckets and secrets, isolated and encrypted."""
