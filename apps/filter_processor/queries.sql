-- name: every
-- All live entities, for a processor that knows nothing yet; and what was deleted lately, since a message of
-- before the deletion that comes late (a relay that sends again) must not bring the entity back.
SELECT id, version, kind, lat, lon, (extract(epoch FROM changed_at) * 1000)::bigint, heading, attributes,
       access_rule, access_owner, access_group, deleted_at IS NOT NULL
FROM entities
WHERE deleted_at IS NULL OR deleted_at > now() - make_interval(secs => %(deleted_within)s)

-- name: since
-- What changed after a moment, deletions too, for a processor that lost its place in the stream.
SELECT id, version, kind, lat, lon, (extract(epoch FROM changed_at) * 1000)::bigint, heading, attributes,
       access_rule, access_owner, access_group, deleted_at IS NOT NULL
FROM entities
WHERE changed_at >= to_timestamp(%(since)s)
ORDER BY changed_at
