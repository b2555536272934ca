"""The stack's definition: Pulumi.<stack>.yaml as typed data, its errors, and its JSON Schema."""
