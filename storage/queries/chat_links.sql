-- Who of a chat network is which user, and the codes by which that is said from both sides.

-- name: principal
-- A user who was disabled is nobody.
SELECT p.id, p.kind, p.name, p.role FROM chat_links l JOIN principals p ON p.id = l.user_id
WHERE l.org_id = :org_id AND l.channel = :channel AND l.account = :account AND l.sender_id = :sender_id
  AND p.org_id = l.org_id AND p.disabled_at IS NULL;

-- name: of_user
SELECT * FROM chat_links WHERE user_id = :user_id AND org_id = :org_id ORDER BY linked_at;

-- name: find
SELECT * FROM chat_links
WHERE org_id = :org_id AND channel = :channel AND account = :account AND sender_id = :sender_id;

-- name: insert
INSERT INTO chat_links (org_id, channel, account, sender_id, user_id, name, linked_at)
VALUES (:org_id, :channel, :account, :sender_id, :user_id, :name, :now)
ON CONFLICT (org_id, channel, account, sender_id) DO UPDATE SET name = excluded.name, linked_at = excluded.linked_at;

-- name: remove
DELETE FROM chat_links
WHERE org_id = :org_id AND channel = :channel AND account = :account AND sender_id = :sender_id
  AND user_id = :user_id;

-- name: insert_code
INSERT INTO link_codes (id, org_id, user_id, code_hash, created_at, expires_at)
VALUES (:id, :org_id, :user_id, :code_hash, :now, :expires_at);

-- name: open_codes
-- A few: those that ran out are deleted by housekeeping.
SELECT * FROM link_codes WHERE org_id = :org_id AND used_at IS NULL AND expires_at > :now;

-- name: open_codes_of
SELECT * FROM link_codes
WHERE org_id = :org_id AND user_id = :user_id AND used_at IS NULL AND expires_at > :now;

-- name: answer_code
UPDATE link_codes SET reply_hash = :reply_hash, channel = :channel, account = :account, sender_id = :sender_id,
  name = :name
WHERE org_id = :org_id AND id = :id;

-- name: count_attempt
UPDATE link_codes SET attempts = attempts + 1 WHERE org_id = :org_id AND id = :id;

-- name: use_code
UPDATE link_codes SET used_at = :now WHERE org_id = :org_id AND id = :id;

-- name: forget_codes
DELETE FROM link_codes WHERE expires_at <= :now;
