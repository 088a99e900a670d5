-- Attachments. The bytes are files; see storage/blob_files.py.

-- name: insert
INSERT INTO blobs (id, org_id, state, name, media_type, size_bytes, sha256, message_id, thread_id, channel, account,
  source, next_attempt_at, created_at, stored_at)
VALUES (:id, :org_id, :state, :name, :media_type, :size_bytes, :sha256, :message_id, :thread_id, :channel, :account,
  :source, :now, :now, :stored_at);

-- name: find
SELECT * FROM blobs WHERE org_id = :org_id AND id = :id;

-- name: find_pending
SELECT * FROM blobs WHERE id = :id AND state = 'pending';

-- name: of_message
-- In the order they were recorded: a row's number comes with the index.
SELECT * FROM blobs WHERE message_id = :message_id AND message_id IS NOT NULL ORDER BY rowid;

-- name: same_in_message
SELECT * FROM blobs
WHERE message_id = :message_id AND message_id IS NOT NULL AND name = :name AND sha256 = :sha256 LIMIT 1;

-- name: pending_of_message
SELECT 1 FROM blobs WHERE message_id = :message_id AND message_id IS NOT NULL AND state = 'pending' LIMIT 1;

-- name: attach
UPDATE blobs SET message_id = :message_id, thread_id = :thread_id
WHERE org_id = :org_id AND id = :id AND message_id IS NULL;

-- name: release
UPDATE blobs SET message_id = NULL WHERE message_id = :message_id AND message_id IS NOT NULL;

-- name: due
SELECT * FROM blobs WHERE state = 'pending' AND next_attempt_at <= :now ORDER BY next_attempt_at LIMIT :limit;

-- name: next_due
SELECT min(next_attempt_at) FROM blobs WHERE state = 'pending';

-- name: settle
UPDATE blobs SET state = :state, media_type = :media_type, size_bytes = :size_bytes, sha256 = :sha256, error = :error,
  stored_at = :now
WHERE id = :id AND state = 'pending';

-- name: postpone
UPDATE blobs SET attempts = attempts + 1, next_attempt_at = :next_attempt_at, error = :error
WHERE id = :id AND state = 'pending';

-- name: of_thread
SELECT * FROM blobs WHERE thread_id = :thread_id AND thread_id IS NOT NULL;

-- name: still_used
SELECT 1 FROM blobs WHERE sha256 = :sha256 AND sha256 IS NOT NULL LIMIT 1;

-- name: unattached
SELECT * FROM blobs WHERE message_id IS NULL AND created_at < :before LIMIT :limit;

-- name: delete
DELETE FROM blobs WHERE id = :id;
