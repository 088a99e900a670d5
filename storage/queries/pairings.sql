-- Who asked to be let in, and people whom an operator let in or shut out.

-- name: standing
SELECT state FROM people
WHERE org_id = :org_id AND channel = :channel AND account = :account AND sender_id = :sender_id;

-- name: decide_person
INSERT INTO people (org_id, channel, account, sender_id, name, state, decided_by, decided_at)
VALUES (:org_id, :channel, :account, :sender_id, :name, :state, :decided_by, :now)
ON CONFLICT (org_id, channel, account, sender_id) DO UPDATE SET
  state = excluded.state, decided_by = excluded.decided_by, decided_at = excluded.decided_at;

-- name: insert
INSERT INTO pairings (id, org_id, kind, channel, account, sender_id, room, topic, name, code_hash, state,
  created_at, expires_at)
VALUES (:id, :org_id, 'person', :channel, :account, :sender_id, :room, :topic, :name, :code_hash, 'pending',
  :now, :expires_at);

-- name: find
SELECT * FROM pairings WHERE org_id = :org_id AND id = :id;

-- name: pending
-- Those that wait for a decision; a few per account.
SELECT * FROM pairings WHERE org_id = :org_id AND state = 'pending' AND expires_at > :now ORDER BY created_at;

-- name: page
-- Read in the order of the ids: the plus keeps the planner from an index that would have to be sorted.
SELECT * FROM pairings
WHERE +org_id = :org_id AND id < :before
  AND (:state IS NULL OR :state = CASE WHEN state = 'pending' AND expires_at <= :now THEN 'expired' ELSE state END)
ORDER BY id DESC LIMIT :limit;

-- name: expire
UPDATE pairings SET state = 'expired' WHERE org_id = :org_id AND state = 'pending' AND expires_at <= :now;

-- name: forget_expired
-- A new code takes the place of those that ran out: one row per stranger is enough.
DELETE FROM pairings
WHERE org_id = :org_id AND channel = :channel AND account = :account AND sender_id = :sender_id AND state = 'expired';

-- name: decide
UPDATE pairings SET state = :state, decided_at = :now WHERE id = :id;
