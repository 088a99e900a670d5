-- Approvals as one object for all that people decide about: the exact action, votes of distinct people, leave for more
-- than once, reminders and escalation, and cards that are brought up to date from the approval alone.

ALTER TABLE approvals ADD COLUMN name TEXT NOT NULL DEFAULT '';       -- the tool, the command, the room, …
ALTER TABLE approvals ADD COLUMN agent_id TEXT;
ALTER TABLE approvals ADD COLUMN risk TEXT NOT NULL DEFAULT 'medium';
ALTER TABLE approvals ADD COLUMN rule TEXT NOT NULL DEFAULT '';       -- the policy that wants it asked
ALTER TABLE approvals ADD COLUMN subject TEXT NOT NULL DEFAULT 'null'; -- the exact action, canonical JSON
ALTER TABLE approvals ADD COLUMN argument_schema TEXT;                -- of its arguments: with it they may be edited
ALTER TABLE approvals ADD COLUMN terms TEXT NOT NULL DEFAULT '{}';    -- who decides, JSON
ALTER TABLE approvals ADD COLUMN remind_at INTEGER;
ALTER TABLE approvals ADD COLUMN reminded_at INTEGER;
ALTER TABLE approvals ADD COLUMN escalate_at INTEGER;
ALTER TABLE approvals ADD COLUMN escalated_at INTEGER;
ALTER TABLE approvals ADD COLUMN edited TEXT;                         -- what was made of it, JSON
ALTER TABLE approvals ADD COLUMN edited_hash TEXT;                    -- what votes are about since then
ALTER TABLE approvals ADD COLUMN grant_id TEXT;                       -- the grant that approved it
ALTER TABLE approvals ADD COLUMN supersedes TEXT;
ALTER TABLE approvals ADD COLUMN revision INTEGER NOT NULL DEFAULT 1; -- counts what its cards show
ALTER TABLE approvals ADD COLUMN shown INTEGER;                       -- the revision its cards were given; null: it has none
UPDATE approvals SET kind = 'tool' WHERE kind = 'action';

-- Cards are edited from the approval itself now: what was frozen for it before is not needed any more.
UPDATE approvals SET shown = 1, revision = CASE WHEN state = 'pending' THEN 1 ELSE 2 END
WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.approval_id = approvals.id);
UPDATE approvals SET shown = 2 WHERE settle_id IN (SELECT id FROM outbox);
UPDATE outbox SET approval_id = NULL WHERE id IN (SELECT settle_id FROM approvals WHERE settle_id IS NOT NULL);
ALTER TABLE approvals DROP COLUMN settled;
ALTER TABLE approvals DROP COLUMN settle_id;
ALTER TABLE approvals DROP COLUMN decision;

CREATE INDEX approvals_reminders ON approvals (remind_at) WHERE state = 'pending' AND reminded_at IS NULL;
CREATE INDEX approvals_escalations ON approvals (escalate_at) WHERE state = 'pending' AND escalated_at IS NULL;
CREATE INDEX approvals_stale ON approvals (id) WHERE shown < revision;
CREATE INDEX approvals_pending ON approvals (org_id, id) WHERE state = 'pending';

-- What was sent to rooms apart from any thread: cards that ask there, too, and what was edited into them.
CREATE INDEX outbox_apart ON outbox (channel, account, room, ref) WHERE thread_id IS NULL AND ref IS NOT NULL;

CREATE TABLE approval_votes (
  org_id TEXT NOT NULL,
  approval_id TEXT NOT NULL REFERENCES approvals (id),
  principal_id TEXT NOT NULL,       -- the user, where somebody of a chat network is linked to one
  actor TEXT NOT NULL,              -- an Actor, JSON
  vote TEXT NOT NULL,               -- approve, deny, request_changes
  subject_hash TEXT NOT NULL,       -- what they voted about
  reason TEXT,
  via TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (approval_id, principal_id)
);

-- Leave for more than once: given with one approval, used by later ones.
CREATE TABLE approval_grants (
  id TEXT PRIMARY KEY,
  org_id TEXT NOT NULL,
  approval_id TEXT NOT NULL UNIQUE REFERENCES approvals (id),
  agent_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  rule TEXT NOT NULL,               -- another policy asks anew
  thread_id TEXT,                   -- null: wherever the agent works
  uses_left INTEGER,                -- null: until it expires
  expires_at INTEGER NOT NULL,
  granted_by TEXT NOT NULL,         -- an Actor, JSON
  granted_at INTEGER NOT NULL,
  revoked_at INTEGER,
  revoked_by TEXT
);
CREATE INDEX approval_grants_alive ON approval_grants (org_id, agent_id, kind, name) WHERE revoked_at IS NULL;

-- Versions of draft agents that people released.
CREATE TABLE agent_releases (
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  version TEXT NOT NULL,
  approval_id TEXT NOT NULL,
  approved_by TEXT NOT NULL,        -- an Actor, JSON
  approved_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, agent_id, version)
);
