-- Devices: known by their key, told to do what they declared, and everything they were ever told to do.

DROP TABLE devices;  -- nothing was ever stored in it
CREATE TABLE devices (
  number INTEGER PRIMARY KEY,       -- in the order they were paired
  id TEXT NOT NULL UNIQUE,          -- base64url of SHA-256 of the key
  org_id TEXT NOT NULL,
  name TEXT NOT NULL,
  public_key TEXT NOT NULL,
  client TEXT NOT NULL,             -- its own words
  platform TEXT NOT NULL,
  scopes TEXT NOT NULL,             -- what whoever approved it gave, separated by spaces
  commands TEXT NOT NULL,           -- as JSON
  state TEXT NOT NULL,              -- active, revoked, replaced
  replaced_by TEXT,                 -- the id of the next key
  approved_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER,
  revoked_at INTEGER
);
CREATE UNIQUE INDEX devices_by_name ON devices (org_id, name) WHERE state = 'active';

ALTER TABLE pairings ADD COLUMN device_id TEXT;
ALTER TABLE pairings ADD COLUMN public_key TEXT;
ALTER TABLE pairings ADD COLUMN platform TEXT;
ALTER TABLE pairings ADD COLUMN address TEXT;
ALTER TABLE pairings ADD COLUMN commands TEXT;  -- outlines, as JSON
ALTER TABLE pairings ADD COLUMN scopes TEXT;    -- those it asks for, separated by spaces
CREATE INDEX pairings_of_device ON pairings (device_id, state) WHERE device_id IS NOT NULL;

CREATE TABLE device_invocations (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  claim TEXT NOT NULL UNIQUE,       -- who asked with which key: the same one is never invoked twice
  request_hash TEXT NOT NULL,       -- tells equal requests apart
  command TEXT NOT NULL,
  params TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  state TEXT NOT NULL,              -- requested, sent, done, failed, unknown
  result TEXT,
  error_kind TEXT,
  error_message TEXT,
  created_at INTEGER NOT NULL,
  deadline_at INTEGER NOT NULL,
  ended_at INTEGER
);
CREATE INDEX device_invocations_open ON device_invocations (device_id, created_at) WHERE state IN ('sent', 'unknown');
CREATE INDEX device_invocations_due ON device_invocations (deadline_at) WHERE state IN ('requested', 'sent');
CREATE INDEX device_invocations_ended ON device_invocations (ended_at) WHERE ended_at IS NOT NULL;
