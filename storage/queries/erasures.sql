-- The erasure of a person. `ids` is a JSON list of the ids under which they act, `quoted` the same as they stand in JSON.

-- name: secure
-- What is deleted is overwritten with zeros from here on.
PRAGMA secure_delete = ON;

-- name: at_ease
PRAGMA secure_delete = OFF;

-- name: user
SELECT id FROM principals WHERE org_id = :org_id AND id = :id;

-- name: links_of_user
SELECT channel, sender_id FROM chat_links WHERE org_id = :org_id AND user_id = :user_id;

-- name: last_place
SELECT coalesce(max(log_offset), 0) FROM events;

-- name: threads_with
SELECT thread_id FROM events
WHERE log_offset > :after AND log_offset <= :upto AND org_id = :org_id
  AND EXISTS (SELECT 1 FROM json_each(:quoted) q WHERE instr(actor, q.value) OR instr(data, q.value));

-- name: wrote_in
SELECT 1 FROM messages m JOIN events e ON e.thread_id = m.thread_id AND e.seq = m.seq
WHERE m.thread_id = :thread_id AND m.role = 'user'
  AND json_extract(e.actor, '$.id') IN (SELECT value FROM json_each(:ids)) LIMIT 1;

-- name: others_wrote_in
SELECT 1 FROM messages m JOIN events e ON e.thread_id = m.thread_id AND e.seq = m.seq
WHERE m.thread_id = :thread_id AND m.role = 'user'
  AND json_extract(e.actor, '$.id') NOT IN (SELECT value FROM json_each(:ids)) LIMIT 1;

-- name: count_messages
SELECT count(*) FROM messages m JOIN events e ON e.thread_id = m.thread_id AND e.seq = m.seq
WHERE m.thread_id = :thread_id AND m.role = 'user' AND m.deleted_at IS NULL
  AND json_extract(e.actor, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: count_all_messages
SELECT count(*) FROM messages WHERE thread_id = :thread_id AND deleted_at IS NULL;

-- name: count_files
SELECT count(*) FROM blobs b JOIN messages m ON m.thread_id = b.thread_id AND m.id = b.message_id
JOIN events e ON e.thread_id = m.thread_id AND e.seq = m.seq
WHERE b.thread_id = :thread_id AND b.thread_id IS NOT NULL
  AND json_extract(e.actor, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: count_all_files
SELECT count(*) FROM blobs WHERE thread_id = :thread_id AND thread_id IS NOT NULL;

-- name: live_messages
SELECT m.* FROM messages m JOIN events e ON e.thread_id = m.thread_id AND e.seq = m.seq
WHERE m.thread_id = :thread_id AND m.role = 'user' AND m.deleted_at IS NULL
  AND json_extract(e.actor, '$.id') IN (SELECT value FROM json_each(:ids))
ORDER BY m.seq LIMIT :limit;

-- name: traces_in
SELECT log_offset, kind, actor, data FROM events
WHERE thread_id = :thread_id
  AND EXISTS (SELECT 1 FROM json_each(:quoted) q WHERE instr(actor, q.value) OR instr(data, q.value))
ORDER BY seq LIMIT :limit;

-- name: rewrite_event
UPDATE events SET actor = :actor, data = :data WHERE log_offset = :log_offset;

-- name: untitle
UPDATE threads SET title = '' WHERE id = :thread_id AND title = :title;

-- name: unlink_messages
-- Which message of a chat network ours were.
DELETE FROM platform_messages
WHERE message_id IN (SELECT id FROM messages WHERE thread_id = :thread_id AND deleted_at IS NOT NULL);

-- name: forget_journals
-- What agents worked with in a thread holds what was said there.
DELETE FROM journal_steps
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id AND ended_at IS NOT NULL);

-- name: rename_runs
UPDATE runs SET requested_by = :pseudonym, token_id = ''
WHERE thread_id = :thread_id AND requested_by IN (SELECT value FROM json_each(:ids));

-- name: forget_room_of_runs
-- A direct chat may be called like the person.
UPDATE runs SET room = '' WHERE thread_id = :thread_id AND room IN (SELECT value FROM json_each(:ids));

-- name: empty_approvals_of_thread
UPDATE approvals SET request = json_set(request, '$.title', 'erased', '$.body', ''), subject = 'null', edited = NULL,
  argument_schema = NULL, reason = NULL
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id);

-- name: empty_votes_of_thread
UPDATE approval_votes SET reason = NULL
WHERE approval_id IN (
  SELECT a.id FROM approvals a WHERE a.run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id)
);

-- name: empty_approvals
UPDATE approvals SET request = json_set(request, '$.title', 'erased', '$.body', ''), subject = 'null', edited = NULL,
  argument_schema = NULL, requested_by = :pseudonym
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id)
  AND requested_by IN (SELECT value FROM json_each(:ids)) AND state <> 'pending';

-- name: empty_answers
UPDATE questions SET answered_by = json_set(answered_by, '$.id', :pseudonym, '$.name', 'erased'), answer = ''
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id)
  AND json_extract(answered_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: forget_steers
DELETE FROM steers
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id) AND taken_step IS NOT NULL
  AND json_extract(said_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_assignee
UPDATE threads SET assignee = json_set(assignee, '$.id', :pseudonym, '$.name', 'erased')
WHERE id = :thread_id AND json_extract(assignee, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: empty_deliveries
-- What only they were shown.
UPDATE outbox SET recipient = NULL, content = NULL
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id) AND phase IN ('sent', 'failed')
  AND channel || ':' || recipient IN (SELECT value FROM json_each(:ids));

-- name: blank_origin
UPDATE threads SET origin = json_object('kind', json_extract(origin, '$.kind')) WHERE id = :thread_id;

-- name: forget_standing
DELETE FROM people WHERE org_id = :org_id AND channel || ':' || sender_id IN (SELECT value FROM json_each(:ids));

-- name: forget_pairings
DELETE FROM pairings WHERE org_id = :org_id AND channel || ':' || sender_id IN (SELECT value FROM json_each(:ids));

-- name: rename_deciders
UPDATE approvals SET decided_by = json_set(decided_by, '$.id', :pseudonym, '$.name', 'erased'), reason = NULL
WHERE org_id = :org_id AND json_extract(decided_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_requesters
UPDATE approvals SET requested_by = :pseudonym
WHERE org_id = :org_id AND requested_by IN (SELECT value FROM json_each(:ids));

-- name: rename_voters
UPDATE OR REPLACE approval_votes SET actor = json_set(actor, '$.id', :pseudonym, '$.name', 'erased'), reason = NULL,
  principal_id = :pseudonym
WHERE (principal_id IN (SELECT value FROM json_each(:ids))
  OR json_extract(actor, '$.id') IN (SELECT value FROM json_each(:ids)))
  AND org_id = :org_id;

-- name: rename_grants
UPDATE approval_grants SET granted_by = json_set(granted_by, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(granted_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_revokers
UPDATE approval_grants SET revoked_by = json_set(revoked_by, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(revoked_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_releases
UPDATE agent_releases SET approved_by = json_set(approved_by, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(approved_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_switches
UPDATE agent_switches SET by_actor = json_set(by_actor, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(by_actor, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_devices
UPDATE devices SET approved_by = :pseudonym
WHERE org_id = :org_id AND approved_by IN (SELECT value FROM json_each(:ids));

-- name: rename_invocations
UPDATE device_invocations SET requested_by = :pseudonym
WHERE org_id = :org_id AND requested_by IN (SELECT value FROM json_each(:ids));

-- name: rename_operators
UPDATE people SET decided_by = :pseudonym
WHERE org_id = :org_id AND decided_by IN (SELECT value FROM json_each(:ids));

-- name: rename_holders
UPDATE legal_holds SET placed_by = json_set(placed_by, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(placed_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_releasers
UPDATE legal_holds SET released_by = json_set(released_by, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(released_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: rename_erasers
UPDATE erasures SET requested_by = json_set(requested_by, '$.id', :pseudonym, '$.name', 'erased')
WHERE org_id = :org_id AND json_extract(requested_by, '$.id') IN (SELECT value FROM json_each(:ids));

-- name: forget_counters
DELETE FROM budget_counters WHERE org_id = :org_id AND counted IN (SELECT value FROM json_each(:ids));

-- name: forget_reservations
DELETE FROM budget_reservations WHERE org_id = :org_id AND counted IN (SELECT value FROM json_each(:ids));

-- name: rename_usage
-- The numbers stay, added up where there are two lines now. A direct chat may be called like the person.
INSERT INTO usage_daily (org_id, day, agent_id, model, person, room, token_id, runs, input_tokens, output_tokens,
  cost_microusd)
SELECT org_id, day, agent_id, model, :pseudonym, '', '', sum(runs), sum(input_tokens), sum(output_tokens),
  sum(cost_microusd)
FROM usage_daily WHERE org_id = :org_id
  AND (person IN (SELECT value FROM json_each(:ids)) OR room IN (SELECT value FROM json_each(:ids)))
GROUP BY org_id, day, agent_id, model
ON CONFLICT (org_id, day, agent_id, model, person, room, token_id) DO UPDATE SET
  runs = runs + excluded.runs, input_tokens = input_tokens + excluded.input_tokens,
  output_tokens = output_tokens + excluded.output_tokens, cost_microusd = cost_microusd + excluded.cost_microusd;

-- name: forget_usage
DELETE FROM usage_daily WHERE org_id = :org_id
  AND (person IN (SELECT value FROM json_each(:ids)) OR room IN (SELECT value FROM json_each(:ids)));

-- name: forget_links
DELETE FROM chat_links
WHERE org_id = :org_id AND (channel || ':' || sender_id IN (SELECT value FROM json_each(:ids))
  OR user_id IN (SELECT value FROM json_each(:ids)));

-- name: forget_link_codes
DELETE FROM link_codes
WHERE org_id = :org_id AND (channel || ':' || sender_id IN (SELECT value FROM json_each(:ids))
  OR user_id IN (SELECT value FROM json_each(:ids)));

-- name: tokens_of
SELECT id FROM tokens
WHERE org_id = :org_id AND principal_id IN (SELECT value FROM json_each(:ids)) AND revoked_at IS NULL;

-- name: revoke_tokens
UPDATE tokens SET name = 'erased', networks = '', revoked_at = coalesce(revoked_at, :now)
WHERE org_id = :org_id AND principal_id IN (SELECT value FROM json_each(:ids));

-- name: empty_user
-- The row stays, as its id means nobody without it, and tokens refer to it.
UPDATE principals SET name = 'erased', disabled_at = coalesce(disabled_at, :now)
WHERE org_id = :org_id AND id IN (SELECT value FROM json_each(:ids));

-- name: last_rows
-- The newest places of what is gone through row by row.
SELECT max(
  coalesce((SELECT max(rowid) FROM inbox), 0),
  coalesce((SELECT max(rowid) FROM outbox), 0),
  coalesce((SELECT max(number) FROM idempotency), 0)
);

-- name: forget_deliveries
UPDATE inbox SET sender_id = NULL, says = NULL
WHERE rowid > :after AND rowid <= :upto AND org_id = :org_id
  AND channel || ':' || sender_id IN (SELECT value FROM json_each(:ids));

-- name: forget_notices
-- What they were shown besides a thread's messages, and where a thread was that is gone as a whole.
UPDATE outbox SET recipient = NULL, content = NULL, room = :pseudonym
WHERE rowid > :after AND rowid <= :upto AND +org_id = :org_id AND phase IN ('sent', 'failed')
  AND room NOT LIKE 'erased:%'
  AND (thread_id IS NULL AND channel || ':' || recipient IN (SELECT value FROM json_each(:ids))
    OR EXISTS (SELECT 1 FROM threads t WHERE t.id = outbox.thread_id AND json_extract(t.origin, '$.room') IS NULL));

-- name: forget_stored_answers
DELETE FROM idempotency
WHERE number > :after AND number <= :upto AND org_id = :org_id
  AND EXISTS (SELECT 1 FROM json_each(:quoted) q WHERE instr(result, q.value));

-- name: insert
INSERT INTO erasures (id, org_id, subject, reason, requested_by, counts, begun_at)
VALUES (:id, :org_id, :subject, :reason, :requested_by, :counts, :now);

-- name: find
SELECT * FROM erasures WHERE id = :id;

-- name: going
SELECT * FROM erasures WHERE done_at IS NULL ORDER BY begun_at;

-- name: count
UPDATE erasures SET counts = :counts WHERE id = :id;

-- name: finish
UPDATE erasures SET subject = :pseudonym, certificate = :certificate, done_at = :now WHERE id = :id;

-- name: rename_holds
-- A hold that was released says no more whom it was about.
UPDATE legal_holds SET subject = :pseudonym
WHERE org_id = :org_id AND kind = 'person' AND released_at IS NOT NULL
  AND subject IN (SELECT value FROM json_each(:ids));

-- name: merge_all
-- The search index keeps deleted words until its segments are written anew.
INSERT INTO messages_text (messages_text, rank) VALUES ('merge', -500);

-- name: merge_more
INSERT INTO messages_text (messages_text, rank) VALUES ('merge', 500);

-- name: changes
SELECT total_changes();
