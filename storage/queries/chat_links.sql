-- Who of a chat network is which user, and the codes by which that is said from both sides.

-- name: principal
-- A user who was disabled is nobody.
SELECT p.id, p.kind, p.name, p.role FROM chat_links l JOIN principals p ON p.id = l.user_id
WHERE l.org_id = :org_id AND l.channel = :channel AND l.account = :account AND l.sender_id = :sender_id
  AND p.org_id = l.org_id AND p.disabled_at IS NULL;
