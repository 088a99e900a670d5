-- Durable runs: journal steps by key, what a run waits for, what is said to it meanwhile, threads held by people,
-- tokens of agent processes.

CREATE TABLE steps (
  org_id TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id),
  step INTEGER NOT NULL,            -- in the order they were opened, from 1 (the reply)
  key TEXT NOT NULL,                -- what the agent calls it, the same in every attempt
  kind TEXT NOT NULL,               -- reply, model, tool, prompt, steer, note
  name TEXT NOT NULL,
  request TEXT NOT NULL,            -- canonical JSON
  request_hash TEXT NOT NULL,
  repeatable INTEGER NOT NULL,      -- 1: doing it twice does no harm; 2: a person allowed it once more
  repeats INTEGER NOT NULL DEFAULT 0,  -- how often it was begun again because a person allowed it
  attempt INTEGER NOT NULL,         -- of the run, when it was begun last
  partial TEXT,                     -- of the reply: the text streamed so far
  outcome TEXT,                     -- ok, error, unknown, skipped; null while the step is open
  result TEXT,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  PRIMARY KEY (run_id, step)
);
INSERT INTO steps (org_id, run_id, step, key, kind, name, request, request_hash, repeatable, attempt, partial, outcome,
  result, opened_at, closed_at)
SELECT j.org_id, j.run_id, j.step, 'reply', 'reply', '', j.request, '', 1, r.attempt, j.partial,
  CASE WHEN j.closed_at IS NULL THEN NULL ELSE 'ok' END, j.result, j.opened_at, j.closed_at
FROM journal_steps j JOIN runs r ON r.id = j.run_id;
DROP TABLE journal_steps;
ALTER TABLE steps RENAME TO journal_steps;
CREATE UNIQUE INDEX journal_steps_by_key ON journal_steps (run_id, key);

-- What was spent, by the step it was spent on; the reply (1) holds what belongs to none.
CREATE TABLE usage_by_step (
  org_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  agent_id TEXT NOT NULL,
  model TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_microusd INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (run_id, step)
);
INSERT INTO usage_by_step (org_id, run_id, step, agent_id, model, input_tokens, output_tokens, cost_microusd, at)
SELECT org_id, run_id, 1, agent_id, '', sum(input_tokens), sum(output_tokens), sum(cost_microusd), max(at)
FROM usage GROUP BY run_id;
DROP TABLE usage;
ALTER TABLE usage_by_step RENAME TO usage;

ALTER TABLE runs ADD COLUMN agent_version TEXT;
ALTER TABLE runs ADD COLUMN waiting_for TEXT;     -- approval, input or device, while the state is waiting
ALTER TABLE runs ADD COLUMN facts TEXT;           -- how it was answered, JSON
ALTER TABLE runs ADD COLUMN journal_hash TEXT;    -- seals what a completed run did

-- Questions of runs to people; the next message in the thread answers the oldest open one.
CREATE TABLE questions (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id),
  thread_id TEXT NOT NULL,
  number INTEGER NOT NULL,          -- of the run's questions, from 1: ids do not say what came first
  key TEXT NOT NULL,
  prompt TEXT NOT NULL,
  state TEXT NOT NULL,              -- open, answered, expired, cancelled
  answer TEXT,
  answered_by TEXT,                 -- an Actor, JSON
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  settled_at INTEGER
);
CREATE INDEX questions_overdue ON questions (expires_at) WHERE state = 'open';
CREATE UNIQUE INDEX questions_by_run ON questions (run_id, number);

-- Messages that were said to a running run. Taken at one of its steps, or queued as runs of their own when it ends.
CREATE TABLE steers (
  message_id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  run_id TEXT NOT NULL REFERENCES runs (id),
  thread_id TEXT NOT NULL,
  message_seq INTEGER NOT NULL,
  own_run_id TEXT NOT NULL,         -- the run that is queued for it when this one ends before it is taken
  said_by TEXT NOT NULL,            -- an Actor, JSON
  taken_step TEXT,                  -- the key of the step that took it
  created_at INTEGER NOT NULL
);
CREATE INDEX steers_by_run ON steers (run_id, message_seq);

-- What is not over yet, oldest first, for the invariant check.
CREATE INDEX runs_unfinished ON runs (org_id, queued_at, id) WHERE state IN ('queued', 'running', 'waiting');

ALTER TABLE threads ADD COLUMN assignee TEXT;     -- an Actor, JSON: the person who has taken the thread over
ALTER TABLE threads ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
UPDATE threads SET messages = (SELECT count(*) FROM messages m WHERE m.thread_id = threads.id);
ALTER TABLE tokens ADD COLUMN agent_id TEXT;      -- of an agent process: the agent it answers for

ALTER TABLE approvals ADD COLUMN key TEXT NOT NULL DEFAULT '';   -- what the run calls it
