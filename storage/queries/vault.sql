-- Small secrets that channel accounts were given at run time. What is stored is sealed by the caller.

-- name: get
SELECT sealed FROM vault WHERE org_id = :org_id AND channel = :channel AND account = :account AND key = :key;

-- name: put
INSERT INTO vault (org_id, channel, account, key, sealed, updated_at)
VALUES (:org_id, :channel, :account, :key, :sealed, :now)
ON CONFLICT (org_id, channel, account, key) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at;

-- name: delete
DELETE FROM vault WHERE org_id = :org_id AND channel = :channel AND account = :account AND key = :key;

-- name: keys
SELECT key FROM vault WHERE org_id = :org_id AND channel = :channel AND account = :account ORDER BY key;
