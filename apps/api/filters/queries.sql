-- name: all_of
-- A user's filters; they are few (see MAX_FILTERS).
SELECT id, name, kinds, conditions FROM filters WHERE owner = %(owner)s ORDER BY name, id

-- name: read
-- One of the user's filters.
SELECT id, name, kinds, conditions FROM filters WHERE id = %(id)s AND owner = %(owner)s

-- name: create
-- A new filter, unless the user has as many as allowed (no row then). Two at once may pass the count by one.
INSERT INTO filters (id, owner, name, kinds, conditions)
SELECT %(id)s, %(owner)s, %(name)s, %(kinds)s, %(conditions)s
WHERE (SELECT count(*) FROM filters WHERE owner = %(owner)s) < %(most)s
RETURNING id, name, kinds, conditions

-- name: replace
-- A filter's new content.
UPDATE filters SET name = %(name)s, kinds = %(kinds)s, conditions = %(conditions)s, changed_at = clock_timestamp()
WHERE id = %(id)s AND owner = %(owner)s
RETURNING id, name, kinds, conditions

-- name: remove
-- A filter no more.
DELETE FROM filters WHERE id = %(id)s AND owner = %(owner)s RETURNING id, name, kinds, conditions
