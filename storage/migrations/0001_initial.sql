-- The schema from day one. Instants are integers, milliseconds since 1970; documents are JSON as text.
-- Every table carries org_id: one default organization exists until more are made.

CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch TEXT NOT NULL,              -- changes only when the store is replaced (restored from a backup)
  audit_log_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE organizations (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE principals (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES organizations (id),
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  disabled_at INTEGER
);

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES organizations (id),
  principal_id TEXT NOT NULL REFERENCES principals (id),
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  secret_hash TEXT NOT NULL UNIQUE, -- SHA-256 of the secret; the secret itself is never stored
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
);

CREATE TABLE threads (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES organizations (id),
  title TEXT NOT NULL,              -- empty until it is named
  status TEXT NOT NULL,             -- active, archived, deleted (a deleted thread keeps its row, not its content)
  agent_id TEXT NOT NULL,
  origin TEXT NOT NULL,
  first_seq INTEGER NOT NULL DEFAULT 1,
  head_seq INTEGER NOT NULL DEFAULT 0,
  head_offset INTEGER NOT NULL DEFAULT 0,
  head_kind TEXT NOT NULL DEFAULT '',
  head_at INTEGER NOT NULL DEFAULT 0,
  head_preview TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX threads_by_head ON threads (org_id, head_offset);

-- The conversation that a place on a chat network belongs to: one row per direct chat or topic …
CREATE TABLE thread_links (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  thread_key TEXT NOT NULL,
  thread_id TEXT NOT NULL REFERENCES threads (id),
  PRIMARY KEY (org_id, channel, account, thread_key)
);

-- … and one per message of a chat network, so that a reply finds the conversation of what it answers.
CREATE TABLE platform_messages (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  room TEXT NOT NULL,
  ref TEXT NOT NULL,
  thread_id TEXT NOT NULL REFERENCES threads (id),
  PRIMARY KEY (org_id, channel, account, room, ref)
);
CREATE INDEX platform_messages_by_thread ON platform_messages (thread_id);

-- The log. A rowid table in log order plus an index: appends stay cheap at 10,000,000 rows (DESIGN.md §4).
CREATE TABLE events (
  log_offset INTEGER PRIMARY KEY,
  org_id TEXT NOT NULL,
  thread_id TEXT NOT NULL REFERENCES threads (id),
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  run_id TEXT,
  data TEXT NOT NULL
);
CREATE UNIQUE INDEX events_by_thread ON events (thread_id, seq);

-- The searchable projection of message events; can be rebuilt from them.
CREATE TABLE messages (
  log_offset INTEGER PRIMARY KEY,   -- of the message's event
  org_id TEXT NOT NULL,
  id TEXT NOT NULL,
  thread_id TEXT NOT NULL REFERENCES threads (id),
  seq INTEGER NOT NULL,
  role TEXT NOT NULL,
  text TEXT NOT NULL,
  run_id TEXT,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX messages_by_thread ON messages (thread_id, seq);
CREATE VIRTUAL TABLE messages_text USING fts5 (text, content = 'messages', content_rowid = 'log_offset');

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  thread_id TEXT NOT NULL REFERENCES threads (id),
  agent_id TEXT NOT NULL,
  state TEXT NOT NULL,
  queue_key TEXT NOT NULL,          -- order within the thread: the seq of the message, or the key of the run it repeats
  attempt INTEGER NOT NULL DEFAULT 0,
  message_id TEXT NOT NULL,         -- the message it answers
  message_seq INTEGER NOT NULL,
  retry_of TEXT,
  requested_by TEXT NOT NULL,
  queued_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  error TEXT,
  usage TEXT NOT NULL DEFAULT '{}',
  lease_owner TEXT,
  lease_until INTEGER,
  fence INTEGER NOT NULL DEFAULT 0  -- raised by every change of ownership; a write with an older one is refused
);
CREATE INDEX runs_by_thread ON runs (thread_id, id);
CREATE INDEX runs_queued ON runs (thread_id, queue_key) WHERE state = 'queued';
CREATE UNIQUE INDEX runs_one_active ON runs (thread_id) WHERE state IN ('running', 'waiting');

CREATE TABLE journal_steps (
  org_id TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id),
  step INTEGER NOT NULL,
  kind TEXT NOT NULL,
  request TEXT NOT NULL,
  partial TEXT,                     -- what is known of an unfinished step: the text streamed so far
  result TEXT,                      -- null while the step is open
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  PRIMARY KEY (run_id, step)
);

CREATE TABLE inbox (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  outcome TEXT NOT NULL,            -- accepted, ambient, ignored, refused, hinted
  reason TEXT,
  sender_id TEXT,
  thread_id TEXT,
  message_id TEXT,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, channel, account, delivery_id)
);
CREATE INDEX inbox_hinted ON inbox (org_id, channel, account, sender_id, received_at) WHERE outcome = 'hinted';

CREATE TABLE cursors (
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  cursor TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, channel, account)
);

CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT NOT NULL,
  room TEXT NOT NULL,
  topic TEXT,
  thread_id TEXT,
  run_id TEXT,
  part INTEGER NOT NULL,
  phase TEXT NOT NULL,              -- see gateway/rules/delivery_states.py
  content TEXT,                     -- frozen; null while the answer is still being written
  ref TEXT,                         -- the platform's id of the message, once known
  attempt INTEGER NOT NULL DEFAULT 0,
  uncertain INTEGER NOT NULL DEFAULT 0,
  next_attempt_at INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX outbox_pending ON outbox (channel, account, room, id) WHERE phase NOT IN ('sent', 'failed');
CREATE INDEX outbox_by_run ON outbox (run_id);

-- Answers of mutating requests by idempotency key. `claim` is a hash of organization, principal, method and key;
-- rows are numbered in the order they came, so that the oldest are found without an index over time.
CREATE TABLE idempotency (
  number INTEGER PRIMARY KEY,
  org_id TEXT NOT NULL,
  claim TEXT NOT NULL UNIQUE,
  params_hash TEXT NOT NULL,
  result TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE usage (
  org_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  agent_id TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_microusd INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (run_id, attempt)
);

-- body is the canonical text, written once and never re-encoded; hash is its RFC 6962 leaf hash, and the body
-- names its predecessor's. The Merkle tree over the same leaves and its checkpoints join later.
CREATE TABLE audit_entries (
  seq INTEGER PRIMARY KEY,
  org_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  body TEXT NOT NULL,
  hash TEXT NOT NULL
);
CREATE INDEX audit_by_action ON audit_entries (org_id, action, seq);
CREATE TABLE audit_checkpoints (
  size INTEGER PRIMARY KEY,
  root TEXT NOT NULL,
  note TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

-- The following are filled by the features that own them.
CREATE TABLE approvals (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  run_id TEXT,
  thread_id TEXT,
  subject_hash TEXT NOT NULL,
  request TEXT NOT NULL,
  state TEXT NOT NULL,
  decision TEXT,
  decided_by TEXT,
  reason TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  decided_at INTEGER,
  consumed_at INTEGER
);
CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  principal_id TEXT NOT NULL,
  name TEXT NOT NULL,
  public_key TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
);
CREATE TABLE pairings (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  code_hash TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  decided_at INTEGER
);
CREATE TABLE blobs (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL
);
