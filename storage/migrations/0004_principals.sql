-- People and machines of an organization: what tokens may besides, who somebody of a chat network is, and codes by
-- which that is said from both sides.

ALTER TABLE principals ADD COLUMN updated_at INTEGER;

ALTER TABLE tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '';  -- CIDR ranges it may come from, separated by spaces; '' any
ALTER TABLE tokens ADD COLUMN requests_per_s REAL;                -- its own rate
ALTER TABLE tokens ADD COLUMN last_used_at INTEGER;               -- to the minute: not every request writes
ALTER TABLE tokens ADD COLUMN rotated_from TEXT;                  -- the token whose place it took
CREATE INDEX tokens_by_principal ON tokens (principal_id);

-- Somebody of a chat network is this user. Ids are the network's immutable ones.
CREATE TABLE chat_links (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  sender_id TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES principals (id),
  name TEXT NOT NULL,
  linked_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, channel, account, sender_id)
);
CREATE INDEX chat_links_by_user ON chat_links (user_id, linked_at);

CREATE TABLE link_codes (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES principals (id),
  code_hash TEXT NOT NULL,          -- of the id and the code the user was shown first, typed in the chat
  reply_hash TEXT,                  -- … and of the one the chat was shown then, typed by the user
  channel TEXT,
  account TEXT,
  sender_id TEXT,
  name TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
);
CREATE INDEX link_codes_open ON link_codes (org_id, user_id) WHERE used_at IS NULL;
CREATE INDEX link_codes_by_end ON link_codes (expires_at);
