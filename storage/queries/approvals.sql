-- Approvals: what agents ask people to decide.

-- name: insert
INSERT INTO approvals (id, org_id, kind, run_id, thread_id, subject_hash, request, state, created_at, expires_at,
  requested_by, settle_id)
VALUES (:id, :org_id, 'action', :run_id, :thread_id, :subject_hash, :request, 'pending', :created_at, :expires_at,
  :requested_by, :settle_id);

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

-- name: park_run
-- A waiting run has no owner; the fence keeps its last one from writing.
UPDATE runs SET state = :state, lease_owner = NULL, lease_until = NULL, fence = fence + 1 WHERE id = :id;

-- name: resume_run
UPDATE runs SET state = :state, lease_owner = :owner, lease_until = :lease_until, fence = fence + 1 WHERE id = :id;

-- name: resumable
-- The states are said twice: first in the words of the index runs_one_active.
SELECT * FROM runs
WHERE state IN ('running', 'waiting') AND state = 'waiting'
  AND NOT EXISTS (
    SELECT 1 FROM approvals a WHERE a.run_id = runs.id AND a.run_id IS NOT NULL AND a.state = 'pending'
  )
LIMIT :limit;
