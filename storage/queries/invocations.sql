-- What devices were told to do.

-- name: find
SELECT * FROM device_invocations WHERE org_id = :org_id AND id = :id;

-- name: claimed
SELECT * FROM device_invocations WHERE claim = :claim;

-- name: insert
INSERT INTO device_invocations (id, org_id, device_id, claim, request_hash, command, params, requested_by, state,
  created_at, deadline_at)
VALUES (:id, :org_id, :device_id, :claim, :request_hash, :command, :params, :requested_by, 'requested', :now,
  :deadline_at);

-- name: send
UPDATE device_invocations SET state = 'sent' WHERE id = :id AND state IN ('requested', 'sent');

-- name: extend
UPDATE device_invocations SET deadline_at = :deadline_at WHERE id = :id AND deadline_at < :deadline_at;

-- name: settle
-- The first outcome stands; only `unknown` gives way when the device remembers after all.
UPDATE device_invocations
SET state = :state, result = :result, error_kind = :error_kind, error_message = :error_message, ended_at = :now
WHERE id = :id AND state IN ('requested', 'sent', 'unknown');

-- name: of_device
-- What the device may still know of.
SELECT * FROM device_invocations
WHERE device_id = :device_id AND created_at > :since AND state IN ('sent', 'unknown')
ORDER BY created_at LIMIT :limit;

-- name: overdue
SELECT * FROM device_invocations
WHERE deadline_at < :now AND state IN ('requested', 'sent') ORDER BY deadline_at LIMIT :limit;

-- name: forget
DELETE FROM device_invocations WHERE id IN (
  SELECT id FROM device_invocations WHERE ended_at < :before ORDER BY ended_at LIMIT :limit
);
