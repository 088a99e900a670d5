-- Approvals: what agents ask people to decide.

-- name: insert
INSERT INTO approvals (id, org_id, kind, run_id, thread_id, subject_hash, request, state, created_at, expires_at,
  requested_by, settle_id, key)
VALUES (:id, :org_id, 'action', :run_id, :thread_id, :subject_hash, :request, 'pending', :created_at, :expires_at,
  :requested_by, :settle_id, :key);

-- name: find
SELECT * FROM approvals WHERE org_id = :org_id AND id = :id;

-- name: page
SELECT * FROM approvals
WHERE org_id = :org_id AND id < :before AND (:state IS NULL OR state = :state)
  AND (:thread_id IS NULL OR thread_id = :thread_id)
ORDER BY id DESC LIMIT :limit;

-- name: settle
-- The condition is the whole race: whoever changes the row first has decided.
UPDATE approvals SET state = :state, decided_by = :decided_by, reason = :reason, decided_at = :now, settled = :settled
WHERE id = :id AND state = 'pending';

-- name: of_run
SELECT * FROM approvals WHERE run_id = :run_id AND run_id IS NOT NULL ORDER BY created_at, id;

-- name: pending_of_run
SELECT * FROM approvals WHERE run_id = :run_id AND run_id IS NOT NULL AND state = 'pending';

-- name: overdue
SELECT * FROM approvals WHERE state = 'pending' AND expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: card
SELECT * FROM outbox WHERE approval_id = :approval_id AND id <> :settle_id;
