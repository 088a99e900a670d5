-- The audit log on its way out: exports, sinks, anchors.

-- name: lines
SELECT seq, org_id, at, body, hash FROM audit_entries WHERE seq > :after AND seq <= :last ORDER BY seq LIMIT :limit;

-- name: notes
SELECT note, size FROM audit_checkpoints WHERE size > :after AND size <= :last ORDER BY size LIMIT :limit;

-- name: positions
SELECT name, position FROM audit_sinks;

-- name: advance
INSERT INTO audit_sinks (name, position, confirmed_at) VALUES (:name, :position, :now)
ON CONFLICT (name) DO UPDATE SET position = excluded.position, confirmed_at = excluded.confirmed_at;
