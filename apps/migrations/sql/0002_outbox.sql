-- Changes on their way to Redis: written with the change, deleted by the relay once Redis has them.
-- destination is `stream:<name>` (XADD) or `channel:<name>` (PUBLISH).
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination text NOT NULL CHECK (destination ~ '^(stream|channel):.'),
    payload     bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (
    -- rows live for milliseconds: vacuum by count, or the table grows with its own dead rows
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000
);
