-- Saved filters of a user (the token's subject).
CREATE TABLE filters (
    id         text PRIMARY KEY,
    owner      text NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    kinds      text[] NOT NULL DEFAULT '{}',
    conditions jsonb NOT NULL DEFAULT '[]'::jsonb CHECK (jsonb_typeof(conditions) = 'array'),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX filters_owner ON filters (owner, id);
