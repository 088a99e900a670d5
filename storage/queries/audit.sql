-- The audit log: appended to, read, never changed.

-- name: last
SELECT s.audit_log_id, s.audit_epoch, e.seq, e.hash, e.at FROM store s
LEFT JOIN audit_entries e ON e.seq = (SELECT max(seq) FROM audit_entries)
WHERE s.id = 1;

-- name: append
INSERT INTO audit_entries (seq, org_id, at, action, body, hash)
VALUES (:seq, :org_id, :at, :action, :body, :hash);

-- name: page
-- coalesce() keeps the organization out of the choice of an index: a page is a walk in the order of the log.
SELECT seq, at, action, body, hash FROM audit_entries
WHERE seq > :after AND coalesce(org_id, '') = :org_id
ORDER BY seq LIMIT :limit;
