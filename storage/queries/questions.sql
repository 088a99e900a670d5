-- Questions of runs to people.

-- name: insert
INSERT INTO questions (id, org_id, run_id, thread_id, number, key, prompt, state, created_at, expires_at)
VALUES (:id, :org_id, :run_id, :thread_id, :number, :key, :prompt, 'open', :now, :expires_at);

-- name: last_number
SELECT coalesce(max(number), 0) FROM questions WHERE run_id = :run_id;

-- name: of_run
SELECT * FROM questions WHERE run_id = :run_id ORDER BY number;

-- name: oldest_open
SELECT * FROM questions WHERE run_id = :run_id AND state = 'open' ORDER BY number LIMIT 1;

-- name: overdue
SELECT * FROM questions WHERE state = 'open' AND expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: settle
UPDATE questions SET state = :state, answer = :answer, answered_by = :answered_by, settled_at = :now
WHERE id = :id AND state = 'open';

-- name: cancel_of_run
UPDATE questions SET state = 'cancelled', settled_at = :now WHERE run_id = :run_id AND state = 'open';

-- name: delete_of_thread
DELETE FROM questions WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id);
