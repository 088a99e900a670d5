-- The audit log, version 2: epochs, the Merkle tree over the entries, who the people in it are, and content behind its
-- commitments under keys that can be deleted.

ALTER TABLE store ADD COLUMN audit_epoch INTEGER NOT NULL DEFAULT 1;      -- raised when the log goes on behind a restored store
ALTER TABLE store ADD COLUMN audit_tree_size INTEGER NOT NULL DEFAULT 0;  -- how many entries audit_nodes are over

-- Complete subtrees: node (level, at) is the RFC 6962 hash over the 2^level leaves from leaf at * 2^level, counted from 0.
-- Level 0 is audit_entries.hash. Written for all entries below the newest checkpoint; made of the entries, so it can be
-- made again.
CREATE TABLE audit_nodes (
  level INTEGER NOT NULL,
  at INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (level, at)
) WITHOUT ROWID;

-- The one place that says who a person in an entry is; deleting the row leaves an id that means nobody.
CREATE TABLE audit_people (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  actor_id TEXT NOT NULL,           -- CHANNEL:ID of the chat network
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX audit_people_by_actor ON audit_people (org_id, actor_id);

-- Data keys of what is about one person or thing, wrapped by a key outside the store. The newest is in use; there is more
-- than one only where the key outside was lost.
CREATE TABLE audit_keys (
  id INTEGER PRIMARY KEY,
  org_id TEXT NOT NULL,
  subject TEXT NOT NULL,            -- the id of a person, a principal, a thread …
  wrapped BLOB NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE INDEX audit_keys_by_subject ON audit_keys (org_id, subject, id);

-- What entries commit to: salt and canonical text, encrypted. A row may be deleted; its entry stays.
CREATE TABLE audit_content (
  seq INTEGER PRIMARY KEY,
  org_id TEXT NOT NULL,
  key_id INTEGER NOT NULL REFERENCES audit_keys (id),
  sealed BLOB NOT NULL
);
CREATE INDEX audit_content_by_key ON audit_content (key_id);

-- Where people came from, committed to in the same way, once a day for all their entries from there.
CREATE TABLE audit_addresses (
  commitment TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  key_id INTEGER NOT NULL REFERENCES audit_keys (id),
  sealed_at INTEGER NOT NULL,
  sealed BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX audit_addresses_by_key ON audit_addresses (key_id);
CREATE INDEX audit_addresses_by_age ON audit_addresses (org_id, sealed_at);
