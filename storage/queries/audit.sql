-- The audit log: appended to, read, never changed.

-- name: last
SELECT seq, hash FROM audit_entries ORDER BY seq DESC LIMIT 1;

-- name: append
INSERT INTO audit_entries (seq, org_id, at, action, body, hash)
VALUES (:seq, :org_id, :at, :action, :body, :hash);

-- name: page
SELECT seq, at, action, body, hash FROM audit_entries
WHERE org_id = :org_id AND seq > :after AND (:action IS NULL OR action = :action)
ORDER BY seq LIMIT :limit;
