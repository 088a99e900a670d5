-- The audit log as a whole, for verifying it offline: every row, in order.

-- name: log
SELECT audit_log_id FROM store WHERE id = 1;

-- name: entries
SELECT seq, org_id, at, action, CAST(body AS BLOB), CAST(hash AS BLOB) FROM audit_entries ORDER BY seq;

-- name: checkpoints
SELECT size, root, note FROM audit_checkpoints ORDER BY size;

-- name: contents
SELECT c.seq, c.org_id, c.sealed, k.wrapped, e.body FROM audit_content c
JOIN audit_keys k ON k.id = c.key_id
LEFT JOIN audit_entries e ON e.seq = c.seq
ORDER BY c.seq;

-- name: addresses
SELECT a.commitment, a.org_id, a.sealed, k.wrapped, k.subject FROM audit_addresses a
CROSS JOIN audit_keys k ON k.id = a.key_id;
