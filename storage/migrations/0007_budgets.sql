-- Budgets: what was counted, what is reserved by whom, what rooms have to be told. Switches of agents. Usage by day.

ALTER TABLE runs ADD COLUMN room TEXT NOT NULL DEFAULT '';   -- NETWORK:ID of the room it came from; '' a client
ALTER TABLE runs ADD COLUMN token_id TEXT NOT NULL DEFAULT '';  -- the token it was asked for with; '' none
ALTER TABLE runs ADD COLUMN refusal TEXT;                    -- why it may not be answered, JSON; found when it was claimed
UPDATE runs SET room = coalesce(
  (SELECT json_extract(t.origin, '$.channel') || ':' || json_extract(t.origin, '$.room')
   FROM threads t WHERE t.id = runs.thread_id), '');
ALTER TABLE steers ADD COLUMN token_id TEXT NOT NULL DEFAULT '';

CREATE TABLE budget_counters (
  org_id TEXT NOT NULL,
  budget TEXT NOT NULL,             -- its name in the configuration
  counted TEXT NOT NULL,            -- whose: an organization, an agent, a person, a room or a token
  span TEXT NOT NULL,               -- 2026-11-21T19, 2026-11-21, 2026-11; '' for what is counted at the same time
  settled INTEGER NOT NULL DEFAULT 0,
  reserved INTEGER NOT NULL DEFAULT 0,
  resets_at INTEGER,                -- the end of the span
  warned_at INTEGER,
  exceeded_at INTEGER,
  PRIMARY KEY (org_id, budget, counted, span)
);
CREATE INDEX budget_counters_over ON budget_counters (resets_at);

CREATE TABLE budget_reservations (
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,            -- of the run's journal; 0 for its place among those at the same time
  org_id TEXT NOT NULL,
  budget TEXT NOT NULL,
  counted TEXT NOT NULL,
  span TEXT NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (run_id, step, budget, counted)
);

-- What rooms are still to be told; goes in the transaction that puts the message into the outbox.
CREATE TABLE budget_notices (
  number INTEGER PRIMARY KEY,
  org_id TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  text TEXT NOT NULL
);

-- Agents that an operator has switched off; '*' is all of them.
CREATE TABLE agent_switches (
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  by_actor TEXT NOT NULL,           -- an Actor, JSON
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (org_id, agent_id)
);

-- Tags that costs are told apart by, as the configuration has them now.
CREATE TABLE agent_tags (
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (agent_id, name)
);

-- Usage by day (UTC), kept beside `usage`, which has it step by step.
CREATE TABLE usage_daily (
  org_id TEXT NOT NULL,
  day TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  model TEXT NOT NULL,
  person TEXT NOT NULL,
  room TEXT NOT NULL,
  token_id TEXT NOT NULL,
  runs INTEGER NOT NULL,            -- that ended; counted once, without a model
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_microusd INTEGER NOT NULL,
  PRIMARY KEY (org_id, day, agent_id, model, person, room, token_id)
) WITHOUT ROWID;
INSERT INTO usage_daily (org_id, day, agent_id, model, person, room, token_id, runs, input_tokens, output_tokens,
  cost_microusd)
SELECT u.org_id, strftime('%Y-%m-%d', u.at / 1000, 'unixepoch'), u.agent_id, u.model, r.requested_by, r.room, '', 0,
  sum(u.input_tokens), sum(u.output_tokens), sum(u.cost_microusd)
FROM usage u JOIN runs r ON r.id = u.run_id
GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO usage_daily (org_id, day, agent_id, model, person, room, token_id, runs, input_tokens, output_tokens,
  cost_microusd)
SELECT org_id, strftime('%Y-%m-%d', ended_at / 1000, 'unixepoch'), agent_id, '', requested_by, room, '', count(*), 0, 0, 0
FROM runs WHERE ended_at IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (org_id, day, agent_id, model, person, room, token_id) DO UPDATE SET runs = excluded.runs;
