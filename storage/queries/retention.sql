-- What is older than it may become. What a legal hold covers is sorted out by who asks.

-- name: organizations
SELECT id FROM organizations ORDER BY id;

-- name: old_threads
-- In the order of the newest change, which the index knows; never one with work to do.
SELECT t.id, t.head_offset AS place FROM threads t
WHERE t.org_id = :org_id AND t.head_offset > :after AND t.status <> 'deleted' AND t.head_at < :before
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.thread_id = t.id AND r.state = 'queued')
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.thread_id = t.id AND r.state IN ('running', 'waiting'))
ORDER BY t.head_offset LIMIT :limit;

-- name: old_thread
SELECT * FROM threads t
WHERE t.org_id = :org_id AND t.id = :key AND t.status <> 'deleted' AND t.head_at < :before
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.thread_id = t.id AND r.state = 'queued')
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.thread_id = t.id AND r.state IN ('running', 'waiting'));

-- name: forget_runs
DELETE FROM runs WHERE thread_id = :thread_id;

-- name: old_files
SELECT rowid AS place, id, thread_id FROM blobs
WHERE +org_id = :org_id AND state = 'stored' AND created_at < :before AND rowid > :after
ORDER BY rowid LIMIT :limit;

-- name: old_file
SELECT thread_id, sha256 FROM blobs
WHERE org_id = :org_id AND id = :key AND state = 'stored' AND created_at < :before;

-- name: drop_file
UPDATE blobs SET state = 'failed', sha256 = NULL, error = :error WHERE id = :id;

-- name: old_journals
SELECT r.rowid AS place, r.id, r.thread_id FROM runs r
WHERE +r.org_id = :org_id AND r.ended_at < :before AND r.rowid > :after
  AND EXISTS (SELECT 1 FROM journal_steps s WHERE s.run_id = r.id)
ORDER BY r.rowid LIMIT :limit;

-- name: old_journal
SELECT thread_id FROM runs WHERE org_id = :org_id AND id = :key AND ended_at < :before;

-- name: forget_journal
DELETE FROM journal_steps WHERE run_id = :run_id;

-- name: old_usage
SELECT u.rowid AS place, r.thread_id FROM usage u LEFT JOIN runs r ON r.id = u.run_id
WHERE u.org_id = :org_id AND u.at < :before AND u.rowid > :after
ORDER BY u.rowid LIMIT :limit;

-- name: old_usage_line
SELECT r.thread_id FROM usage u LEFT JOIN runs r ON r.id = u.run_id
WHERE u.org_id = :org_id AND u.rowid = :key AND u.at < :before;

-- name: forget_usage
DELETE FROM usage WHERE org_id = :org_id AND rowid = :place;

-- name: old_content
-- What stands behind an entry is kept by a hold on whom, or on the thread, it is about.
SELECT c.seq AS place, EXISTS (
  SELECT 1 FROM legal_holds h LEFT JOIN audit_people p ON p.org_id = h.org_id AND p.actor_id = h.subject
  WHERE h.org_id = k.org_id AND h.released_at IS NULL AND k.subject IN (h.subject, p.id)
) AS is_held
FROM audit_content c CROSS JOIN audit_keys k ON k.id = c.key_id CROSS JOIN audit_entries e ON e.seq = c.seq
WHERE c.org_id = :org_id AND e.at < :before AND c.seq > :after
ORDER BY c.seq LIMIT :limit;

-- name: old_piece
SELECT EXISTS (
  SELECT 1 FROM legal_holds h LEFT JOIN audit_people p ON p.org_id = h.org_id AND p.actor_id = h.subject
  WHERE h.org_id = k.org_id AND h.released_at IS NULL AND k.subject IN (h.subject, p.id)
) AS is_held
FROM audit_content c CROSS JOIN audit_keys k ON k.id = c.key_id CROSS JOIN audit_entries e ON e.seq = c.seq
WHERE c.seq = :key AND c.org_id = :org_id AND e.at < :before;

-- name: forget_content
DELETE FROM audit_content WHERE org_id = :org_id AND seq = :seq;

-- name: forget_addresses
-- Where people came from is sealed once a day for all their entries; a hold on them keeps it.
DELETE FROM audit_addresses WHERE org_id = :org_id AND sealed_at < :before AND NOT EXISTS (
  SELECT 1 FROM audit_keys k JOIN legal_holds h ON h.org_id = k.org_id AND h.released_at IS NULL
  LEFT JOIN audit_people p ON p.org_id = h.org_id AND p.actor_id = h.subject
  WHERE k.id = audit_addresses.key_id AND k.subject IN (h.subject, p.id)
);
