-- Entities: one row per id for ever. A deletion is a tombstone, so that a version never restarts.
CREATE TABLE entities (
    id           text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
    kind         text NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    lat          double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon          double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    heading      double precision CHECK (heading >= 0 AND heading < 360),
    attributes   jsonb NOT NULL DEFAULT '{}'::jsonb CHECK (jsonb_typeof(attributes) = 'object'),
    access_rule  text NOT NULL DEFAULT 'public' CHECK (access_rule IN ('public', 'group', 'owner')),
    access_owner text NOT NULL,
    access_group text NOT NULL DEFAULT '',
    version      bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at   timestamptz,
    CHECK (access_rule <> 'group' OR access_group <> '')
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- A viewport is a box: the index answers "which live entities are inside" without reading the others.
CREATE INDEX entities_position ON entities USING gist (point(lon, lat)) WHERE deleted_at IS NULL;

-- A processor that lost its place in the stream reads what changed since a time.
CREATE INDEX entities_changed_at ON entities (changed_at);
