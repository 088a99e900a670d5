-- Approvals: what people decide about, their votes, and what has to be done about it in time.

-- name: insert
INSERT INTO approvals (id, org_id, kind, name, agent_id, run_id, thread_id, risk, rule, subject, subject_hash,
  argument_schema, terms, request, state, created_at, expires_at, remind_at, escalate_at, requested_by, key, supersedes,
  shown)
VALUES (:id, :org_id, :kind, :name, :agent_id, :run_id, :thread_id, :risk, :rule, :subject, :subject_hash,
  :argument_schema, :terms, :request, 'pending', :created_at, :expires_at, :remind_at, :escalate_at, :requested_by,
  :key, :supersedes, :shown);

-- name: find
SELECT * FROM approvals WHERE org_id = :org_id AND id = :id;

-- name: by_hash
-- What waits and is about something whose hash begins so; two are enough to know that it is not the only one.
SELECT * FROM approvals
WHERE org_id = :org_id AND state = 'pending' AND substr(coalesce(edited_hash, subject_hash), 1, length(:prefix)) = :prefix
LIMIT 2;

-- name: page
SELECT * FROM approvals
WHERE org_id = :org_id AND id < :before AND (:state IS NULL OR state = :state)
  AND (:thread_id IS NULL OR thread_id = :thread_id)
  AND (NOT :granted OR EXISTS (SELECT 1 FROM approval_grants g WHERE g.approval_id = approvals.id
    AND g.revoked_at IS NULL AND g.expires_at > :now AND (g.uses_left IS NULL OR g.uses_left > 0)))
ORDER BY id DESC LIMIT :limit;

-- name: settle
-- The condition is the whole race: whoever changes the row first has decided, and nobody after its time.
UPDATE approvals SET state = :state, decided_by = :decided_by, reason = :reason, decided_at = :now, grant_id = :grant_id
WHERE id = :id AND state = 'pending' AND expires_at > :now;

-- name: expire
UPDATE approvals SET state = 'expired', decided_by = :decided_by, reason = :reason, decided_at = :now
WHERE id = :id AND state = 'pending' AND expires_at <= :now;

-- name: cancel
UPDATE approvals SET state = 'cancelled', decided_by = :decided_by, reason = :reason, decided_at = :now
WHERE id = :id AND state = 'pending';

-- name: edit
UPDATE approvals SET edited = :edited, edited_hash = :edited_hash
WHERE id = :id AND state = 'pending' AND coalesce(edited_hash, subject_hash) = :base_hash;

-- name: consume
-- An approval is used once, by the step of the run that asked for it.
UPDATE approvals SET consumed_at = :now
WHERE org_id = :org_id AND id = :id AND run_id = :run_id AND state = 'approved' AND consumed_at IS NULL;

-- name: touch
-- Its cards show something else by now.
UPDATE approvals SET revision = revision + 1 WHERE id = :id;

-- name: of_run
SELECT * FROM approvals WHERE run_id = :run_id AND run_id IS NOT NULL ORDER BY created_at, id;

-- name: pending_of_run
SELECT * FROM approvals WHERE run_id = :run_id AND run_id IS NOT NULL AND state = 'pending';

-- name: last_unfit
-- What this run asked for last of the same sort, when it was sent back.
SELECT id FROM approvals
WHERE run_id = :run_id AND run_id IS NOT NULL AND kind = :kind AND name = :name AND state = 'changes_requested'
ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: votes
-- Those of people whose account was disabled since count no more while it is open: `is_void`.
SELECT v.*, p.disabled_at IS NOT NULL AS is_void
FROM approval_votes v LEFT JOIN principals p ON p.id = v.principal_id
WHERE v.approval_id = :approval_id;

-- name: vote
INSERT INTO approval_votes (org_id, approval_id, principal_id, actor, vote, subject_hash, reason, via, at)
VALUES (:org_id, :approval_id, :principal_id, :actor, :vote, :subject_hash, :reason, :via, :now)
ON CONFLICT (approval_id, principal_id) DO UPDATE SET actor = excluded.actor, vote = excluded.vote,
  subject_hash = excluded.subject_hash, reason = excluded.reason, via = excluded.via, at = excluded.at;

-- name: overdue
SELECT * FROM approvals WHERE state = 'pending' AND expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: to_remind
SELECT * FROM approvals
WHERE state = 'pending' AND reminded_at IS NULL AND remind_at <= :now ORDER BY remind_at LIMIT :limit;

-- name: to_escalate
SELECT * FROM approvals
WHERE state = 'pending' AND escalated_at IS NULL AND escalate_at <= :now ORDER BY escalate_at LIMIT :limit;

-- name: remind
UPDATE approvals SET reminded_at = :now WHERE id = :id AND state = 'pending' AND reminded_at IS NULL;

-- name: escalate
UPDATE approvals SET escalated_at = :now WHERE id = :id AND state = 'pending' AND escalated_at IS NULL;

-- name: next_expiry
SELECT min(expires_at) FROM approvals WHERE state = 'pending';

-- name: next_reminder
SELECT min(remind_at) FROM approvals WHERE state = 'pending' AND reminded_at IS NULL;

-- name: next_escalation
SELECT min(escalate_at) FROM approvals WHERE state = 'pending' AND escalated_at IS NULL;

-- name: stale
-- Approvals whose cards show something older, and all of whose cards stand or never will.
SELECT * FROM approvals WHERE shown < revision
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.approval_id = approvals.id AND o.approval_id IS NOT NULL
    AND o.phase NOT IN ('sent', 'failed'))
ORDER BY id LIMIT :limit;

-- name: cards
SELECT * FROM outbox WHERE approval_id = :approval_id AND approval_id IS NOT NULL AND phase = 'sent' AND ref IS NOT NULL;

-- name: show
UPDATE approvals SET shown = :revision WHERE id = :id AND revision = :revision;

-- name: insert_grant
INSERT INTO approval_grants (id, org_id, approval_id, agent_id, kind, name, rule, thread_id, uses_left, expires_at,
  granted_by, granted_at)
VALUES (:id, :org_id, :approval_id, :agent_id, :kind, :name, :rule, :thread_id, :uses_left, :expires_at,
  :granted_by, :now);

-- name: grant_of
SELECT * FROM approval_grants WHERE approval_id = :approval_id;

-- name: fitting_grant
-- The one of one thread is used before the one of all.
SELECT * FROM approval_grants
WHERE org_id = :org_id AND agent_id = :agent_id AND kind = :kind AND name = :name AND revoked_at IS NULL
  AND rule = :rule AND expires_at > :now AND (uses_left IS NULL OR uses_left > 0)
  AND (thread_id IS NULL OR thread_id = :thread_id)
ORDER BY thread_id IS NULL, id LIMIT 1;

-- name: use_grant
UPDATE approval_grants SET uses_left = uses_left - 1
WHERE id = :id AND revoked_at IS NULL AND expires_at > :now AND (uses_left IS NULL OR uses_left > 0);

-- name: revoke_grant
UPDATE approval_grants SET revoked_at = :now, revoked_by = :revoked_by WHERE id = :id AND revoked_at IS NULL;

-- name: release
INSERT INTO agent_releases (org_id, agent_id, version, approval_id, approved_by, approved_at)
VALUES (:org_id, :agent_id, :version, :approval_id, :approved_by, :now)
ON CONFLICT (org_id, agent_id, version) DO NOTHING;

-- name: is_released
SELECT EXISTS (SELECT 1 FROM agent_releases WHERE org_id = :org_id AND agent_id = :agent_id AND version = :version);

-- name: open_about
-- What waits already about the same thing, for approvals that no run asked for.
SELECT * FROM approvals
WHERE org_id = :org_id AND state = 'pending' AND kind = :kind AND key = :key AND run_id IS NULL LIMIT 1;

-- name: user_of
SELECT user_id FROM chat_links
WHERE org_id = :org_id AND channel = :channel AND sender_id = :sender_id AND (:account IS NULL OR account = :account)
LIMIT 1;

-- name: links_of
SELECT channel, sender_id FROM chat_links WHERE user_id = :user_id AND org_id = :org_id;

-- name: principal
SELECT role, disabled_at FROM principals WHERE id = :id AND org_id = :org_id;

-- name: authors_of_run
-- Who is behind what a run does: who asked for it, who said something to it meanwhile, who answered its questions.
SELECT requested_by AS author FROM runs WHERE id = :run_id
UNION SELECT json_extract(said_by, '$.id') FROM steers WHERE run_id = :run_id
UNION SELECT json_extract(answered_by, '$.id') FROM questions WHERE run_id = :run_id AND answered_by IS NOT NULL;
