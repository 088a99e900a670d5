-- Budgets: counters, reservations, what rooms are to be told, switches of agents.

-- name: counter
SELECT * FROM budget_counters
WHERE org_id = :org_id AND budget = :budget AND counted = :counted AND span = :span;

-- name: count
INSERT INTO budget_counters (org_id, budget, counted, span, settled, reserved, resets_at)
VALUES (:org_id, :budget, :counted, :span, :settled, :reserved, :resets_at)
ON CONFLICT (org_id, budget, counted, span) DO UPDATE SET
  settled = budget_counters.settled + excluded.settled, reserved = budget_counters.reserved + excluded.reserved;

-- name: note_warned
UPDATE budget_counters SET warned_at = :now
WHERE org_id = :org_id AND budget = :budget AND counted = :counted AND span = :span AND warned_at IS NULL;

-- name: note_exceeded
UPDATE budget_counters SET exceeded_at = :now, warned_at = coalesce(warned_at, :now)
WHERE org_id = :org_id AND budget = :budget AND counted = :counted AND span = :span AND exceeded_at IS NULL;

-- name: reserve
INSERT INTO budget_reservations (run_id, step, org_id, budget, counted, span, amount)
VALUES (:run_id, :step, :org_id, :budget, :counted, :span, :amount);

-- name: reserved_by_step
SELECT * FROM budget_reservations WHERE run_id = :run_id AND step = :step;

-- name: reserved_by_run
SELECT * FROM budget_reservations WHERE run_id = :run_id;

-- name: release
DELETE FROM budget_reservations
WHERE run_id = :run_id AND step = :step AND budget = :budget AND counted = :counted;

-- name: leaked
-- Reservations of runs that are over, or gone with their thread.
SELECT b.* FROM budget_reservations b LEFT JOIN runs r ON r.id = b.run_id
WHERE r.id IS NULL OR r.ended_at IS NOT NULL;

-- name: sum_up
-- A counter's reservations are what its reservations sum up to; at start.
UPDATE budget_counters SET reserved = (
  SELECT coalesce(sum(b.amount), 0) FROM budget_reservations b
  WHERE b.org_id = budget_counters.org_id AND b.budget = budget_counters.budget
    AND b.counted = budget_counters.counted AND b.span = budget_counters.span)
WHERE reserved <> 0;

-- name: states
SELECT * FROM budget_counters WHERE org_id = :org_id AND (resets_at > :now OR span = '')
ORDER BY settled + reserved DESC, budget, counted LIMIT :limit;

-- name: forget
DELETE FROM budget_counters WHERE (org_id, budget, counted, span) IN (
  SELECT org_id, budget, counted, span FROM budget_counters WHERE resets_at < :before AND reserved = 0 LIMIT :limit);

-- name: insert_notice
INSERT INTO budget_notices (org_id, thread_id, text) VALUES (:org_id, :thread_id, :text);

-- name: notices
SELECT * FROM budget_notices ORDER BY number LIMIT :limit;

-- name: delete_notice
DELETE FROM budget_notices WHERE number = :number;

-- name: switched_off
SELECT * FROM agent_switches WHERE org_id = :org_id AND agent_id IN (:agent_id, '*') ORDER BY agent_id LIMIT 1;

-- name: switches
SELECT * FROM agent_switches ORDER BY at;

-- name: switches_of
SELECT * FROM agent_switches WHERE org_id = :org_id ORDER BY agent_id;

-- name: switch_off
INSERT INTO agent_switches (org_id, agent_id, by_actor, reason, at)
VALUES (:org_id, :agent_id, :by_actor, :reason, :at)
ON CONFLICT (org_id, agent_id) DO UPDATE SET by_actor = excluded.by_actor, reason = excluded.reason, at = excluded.at;

-- name: switch_on
DELETE FROM agent_switches WHERE org_id = :org_id AND (agent_id = :agent_id OR :agent_id = '*');

-- name: unfinished
SELECT * FROM runs WHERE org_id = :org_id AND state IN ('queued', 'running', 'waiting')
  AND (agent_id = :agent_id OR :agent_id = '*')
ORDER BY queued_at, id LIMIT :limit;
