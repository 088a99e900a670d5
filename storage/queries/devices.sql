-- Devices, and the pairings they ask for.

-- name: find
SELECT * FROM devices WHERE org_id = :org_id AND id = :id;

-- name: known
-- A key is its own name everywhere: the organization is that of the device's record.
SELECT * FROM devices WHERE id = :id;

-- name: named
SELECT * FROM devices WHERE org_id = :org_id AND name = :name AND state = 'active';

-- name: page
SELECT * FROM devices
WHERE +org_id = :org_id AND number < :before AND (:state IS NULL OR +state = :state)
ORDER BY number DESC LIMIT :limit;

-- name: insert
INSERT INTO devices (id, org_id, name, public_key, client, platform, scopes, commands, state, approved_by, created_at,
  last_seen_at)
VALUES (:id, :org_id, :name, :public_key, :client, :platform, :scopes, :commands, 'active', :approved_by, :now,
  :last_seen_at);

-- name: grant
UPDATE devices SET scopes = :scopes WHERE id = :id;

-- name: rename
UPDATE devices SET name = :name WHERE id = :id;

-- name: revoke
UPDATE devices SET state = 'revoked', revoked_at = :now WHERE id = :id;

-- name: replace
UPDATE devices SET state = 'replaced', revoked_at = :now, replaced_by = :successor WHERE id = :id;

-- name: declare
UPDATE devices SET commands = :commands, client = :client, platform = :platform WHERE id = :id;

-- name: seen
UPDATE devices SET last_seen_at = :now WHERE id = :id;

-- name: pairing_pending
SELECT * FROM pairings WHERE device_id = :device_id AND state = 'pending' AND expires_at > :now;

-- name: pairing_rejected
SELECT max(decided_at) FROM pairings WHERE device_id = :device_id AND state = 'rejected' AND decided_at > :since;

-- name: pairings_pending
SELECT address FROM pairings
WHERE org_id = :org_id AND state = 'pending' AND expires_at > :now AND kind = 'device';

-- name: supersede
UPDATE pairings SET state = 'expired' WHERE device_id = :device_id AND state = 'pending';

-- name: forget_expired
DELETE FROM pairings WHERE device_id = :device_id AND state = 'expired';

-- name: insert_pairing
INSERT INTO pairings (id, org_id, kind, device_id, public_key, name, platform, address, commands, scopes, code_hash,
  state, created_at, expires_at)
VALUES (:id, :org_id, 'device', :device_id, :public_key, :name, :platform, :address, :commands, :scopes, :code_hash,
  'pending', :now, :expires_at);

-- name: recode
UPDATE pairings SET code_hash = :code_hash WHERE id = :id;
