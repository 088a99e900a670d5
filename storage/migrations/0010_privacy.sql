-- Legal holds and erasures.

-- What must be kept although somebody wants it gone: a thread, or a person and with them the threads they wrote in.
CREATE TABLE legal_holds (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  kind TEXT NOT NULL,               -- thread, person
  subject TEXT NOT NULL,            -- the thread's id; CHANNEL:ID of a chat network, or a user's id
  reason TEXT NOT NULL,
  placed_by TEXT NOT NULL,          -- an Actor, JSON
  placed_at INTEGER NOT NULL,
  released_by TEXT,
  released_at INTEGER
);
CREATE UNIQUE INDEX legal_holds_open ON legal_holds (org_id, kind, subject) WHERE released_at IS NULL;

-- Erasures of people. One that is not over is gone on with at the next start.
CREATE TABLE erasures (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  subject TEXT NOT NULL,            -- whom it is about while it goes on; then an id that means nobody
  reason TEXT NOT NULL,
  requested_by TEXT NOT NULL,       -- an Actor, JSON
  counts TEXT NOT NULL,             -- what was erased so far, by class, JSON
  begun_at INTEGER NOT NULL,
  done_at INTEGER,
  certificate TEXT                  -- JSON, once it is over
);
CREATE INDEX erasures_going ON erasures (begun_at) WHERE done_at IS NULL;
