-- Finding audit entries, and what already left the gateway: made of the log, so it can be made again.

ALTER TABLE store ADD COLUMN audit_indexed INTEGER NOT NULL DEFAULT 0;    -- up to which entry the two tables below are made

-- By what an entry can be found; written when somebody looks, not when it is appended.
DROP INDEX audit_by_action;
CREATE TABLE audit_index (
  org_id TEXT NOT NULL,
  field TEXT NOT NULL,              -- actor, action, entity, outcome, via
  value TEXT NOT NULL,              -- of an action also its beginnings: approval.*; of an entity ID and KIND:ID
  seq INTEGER NOT NULL,
  PRIMARY KEY (org_id, field, value, seq)
) WITHOUT ROWID;

-- Where the entries of an hour (since 1970, by the wall clock) begin and end: seq is their order, not the clock.
CREATE TABLE audit_hours (
  org_id TEXT NOT NULL,
  hour INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  PRIMARY KEY (org_id, hour)
) WITHOUT ROWID;

-- How far each sink and each anchor is: everything up to here was confirmed by its target.
CREATE TABLE audit_sinks (
  name TEXT PRIMARY KEY,            -- sink:NAME, anchor:TARGET
  position INTEGER NOT NULL,        -- of a sink an entry's seq, of an anchor a checkpoint's size
  confirmed_at INTEGER NOT NULL
);
