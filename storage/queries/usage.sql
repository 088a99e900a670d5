-- Usage by day, and step by step for one thread.

-- name: add
INSERT INTO usage_daily (org_id, day, agent_id, model, person, room, token_id, runs, input_tokens, output_tokens,
  cost_microusd)
VALUES (:org_id, :day, :agent_id, :model, :person, :room, :token_id, :runs, :input_tokens, :output_tokens,
  :cost_microusd)
ON CONFLICT (org_id, day, agent_id, model, person, room, token_id) DO UPDATE SET
  runs = usage_daily.runs + excluded.runs, input_tokens = usage_daily.input_tokens + excluded.input_tokens,
  output_tokens = usage_daily.output_tokens + excluded.output_tokens,
  cost_microusd = usage_daily.cost_microusd + excluded.cost_microusd;

-- name: days
-- What is asked for most, in the order of the index.
SELECT day, '' AS agent, '' AS person, '' AS room, '' AS token, '' AS model, '' AS tag, sum(runs) AS runs,
  sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost_microusd) AS cost_microusd
FROM usage_daily WHERE org_id = :org_id AND day >= :since AND day <= :until AND day > :after
GROUP BY day ORDER BY day LIMIT :limit;

-- name: groups
-- What is not asked for is one empty group; a page begins behind the last group of the page before.
SELECT * FROM (
  SELECT CASE WHEN :by_day THEN d.day ELSE '' END AS day, CASE WHEN :by_agent THEN d.agent_id ELSE '' END AS agent,
    CASE WHEN :by_person THEN d.person ELSE '' END AS person, CASE WHEN :by_room THEN d.room ELSE '' END AS room,
    CASE WHEN :by_token THEN d.token_id ELSE '' END AS token, CASE WHEN :by_model THEN d.model ELSE '' END AS model,
    coalesce(t.value, '') AS tag, sum(d.runs) AS runs, sum(d.input_tokens) AS input_tokens,
    sum(d.output_tokens) AS output_tokens, sum(d.cost_microusd) AS cost_microusd
  FROM usage_daily d LEFT JOIN agent_tags t ON t.agent_id = d.agent_id AND t.name = :tag
  WHERE d.org_id = :org_id AND d.day >= :since AND d.day <= :until
  GROUP BY 1, 2, 3, 4, 5, 6, 7) found
WHERE :is_first OR (day, agent, person, room, token, model, tag) > (:a, :b, :c, :d, :e, :f, :g)
ORDER BY day, agent, person, room, token, model, tag LIMIT :limit;

-- name: groups_of_thread
-- The same of one thread, whose steps are few; its runs are counted on the day they ended. Days are numbers here,
-- from 1970, as texts of the same length.
SELECT * FROM (
  SELECT CASE WHEN :by_day THEN d.day ELSE '' END AS day, CASE WHEN :by_agent THEN d.agent_id ELSE '' END AS agent,
    CASE WHEN :by_person THEN d.person ELSE '' END AS person, CASE WHEN :by_room THEN d.room ELSE '' END AS room,
    CASE WHEN :by_token THEN d.token_id ELSE '' END AS token, CASE WHEN :by_model THEN d.model ELSE '' END AS model,
    coalesce(t.value, '') AS tag, sum(d.runs) AS runs, sum(d.input_tokens) AS input_tokens,
    sum(d.output_tokens) AS output_tokens, sum(d.cost_microusd) AS cost_microusd
  FROM (
    SELECT CAST(u.at / 86400000 AS TEXT) AS day, r.agent_id, r.requested_by AS person, r.room,
      r.token_id, u.model, 0 AS runs, u.input_tokens, u.output_tokens, u.cost_microusd
    FROM runs r JOIN usage u ON u.run_id = r.id WHERE r.org_id = :org_id AND r.thread_id = :thread_id
    UNION ALL
    SELECT CAST(r.ended_at / 86400000 AS TEXT), r.agent_id, r.requested_by, r.room,
      r.token_id, '', 1, 0, 0, 0
    FROM runs r WHERE r.org_id = :org_id AND r.thread_id = :thread_id AND r.ended_at IS NOT NULL) d
    LEFT JOIN agent_tags t ON t.agent_id = d.agent_id AND t.name = :tag
  WHERE d.day >= :since AND d.day <= :until
  GROUP BY 1, 2, 3, 4, 5, 6, 7) found
WHERE :is_first OR (day, agent, person, room, token, model, tag) > (:a, :b, :c, :d, :e, :f, :g)
ORDER BY day, agent, person, room, token, model, tag LIMIT :limit;

-- name: clear_tags
DELETE FROM agent_tags;

-- name: set_tag
INSERT INTO agent_tags (agent_id, name, value) VALUES (:agent_id, :name, :value);
