-- name: in_box
-- Live entities in one box that a user may see. The box finds them in the index, BETWEEN makes the edges exact
-- (geometric operators have a tolerance). Attributes come as text: most are sent on without being read.
SELECT id, kind, lat, lon, heading, attributes::text, access_rule, access_owner, access_group, version,
       (extract(epoch FROM changed_at) * 1000)::bigint
FROM entities
WHERE deleted_at IS NULL
  AND point(lon, lat) <@ box(point(%(west)s, %(south)s), point(%(east)s, %(north)s))
  AND lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s
  AND (access_rule = 'public' OR access_owner = %(user)s OR %(everything)s
       OR (access_rule = 'group' AND access_group = ANY (%(groups)s::text[])))
  AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s::text[]))
  AND kind <> ALL (%(without)s::text[])
LIMIT %(most)s

-- name: filters_of
-- The filters a user names, of their own only.
SELECT id, name, kinds, conditions FROM filters WHERE owner = %(owner)s AND id = ANY (%(ids)s::text[])
