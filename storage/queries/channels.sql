-- The inbox of channels (what was delivered to us) and the outbox (what we owe them).

-- name: insert_delivery
INSERT INTO inbox (org_id, channel, account, delivery_id, outcome, reason, sender_id, thread_id, message_id, received_at)
VALUES (:org_id, :channel, :account, :delivery_id, :outcome, :reason, :sender_id, NULL, NULL, :received_at)
ON CONFLICT (org_id, channel, account, delivery_id) DO NOTHING;

-- name: accept_delivery
UPDATE inbox SET outcome = 'accepted', thread_id = :thread_id, message_id = :message_id
WHERE org_id = :org_id AND channel = :channel AND account = :account AND delivery_id = :delivery_id;

-- name: answer_delivery
UPDATE inbox SET says = :says
WHERE org_id = :org_id AND channel = :channel AND account = :account AND delivery_id = :delivery_id;

-- name: refuse_delivery
UPDATE inbox SET outcome = :outcome, reason = :reason, says = :says
WHERE org_id = :org_id AND channel = :channel AND account = :account AND delivery_id = :delivery_id;

-- name: hinted_since
SELECT 1 FROM inbox
WHERE org_id = :org_id AND channel = :channel AND account = :account AND sender_id = :sender_id
  AND outcome = 'hinted' AND received_at > :since LIMIT 1;

-- name: cursors
SELECT scope, cursor, updated_at FROM cursors WHERE org_id = :org_id AND channel = :channel AND account = :account;

-- name: set_cursor
INSERT INTO cursors (org_id, channel, account, scope, cursor, updated_at)
VALUES (:org_id, :channel, :account, :scope, :cursor, :now)
ON CONFLICT (org_id, channel, account, scope) DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at;

-- name: insert_gap
INSERT INTO channel_gaps (org_id, channel, account, since, until, reason, noticed_at)
VALUES (:org_id, :channel, :account, :since, :until, :reason, :now)
ON CONFLICT (org_id, channel, account, since) DO NOTHING;

-- name: verdict
SELECT outcome, says FROM inbox
WHERE org_id = :org_id AND channel = :channel AND account = :account AND delivery_id = :delivery_id;

-- name: insert_outbound
INSERT INTO outbox (id, org_id, channel, account, room, topic, thread_id, run_id, part, phase, content, attempt,
  recipient, approval_id, sending_since, created_at, updated_at)
VALUES (:id, :org_id, :channel, :account, :room, :topic, :thread_id, :run_id, :part, :phase, :content, :attempt,
  :recipient, :approval_id, :sending_since, :now, :now);

-- name: find_outbound
SELECT * FROM outbox WHERE id = :id;

-- name: live_outbound
-- The message that shows a run's answer while it is written.
SELECT * FROM outbox WHERE run_id = :run_id AND part = 1 AND phase NOT IN ('sent', 'failed') AND content IS NULL;

-- name: pass_live_on
-- The repetition of a run goes on in the message that the room sees already.
UPDATE outbox SET run_id = :next_run_id, updated_at = :now
WHERE run_id = :run_id AND part = 1 AND phase NOT IN ('sent', 'failed') AND content IS NULL;

-- name: update_outbound
UPDATE outbox SET phase = :phase, ref = :ref, attempt = :attempt, uncertain = :uncertain,
  next_attempt_at = :next_attempt_at, last_error = :last_error, sending_since = :sending_since, updated_at = :now
WHERE id = :id;

-- name: point_outbound
-- A delivery that changes a message which stands on the platform already.
UPDATE outbox SET ref = :ref WHERE id = :id;

-- name: write_outbound
UPDATE outbox SET content = :content, updated_at = :now WHERE id = :id;

-- name: next_in_room
-- The oldest delivery of a room that is not over; later ones wait behind it. Unwritten answers do not block, and
-- what waits for an operator does not either.
-- "Not over" is said in the words of the index outbox_pending, else the whole history of the room is read.
SELECT * FROM outbox
WHERE channel = :channel AND account = :account AND room = :room
  AND phase NOT IN ('sent', 'failed') AND phase IN ('idle', 'unknown') AND content IS NOT NULL
ORDER BY created_at, run_id, part, id LIMIT 1;

-- name: pending_rooms
SELECT DISTINCT channel, account, room FROM outbox
WHERE phase NOT IN ('sent', 'failed') AND phase IN ('idle', 'unknown') AND content IS NOT NULL;

-- name: doubt_interrupted_sends
-- After a crash nobody knows whether a send that was in flight arrived.
UPDATE outbox SET phase = 'unknown', updated_at = :now WHERE phase NOT IN ('sent', 'failed') AND phase = 'sending';

-- name: counts
-- From small partial indexes: what was sent is never read.
SELECT channel, account, phase, count(*) AS rows_found FROM outbox
WHERE phase NOT IN ('sent', 'failed') GROUP BY channel, account, phase
UNION ALL
SELECT channel, account, 'failed', count(*) FROM outbox
WHERE phase IN ('failed', 'held') AND phase = 'failed' AND content IS NOT NULL GROUP BY channel, account
UNION ALL
SELECT channel, account, 'uncertain', sum(uncertain) FROM outbox WHERE uncertain > 0 GROUP BY channel, account;

-- name: page
SELECT * FROM outbox
WHERE org_id = :org_id AND id < :before AND (:phase IS NULL OR phase = :phase)
  AND (:channel IS NULL OR channel = :channel AND account = :account)
ORDER BY id DESC LIMIT :limit;

-- name: page_of_dead
-- The phases are said twice: first in the words of the index outbox_failed.
SELECT * FROM outbox
WHERE phase IN ('failed', 'held') AND content IS NOT NULL AND org_id = :org_id AND phase = :phase AND id < :before
  AND (:channel IS NULL OR channel = :channel AND account = :account)
ORDER BY id DESC LIMIT :limit;

-- name: page_of_owed
-- The phases are said twice: first in the words of the index outbox_pending.
SELECT * FROM outbox
WHERE phase NOT IN ('sent', 'failed') AND org_id = :org_id AND phase = :phase AND id < :before
  AND (:channel IS NULL OR channel = :channel AND account = :account)
ORDER BY id DESC LIMIT :limit;

-- name: page_of_thread
-- What a thread owes comes from its runs, and those are found without reading the whole outbox.
SELECT * FROM outbox
WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id) AND org_id = :org_id AND id < :before
  AND (:phase IS NULL OR phase = :phase) AND (:channel IS NULL OR channel = :channel AND account = :account)
ORDER BY id DESC LIMIT :limit;

-- name: latest_gaps
-- The newest gap of each account; a primary key keeps them in order.
SELECT gap.channel, gap.account, gap.since, gap.until, gap.reason FROM channel_gaps AS gap
WHERE gap.org_id = :org_id AND gap.since = (SELECT max(other.since) FROM channel_gaps AS other
  WHERE other.org_id = gap.org_id AND other.channel = gap.channel AND other.account = gap.account);

-- name: abandon_thread
UPDATE outbox SET phase = 'failed', content = NULL, last_error = 'the thread was deleted', updated_at = :now
WHERE thread_id = :thread_id AND phase NOT IN ('sent', 'failed');

-- name: erase_thread
-- What a thread owes comes from its runs, and those are found without reading the whole outbox.
UPDATE outbox SET content = NULL WHERE run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id);

-- name: erase_cards
-- Cards of its approvals in other rooms, and what was edited into them.
UPDATE outbox SET content = NULL
WHERE phase IN ('sent', 'failed') AND thread_id IS NULL AND ref IS NOT NULL AND (channel, account, room, ref) IN (
  SELECT o.channel, o.account, o.room, o.ref FROM outbox o JOIN approvals a ON a.id = o.approval_id
  WHERE a.run_id IN (SELECT id FROM runs WHERE thread_id = :thread_id));
