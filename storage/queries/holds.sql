-- Legal holds.

-- name: insert
INSERT INTO legal_holds (id, org_id, kind, subject, reason, placed_by, placed_at)
VALUES (:id, :org_id, :kind, :subject, :reason, :placed_by, :now);

-- name: open
SELECT * FROM legal_holds WHERE org_id = :org_id AND released_at IS NULL ORDER BY id;

-- name: find_open
SELECT * FROM legal_holds
WHERE org_id = :org_id AND kind = :kind AND subject = :subject AND released_at IS NULL;

-- name: release
UPDATE legal_holds SET released_by = :released_by, released_at = :now WHERE id = :id AND released_at IS NULL;

-- name: of_thread
-- On the thread itself, or on somebody who did something in it.
SELECT h.id FROM legal_holds h
WHERE h.org_id = :org_id AND h.kind = 'thread' AND h.subject = :thread_id AND h.released_at IS NULL
UNION ALL
SELECT p.id FROM (
  SELECT h.id, h.subject AS actor_id FROM legal_holds h
  WHERE h.org_id = :org_id AND h.kind = 'person' AND h.released_at IS NULL
  UNION ALL
  SELECT h.id, l.channel || ':' || l.sender_id FROM legal_holds h
  JOIN chat_links l ON l.org_id = h.org_id AND l.user_id = h.subject
  WHERE h.org_id = :org_id AND h.kind = 'person' AND h.released_at IS NULL
) AS p
WHERE EXISTS (
  SELECT 1 FROM events e WHERE e.thread_id = :thread_id AND json_extract(e.actor, '$.id') = p.actor_id
)
LIMIT 1;

-- name: of_person
-- On one of these ids, or on the user that one of them is linked to.
SELECT h.id FROM legal_holds h JOIN json_each(:ids) AS wanted ON h.subject = wanted.value
WHERE h.org_id = :org_id AND h.kind = 'person' AND h.released_at IS NULL
UNION ALL
SELECT h.id FROM json_each(:ids) AS wanted
JOIN chat_links l ON l.org_id = :org_id AND l.channel || ':' || l.sender_id = wanted.value
JOIN legal_holds h ON h.org_id = l.org_id AND h.kind = 'person' AND h.subject = l.user_id AND h.released_at IS NULL
LIMIT 1;

-- name: is_any
SELECT 1 FROM legal_holds WHERE org_id = :org_id AND released_at IS NULL LIMIT 1;
