-- name: create
-- A new entity, or a deleted one again: its version goes on from the tombstone's. No row: the id is taken.
INSERT INTO entities AS e (id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group)
VALUES (%(id)s, %(kind)s, %(lat)s, %(lon)s, %(heading)s, %(attributes)s,
        %(access_rule)s, %(access_owner)s, %(access_group)s)
ON CONFLICT (id) DO UPDATE SET
    kind = excluded.kind, lat = excluded.lat, lon = excluded.lon, heading = excluded.heading,
    attributes = excluded.attributes, access_rule = excluded.access_rule,
    access_owner = excluded.access_owner, access_group = excluded.access_group,
    version = e.version + 1, changed_at = clock_timestamp(), deleted_at = NULL
WHERE e.deleted_at IS NOT NULL
RETURNING id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
          (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at

-- name: read
-- One live entity; whether the caller may see it is decided on the row.
SELECT id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
       (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at
FROM entities WHERE id = %(id)s AND deleted_at IS NULL

-- name: read_for_change
-- The same, and nobody else changes it until this transaction ends: versions rise one by one.
SELECT id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
       (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at
FROM entities WHERE id = %(id)s AND deleted_at IS NULL FOR UPDATE

-- name: change
-- Store a changed entity under the next version.
UPDATE entities SET
    lat = %(lat)s, lon = %(lon)s, heading = %(heading)s, attributes = %(attributes)s,
    access_rule = %(access_rule)s, access_group = %(access_group)s,
    version = version + 1, changed_at = clock_timestamp()
WHERE id = %(id)s AND deleted_at IS NULL
RETURNING id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
          (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at

-- name: remove
-- Leave a tombstone, so that the version lives on.
UPDATE entities SET version = version + 1, changed_at = clock_timestamp(), deleted_at = clock_timestamp()
WHERE id = %(id)s AND deleted_at IS NULL
RETURNING id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
          (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at

-- name: upsert_many
-- A bulk in one statement, rows locked in the order of their ids (two bulks can't deadlock). What somebody
-- else owns comes back as no row; attributes and access that are NULL keep what is stored.
INSERT INTO entities AS e (id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group)
SELECT i.id, i.kind, i.lat, i.lon, i.heading, coalesce(i.attributes, '{}'::jsonb),
       coalesce(i.access_rule, 'public'), %(owner)s, coalesce(i.access_group, '')
FROM unnest(%(ids)s::text[], %(kinds)s::text[], %(lats)s::float8[], %(lons)s::float8[],
            %(headings)s::float8[], %(attributes)s::jsonb[], %(access_rules)s::text[],
            %(access_groups)s::text[])
     AS i (id, kind, lat, lon, heading, attributes, access_rule, access_group)
ORDER BY i.id
ON CONFLICT (id) DO UPDATE SET
    kind = excluded.kind, lat = excluded.lat, lon = excluded.lon, heading = excluded.heading,
    attributes = CASE WHEN e.deleted_at IS NULL AND e.id = ANY (%(keep_attributes)s::text[])
                      THEN e.attributes ELSE excluded.attributes END,
    access_rule = CASE WHEN e.deleted_at IS NULL AND e.id = ANY (%(keep_access)s::text[])
                       THEN e.access_rule ELSE excluded.access_rule END,
    access_group = CASE WHEN e.deleted_at IS NULL AND e.id = ANY (%(keep_access)s::text[])
                        THEN e.access_group ELSE excluded.access_group END,
    access_owner = CASE WHEN e.deleted_at IS NULL THEN e.access_owner ELSE excluded.access_owner END,
    version = e.version + 1, changed_at = clock_timestamp(), deleted_at = NULL
WHERE e.access_owner = %(owner)s OR e.deleted_at IS NOT NULL OR %(admin)s
RETURNING id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
          (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at

-- name: in_box
-- Live entities in one box that the caller may see. The box finds them in the index, BETWEEN makes the edges
-- exact (geometric operators have a tolerance).
SELECT id, kind, lat, lon, heading, attributes, access_rule, access_owner, access_group, version,
       (extract(epoch FROM changed_at) * 1000)::bigint AS changed_at
FROM entities
WHERE deleted_at IS NULL
  AND point(lon, lat) <@ box(point(%(west)s, %(south)s), point(%(east)s, %(north)s))
  AND lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s
  AND (access_rule = 'public' OR access_owner = %(user)s OR %(admin)s
       OR (access_rule = 'group' AND access_group = ANY (%(groups)s::text[])))
  AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s::text[]))
LIMIT %(limit)s
