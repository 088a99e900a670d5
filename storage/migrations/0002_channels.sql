-- What complete chat networks need: cursors per scope, edits and deletions, attachments, pairing, gaps, secrets
-- given at run time, cards, and deliveries that wait for an operator.

-- A cursor belongs to a scope of an account: "" for the whole of it, or a room.
CREATE TABLE scoped_cursors (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  scope TEXT NOT NULL,
  cursor TEXT NOT NULL,
  updated_at INTEGER NOT NULL,      -- when it was last known to be true, also without a new delivery
  PRIMARY KEY (org_id, channel, account, scope)
);
INSERT INTO scoped_cursors (org_id, channel, account, scope, cursor, updated_at)
SELECT org_id, channel, account, '', cursor, updated_at FROM cursors;
DROP TABLE cursors;
ALTER TABLE scoped_cursors RENAME TO cursors;

-- Times in which deliveries may have been lost for ever; reported, never guessed away.
CREATE TABLE channel_gaps (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  reason TEXT NOT NULL,
  noticed_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, channel, account, since)
);

-- Which message of ours a platform's message is, so that an edit or a deletion there finds it.
ALTER TABLE platform_messages ADD COLUMN message_id TEXT;
ALTER TABLE platform_messages ADD COLUMN message_seq INTEGER;
CREATE INDEX platform_messages_by_message ON platform_messages (message_id) WHERE message_id IS NOT NULL;

-- When the sender last changed it, by the platform's clock (edits may come in another order), and when it was
-- taken back: then its text is empty, here and in the log.
ALTER TABLE messages ADD COLUMN edited_at INTEGER;
ALTER TABLE messages ADD COLUMN deleted_at INTEGER;

-- What an adapter answers to the sender of a delivery (a button, a command); kept for redeliveries.
ALTER TABLE inbox ADD COLUMN says TEXT;

-- A card's row remembers what it asks; `told` is the person whose message the row answers, where one is.
ALTER TABLE outbox ADD COLUMN approval_id TEXT;
ALTER TABLE outbox ADD COLUMN recipient TEXT;
ALTER TABLE outbox ADD COLUMN sending_since INTEGER;  -- when the first send of the present doubt began
CREATE INDEX outbox_by_approval ON outbox (approval_id) WHERE approval_id IS NOT NULL;
-- Dead letters, without what a deleted thread or an abandoned live message left behind.
CREATE INDEX outbox_failed ON outbox (org_id, phase, id) WHERE phase IN ('failed', 'held') AND content IS NOT NULL;
CREATE INDEX outbox_uncertain ON outbox (channel, account, uncertain) WHERE uncertain > 0;

-- People of a chat network whom an operator let in, or shut out, beside the configuration.
CREATE TABLE people (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  sender_id TEXT NOT NULL,          -- the network's immutable id
  name TEXT NOT NULL,
  state TEXT NOT NULL,              -- allowed, rejected
  decided_by TEXT NOT NULL,
  decided_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, channel, account, sender_id)
);

DROP TABLE pairings;
CREATE TABLE pairings (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  kind TEXT NOT NULL,               -- person (device joins later)
  channel TEXT,
  account TEXT,
  sender_id TEXT,
  room TEXT,                        -- where they asked, and where they are told
  topic TEXT,
  name TEXT NOT NULL,
  code_hash TEXT NOT NULL,          -- of the id and the code; the code itself is shown once, to who asks to be let in
  state TEXT NOT NULL,              -- pending, approved, rejected, expired
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  decided_at INTEGER
);
CREATE INDEX pairings_pending ON pairings (org_id, state, created_at) WHERE state = 'pending';
CREATE INDEX pairings_of_person ON pairings (org_id, channel, account, sender_id);

-- Files: the row is made before the bytes are there; the bytes lie under their hash beside the database.
DROP TABLE blobs;
CREATE TABLE blobs (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  state TEXT NOT NULL,              -- pending, stored, failed
  name TEXT NOT NULL,               -- made safe by the gateway; the sender's name is a claim
  media_type TEXT NOT NULL,         -- from the bytes once they are there, before that the sender's claim
  size_bytes INTEGER,
  sha256 TEXT,
  message_id TEXT,                  -- the message it belongs to; an answer's files are there before the answer
  thread_id TEXT,                   -- the thread of that message
  channel TEXT,
  account TEXT,
  source TEXT,                      -- what the adapter needs to fetch it
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  created_at INTEGER NOT NULL,
  stored_at INTEGER
);
CREATE INDEX blobs_pending ON blobs (next_attempt_at) WHERE state = 'pending';
CREATE INDEX blobs_by_message ON blobs (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX blobs_by_thread ON blobs (thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX blobs_by_content ON blobs (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX blobs_unattached ON blobs (created_at) WHERE message_id IS NULL;

-- Small secrets that accounts were given at run time, sealed with a key that is not in this file.
CREATE TABLE vault (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  key TEXT NOT NULL,
  sealed TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, channel, account, key)
);

ALTER TABLE approvals ADD COLUMN requested_by TEXT;
ALTER TABLE approvals ADD COLUMN settled TEXT;    -- what its card shows once it is decided, frozen
ALTER TABLE approvals ADD COLUMN settle_id TEXT;  -- the delivery that shows it
CREATE INDEX approvals_overdue ON approvals (expires_at) WHERE state = 'pending';
CREATE INDEX approvals_by_run ON approvals (run_id, created_at, id) WHERE run_id IS NOT NULL;
