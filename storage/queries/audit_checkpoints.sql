-- The tree over the audit log's entries, and its checkpoints.

-- name: head
SELECT audit_log_id, audit_epoch, audit_tree_size, coalesce((SELECT max(seq) FROM audit_entries), 0) AS size
FROM store WHERE id = 1;

-- name: leaves
SELECT hash FROM audit_entries WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: leaf
SELECT hash FROM audit_entries WHERE seq = :seq;

-- name: node
SELECT hash FROM audit_nodes WHERE level = :level AND at = :at;

-- name: insert_node
INSERT INTO audit_nodes (level, at, hash) VALUES (:level, :at, :hash);

-- name: set_tree_size
UPDATE store SET audit_tree_size = :size WHERE id = 1;

-- name: entry
SELECT body FROM audit_entries WHERE seq = :seq AND org_id = :org_id;

-- name: latest
SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1;

-- name: insert
INSERT INTO audit_checkpoints (size, root, note, created_at) VALUES (:size, :root, :note, :now);

-- name: begin_epoch
UPDATE store SET epoch = :store_epoch, audit_epoch = :epoch, audit_tree_size = 0 WHERE id = 1;

-- name: drop_nodes
DELETE FROM audit_nodes;
