-- Runs and their usage. Their journal is in `journal.sql`.

-- name: insert
INSERT INTO runs (id, org_id, thread_id, agent_id, state, queue_key, message_id, message_seq, retry_of,
  requested_by, room, token_id, queued_at)
VALUES (:id, :org_id, :thread_id, :agent_id, 'queued', :queue_key, :message_id, :message_seq, :retry_of,
  :requested_by, :room, :token_id, :queued_at);

-- name: find
SELECT * FROM runs WHERE org_id = :org_id AND id = :id;

-- name: page
SELECT * FROM runs
WHERE org_id = :org_id AND id < :before AND (:state IS NULL OR state = :state)
ORDER BY id DESC LIMIT :limit;

-- name: page_of_thread
SELECT * FROM runs
WHERE org_id = :org_id AND thread_id = :thread_id AND id < :before AND (:state IS NULL OR state = :state)
ORDER BY id DESC LIMIT :limit;

-- name: unfinished
-- What a thread still has to do, in the order it will.
SELECT * FROM runs WHERE thread_id = :thread_id AND state IN ('queued', 'running', 'waiting')
ORDER BY state = 'queued', queue_key;

-- name: count_unfinished
SELECT (SELECT count(*) FROM runs WHERE thread_id = :thread_id AND state = 'queued')
  + (SELECT count(*) FROM runs WHERE thread_id = :thread_id AND state IN ('running', 'waiting'));

-- name: active
SELECT * FROM runs WHERE thread_id = :thread_id AND state IN ('running', 'waiting');

-- name: next_queued
SELECT * FROM runs WHERE thread_id = :thread_id AND state = 'queued' ORDER BY queue_key LIMIT 1;

-- name: queued_for_message
SELECT * FROM runs WHERE thread_id = :thread_id AND state = 'queued' AND message_id = :message_id ORDER BY queue_key;

-- name: threads_with_queued
SELECT DISTINCT thread_id FROM runs WHERE state = 'queued' LIMIT :limit;

-- name: start
UPDATE runs SET state = 'running', attempt = attempt + 1, started_at = coalesce(started_at, :now),
  lease_owner = :owner, lease_until = :lease_until, fence = fence + 1, agent_version = :agent_version,
  refusal = :refusal
WHERE id = :id;

-- name: take_over
UPDATE runs SET attempt = attempt + 1, lease_owner = :owner, lease_until = :lease_until, fence = fence + 1
WHERE id = :id;

-- name: finish
UPDATE runs SET state = :state, ended_at = :now, error = :error, journal_hash = :journal_hash,
  waiting_for = NULL, lease_owner = NULL, lease_until = NULL, fence = fence + 1
WHERE id = :id;

-- name: renew_leases
UPDATE runs SET lease_until = :lease_until WHERE lease_owner = :owner AND state IN ('running', 'waiting');

-- name: running
-- The states are said twice: first in the words of the index runs_one_active.
SELECT * FROM runs
WHERE state IN ('running', 'waiting') AND state = 'running' AND lease_owner = :owner LIMIT :limit;

-- name: abandoned
-- Runs whose owner is not alive: of another boot (the data directory is ours alone), or with a lease run out.
-- The states are said twice: first in the words of the index runs_one_active.
SELECT * FROM runs
WHERE state IN ('running', 'waiting') AND state = 'running' AND (lease_owner <> :owner OR lease_until < :now)
ORDER BY queued_at, id;

-- name: count_by_state
SELECT state, count(*) AS runs FROM runs GROUP BY state;

-- name: insert_usage
INSERT INTO usage (org_id, run_id, step, agent_id, model, input_tokens, output_tokens, cost_microusd, at)
VALUES (:org_id, :run_id, :step, :agent_id, :model, :input_tokens, :output_tokens, :cost_microusd, :at);

-- name: set_usage
UPDATE runs SET usage = :usage WHERE id = :id;

-- name: note
UPDATE runs SET facts = :facts WHERE id = :id;

-- name: park
-- A waiting run has no owner; the fence keeps its last one from writing.
UPDATE runs SET state = :state, waiting_for = :waiting_for, lease_owner = NULL, lease_until = NULL, fence = fence + 1
WHERE id = :id;

-- name: resume
UPDATE runs SET state = :state, waiting_for = NULL, lease_owner = :owner, lease_until = :lease_until,
  fence = fence + 1
WHERE id = :id;

-- name: still_waits
-- Whether anything is open of what a run asked for.
SELECT EXISTS (SELECT 1 FROM approvals a WHERE a.run_id = :run_id AND a.run_id IS NOT NULL AND a.state = 'pending')
  OR EXISTS (SELECT 1 FROM questions q WHERE q.run_id = :run_id AND q.state = 'open');

-- name: resumable
-- The states are said twice: first in the words of the index runs_one_active.
SELECT * FROM runs
WHERE state IN ('running', 'waiting') AND state = 'waiting'
  AND NOT EXISTS (
    SELECT 1 FROM approvals a WHERE a.run_id = runs.id AND a.run_id IS NOT NULL AND a.state = 'pending'
  )
  AND NOT EXISTS (SELECT 1 FROM questions q WHERE q.run_id = runs.id AND q.state = 'open')
LIMIT :limit;

-- name: oldest_unfinished
SELECT * FROM runs WHERE org_id = :org_id AND state IN ('queued', 'running', 'waiting')
ORDER BY queued_at, id LIMIT :limit;

-- name: ahead_of
-- Unfinished runs before a queued one.
SELECT (SELECT count(*) FROM runs WHERE thread_id = :thread_id AND state = 'queued' AND queue_key < :queue_key)
  + (SELECT count(*) FROM runs WHERE thread_id = :thread_id AND state IN ('running', 'waiting'));
