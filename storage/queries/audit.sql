-- The audit log: appended to, read, never changed.

-- name: last
SELECT seq, hash FROM audit_entries ORDER BY seq DESC LIMIT 1;

-- name: append
INSERT INTO audit_entries (seq, org_id, at, action, body, hash)
VALUES (:seq, :org_id, :at, :action, :body, :hash);

-- name: page
-- coalesce() keeps the organization out of the choice of index: its own is in the order of actions, and every page
-- would sort the whole log.
SELECT seq, at, action, body, hash FROM audit_entries
WHERE seq > :after AND coalesce(org_id, '') = :org_id
ORDER BY seq LIMIT :limit;

-- name: page_of_action
SELECT seq, at, action, body, hash FROM audit_entries
WHERE org_id = :org_id AND action = :action AND seq > :after
ORDER BY seq LIMIT :limit;
