-- Threads, their event log and the searchable projection of messages.

-- name: insert
INSERT INTO threads (id, org_id, title, status, agent_id, origin, created_at)
VALUES (:id, :org_id, :title, 'active', :agent_id, :origin, :created_at);

-- name: find
SELECT * FROM threads WHERE org_id = :org_id AND id = :id;

-- name: page
-- Newest change first; a cursor is the head_offset of the last row seen.
SELECT * FROM threads
WHERE org_id = :org_id AND head_offset < :before AND status <> 'deleted'
  AND (:status = 'all' OR status = :status)
ORDER BY head_offset DESC LIMIT :limit;

-- name: advance
-- The head of the log and of the inbox, once per transaction and thread.
UPDATE threads SET head_seq = :head_seq, head_offset = :head_offset, head_kind = :head_kind, head_at = :head_at,
  head_preview = :head_preview, messages = messages + :said
WHERE id = :id;

-- name: change
UPDATE threads SET title = :title, agent_id = :agent_id, status = :status WHERE id = :id;

-- name: hand_over
UPDATE threads SET assignee = :assignee, agent_id = :agent_id WHERE id = :id;

-- name: bury
-- A deleted thread keeps its id and its place in the inbox, nothing else.
UPDATE threads SET status = 'deleted', title = '', head_offset = :head_offset, head_kind = 'thread.deleted',
  head_at = :at, head_preview = '', assignee = NULL
WHERE id = :id;

-- name: heads_after
SELECT id, head_seq, head_offset, head_kind, head_at, head_preview FROM threads
WHERE org_id = :org_id AND head_offset > :after ORDER BY head_offset LIMIT :limit;

-- name: insert_event
INSERT INTO events (log_offset, org_id, thread_id, seq, kind, at, actor, run_id, data)
VALUES (:log_offset, :org_id, :thread_id, :seq, :kind, :at, :actor, :run_id, :data);

-- name: events_after
SELECT seq, kind, at, actor, run_id, data FROM events
WHERE thread_id = :thread_id AND seq > :after ORDER BY seq LIMIT :limit;

-- name: events_before
SELECT seq, kind, at, actor, run_id, data FROM events
WHERE thread_id = :thread_id AND seq < :before ORDER BY seq DESC LIMIT :limit;

-- name: delete_events
DELETE FROM events WHERE thread_id = :thread_id;

-- name: insert_message
INSERT INTO messages (log_offset, org_id, id, thread_id, seq, role, text, run_id, created_at)
VALUES (:log_offset, :org_id, :id, :thread_id, :seq, :role, :text, :run_id, :created_at);

-- name: mark_from_outside
UPDATE messages SET from_outside = 1 WHERE thread_id = :thread_id AND seq = :seq;

-- name: has_from_outside
SELECT EXISTS (SELECT 1 FROM messages WHERE thread_id = :thread_id AND from_outside = 1);

-- name: index_message
INSERT INTO messages_text (rowid, text) VALUES (:log_offset, :text);

-- name: unindex_messages
INSERT INTO messages_text (messages_text, rowid, text)
SELECT 'delete', log_offset, text FROM messages WHERE thread_id = :thread_id;

-- name: delete_messages
DELETE FROM messages WHERE thread_id = :thread_id;

-- name: recent_messages
SELECT role, text, seq FROM messages
WHERE thread_id = :thread_id AND seq <= :upto AND deleted_at IS NULL ORDER BY seq DESC LIMIT :limit;

-- name: last_message
SELECT seq, text FROM messages WHERE thread_id = :thread_id AND deleted_at IS NULL ORDER BY seq DESC LIMIT 1;

-- name: last_from_people
SELECT id, seq FROM messages
WHERE thread_id = :thread_id AND role = 'user' AND deleted_at IS NULL ORDER BY seq DESC LIMIT 1;

-- name: find_message
SELECT * FROM messages WHERE thread_id = :thread_id AND seq = :seq;

-- name: answer_of_run
SELECT * FROM messages WHERE thread_id = :thread_id AND seq > :after AND run_id = :run_id AND role = 'assistant'
ORDER BY seq LIMIT 1;

-- name: rewrite_message
UPDATE messages SET text = :text, edited_at = :edited_at, deleted_at = :deleted_at WHERE log_offset = :log_offset;

-- name: unindex_message
-- With the text that was indexed: the index keeps none of its own.
INSERT INTO messages_text (messages_text, rowid, text) VALUES ('delete', :log_offset, :text);

-- name: event_at
SELECT kind, actor, data FROM events WHERE thread_id = :thread_id AND seq = :seq;

-- name: edits_of_message
SELECT seq FROM events
WHERE thread_id = :thread_id AND seq > :seq AND kind = 'message.updated'
  AND json_extract(data, '$.message.id') = :message_id ORDER BY seq;

-- name: redact_event
-- Its number, its time and who did it stay; what was said does not.
UPDATE events SET kind = 'redacted', data = '{}' WHERE thread_id = :thread_id AND seq = :seq;

-- name: untitle_event
UPDATE events SET data = json_set(data, '$.title', '') WHERE thread_id = :thread_id AND seq = :seq;

-- name: search
-- Newest first: ranking by relevance reads every match of a common word (DESIGN.md §4).
SELECT m.log_offset, m.id, m.thread_id, m.seq, m.created_at, t.title,
  snippet(messages_text, 0, '**', '**', '…', 24) AS snippet
FROM messages_text
JOIN messages m ON m.log_offset = messages_text.rowid
JOIN threads t ON t.id = m.thread_id
WHERE messages_text MATCH :query AND messages_text.rowid < :before AND m.org_id = :org_id
  AND (:thread_id IS NULL OR m.thread_id = :thread_id)
ORDER BY messages_text.rowid DESC LIMIT :limit;

-- name: link
INSERT INTO thread_links (org_id, channel, account, thread_key, thread_id)
VALUES (:org_id, :channel, :account, :thread_key, :thread_id)
ON CONFLICT (org_id, channel, account, thread_key) DO NOTHING;

-- name: linked_thread
SELECT thread_id FROM thread_links
WHERE org_id = :org_id AND channel = :channel AND account = :account AND thread_key = :thread_key;

-- name: remember_platform_message
INSERT INTO platform_messages (org_id, channel, account, room, ref, thread_id, message_id)
VALUES (:org_id, :channel, :account, :room, :ref, :thread_id, :message_id)
ON CONFLICT (org_id, channel, account, room, ref) DO NOTHING;

-- name: remember_said
-- A person's message: an edit or a deletion there finds ours by it.
INSERT INTO platform_messages (org_id, channel, account, room, ref, thread_id, message_id, message_seq)
VALUES (:org_id, :channel, :account, :room, :ref, :thread_id, :message_id, :message_seq)
ON CONFLICT (org_id, channel, account, room, ref) DO NOTHING;

-- name: said_on_platform
SELECT thread_id, message_seq FROM platform_messages
WHERE org_id = :org_id AND channel = :channel AND account = :account AND room = :room AND ref = :ref
  AND message_seq IS NOT NULL;

-- name: thread_of_platform_message
SELECT thread_id FROM platform_messages
WHERE org_id = :org_id AND channel = :channel AND account = :account AND room = :room AND ref = :ref;

-- name: ref_of_message
SELECT ref FROM platform_messages
WHERE message_id = :message_id AND channel = :channel AND account = :account AND room = :room LIMIT 1;

-- name: unlink
DELETE FROM thread_links WHERE thread_id = :thread_id;

-- name: forget_platform_messages
DELETE FROM platform_messages WHERE thread_id = :thread_id;
