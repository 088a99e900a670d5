-- The store itself, organizations, principals, tokens, and the answers kept for idempotency keys.

-- name: store
SELECT * FROM store WHERE id = 1;

-- name: position
-- The newest head of each organization is one step in threads_by_head; the newest of all would be a scan.
SELECT coalesce(max(head), 0) FROM (
  SELECT (SELECT max(head_offset) FROM threads WHERE org_id = o.id) AS head FROM organizations o
) AS heads;

-- name: insert_store
INSERT INTO store (id, epoch, audit_log_id, created_at) VALUES (1, :epoch, :audit_log_id, :now);

-- name: insert_organization
INSERT INTO organizations (id, name, created_at) VALUES (:id, :name, :now);

-- name: insert_token
INSERT INTO tokens (id, org_id, principal_id, name, role, secret_hash, created_at, expires_at, agent_id,
  networks, requests_per_s, rotated_from)
VALUES (:id, :org_id, :principal_id, :name, :role, :secret_hash, :now, :expires_at, :agent_id,
  :networks, :requests_per_s, :rotated_from);

-- name: find_token
SELECT * FROM tokens WHERE org_id = :org_id AND id = :id;

-- name: token_by_secret
SELECT t.*, p.kind AS principal_kind, p.name AS principal_name, p.role AS principal_role, p.disabled_at
FROM tokens t JOIN principals p ON p.id = t.principal_id
WHERE t.secret_hash = :secret_hash;

-- name: page_tokens
SELECT * FROM tokens WHERE org_id = :org_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: revoke_token
UPDATE tokens SET revoked_at = :now WHERE org_id = :org_id AND id = :id;

-- name: shorten_token
UPDATE tokens SET expires_at = :expires_at
WHERE org_id = :org_id AND id = :id AND (expires_at IS NULL OR expires_at > :expires_at);

-- name: note_used
UPDATE tokens SET last_used_at = :used_at
WHERE id = :id AND (last_used_at IS NULL OR last_used_at < :used_at);

-- name: stored_answer
SELECT params_hash, result FROM idempotency WHERE claim = :claim;

-- name: store_answer
INSERT INTO idempotency (org_id, claim, params_hash, result, created_at)
VALUES (:org_id, :claim, :params_hash, :result, :now);

-- name: oldest_answers
SELECT number, created_at FROM idempotency ORDER BY number LIMIT :limit;

-- name: forget_answers
-- Numbers follow time only as long as nobody sets the clock back.
DELETE FROM idempotency WHERE number <= :upto AND created_at < :before;
