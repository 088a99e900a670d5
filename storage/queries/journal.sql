-- The journal of runs: steps by key, and what was said to a run while it was running.

-- name: insert
INSERT INTO journal_steps (org_id, run_id, step, key, kind, name, request, request_hash, repeatable, attempt, outcome,
  result, opened_at, closed_at)
VALUES (:org_id, :run_id, :step, :key, :kind, :name, :request, :request_hash, :repeatable, :attempt, :outcome,
  :result, :now, :closed_at);

-- name: last_number
SELECT coalesce(max(step), 0) FROM journal_steps WHERE run_id = :run_id;

-- name: find
SELECT * FROM journal_steps WHERE run_id = :run_id AND step = :step;

-- name: by_key
SELECT s.*, u.input_tokens, u.output_tokens, u.cost_microusd
FROM journal_steps s LEFT JOIN usage u ON u.run_id = s.run_id AND u.step = s.step
WHERE s.run_id = :run_id AND s.key = :key;

-- name: of_run
SELECT s.*, u.input_tokens, u.output_tokens, u.cost_microusd
FROM journal_steps s LEFT JOIN usage u ON u.run_id = s.run_id AND u.step = s.step
WHERE s.run_id = :run_id ORDER BY s.step;

-- name: open_of_run
SELECT key, name, opened_at FROM journal_steps
WHERE run_id = :run_id AND outcome IS NULL AND kind <> 'reply' ORDER BY step;

-- name: begin_again
-- What a person allowed is used up by it.
UPDATE journal_steps SET attempt = :attempt,
  repeats = repeats + CASE WHEN repeatable = 2 THEN 1 ELSE 0 END,
  repeatable = CASE WHEN repeatable = 2 THEN 0 ELSE repeatable END
WHERE run_id = :run_id AND key = :key;

-- name: allow_repeat
UPDATE journal_steps SET repeatable = 2 WHERE run_id = :run_id AND key = :key AND outcome IS NULL;

-- name: close
UPDATE journal_steps SET outcome = :outcome, result = :result, closed_at = :now WHERE run_id = :run_id AND key = :key;

-- name: checkpoint
UPDATE journal_steps SET partial = :partial WHERE run_id = :run_id AND step = :step AND closed_at IS NULL;

-- name: close_reply
UPDATE journal_steps SET partial = NULL, outcome = 'ok', result = :result, closed_at = :now
WHERE run_id = :run_id AND step = :step;

-- name: cut_off
-- What a run that ended leaves open: nobody will find out how it ended.
UPDATE journal_steps SET outcome = 'unknown', closed_at = :now WHERE run_id = :run_id AND outcome IS NULL;

-- name: delete_of_thread
DELETE FROM journal_steps WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id);

-- name: insert_steer
INSERT INTO steers (message_id, org_id, run_id, thread_id, message_seq, own_run_id, said_by, token_id,
  created_at)
VALUES (:message_id, :org_id, :run_id, :thread_id, :message_seq, :own_run_id, :said_by, :token_id, :now);

-- name: waiting_steers
-- In the words they have now: a message may have been edited meanwhile.
SELECT s.*, m.text FROM steers s JOIN messages m ON m.thread_id = s.thread_id AND m.seq = s.message_seq
WHERE s.run_id = :run_id AND s.taken_step IS NULL ORDER BY s.message_seq;

-- name: take_steers
UPDATE steers SET taken_step = :step WHERE run_id = :run_id AND taken_step IS NULL;

-- name: forget_steer
DELETE FROM steers WHERE message_id = :message_id AND taken_step IS NULL;

-- name: delete_steers
DELETE FROM steers WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id);
