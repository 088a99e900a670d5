-- Finding audit entries by what is in them.

-- name: state
SELECT audit_indexed AS indexed, coalesce((SELECT max(seq) FROM audit_entries), 0) AS size FROM store WHERE id = 1;

-- name: entries_after
SELECT seq, org_id, at, body FROM audit_entries WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: insert
INSERT INTO audit_index (org_id, field, value, seq) VALUES (:org_id, :field, :value, :seq) ON CONFLICT DO NOTHING;

-- name: insert_hour
INSERT INTO audit_hours (org_id, hour, first_seq, last_seq) VALUES (:org_id, :hour, :seq, :seq)
ON CONFLICT (org_id, hour) DO UPDATE SET last_seq = :seq;

-- name: set_indexed
UPDATE store SET audit_indexed = :seq WHERE id = 1;

-- name: first_since
SELECT min(first_seq) FROM audit_hours WHERE org_id = :org_id AND hour >= :hour;

-- name: last_until
SELECT max(last_seq) FROM audit_hours WHERE org_id = :org_id AND hour <= :hour;

-- name: page_in_time
-- See audit.page for the coalesce().
SELECT seq, at, action, body, hash FROM audit_entries
WHERE seq > :after AND seq <= :last AND coalesce(org_id, '') = :org_id AND at >= :since AND at < :until
ORDER BY seq LIMIT :limit;

-- name: page_by
-- The most telling filter leads; the others are looked up, each under the same key. One that is not given is ''.
SELECT e.seq, e.at, e.action, e.body, e.hash FROM audit_index i JOIN audit_entries e ON e.seq = i.seq
WHERE i.org_id = :org_id AND i.field = :field AND i.value = :value AND i.seq > :after AND i.seq <= :last
  AND e.at >= :since AND e.at < :until
  AND (:field2 = '' OR EXISTS (
    SELECT 1 FROM audit_index x WHERE x.org_id = :org_id AND x.field = :field2 AND x.value = :value2 AND x.seq = i.seq))
  AND (:field3 = '' OR EXISTS (
    SELECT 1 FROM audit_index x WHERE x.org_id = :org_id AND x.field = :field3 AND x.value = :value3 AND x.seq = i.seq))
  AND (:field4 = '' OR EXISTS (
    SELECT 1 FROM audit_index x WHERE x.org_id = :org_id AND x.field = :field4 AND x.value = :value4 AND x.seq = i.seq))
  AND (:field5 = '' OR EXISTS (
    SELECT 1 FROM audit_index x WHERE x.org_id = :org_id AND x.field = :field5 AND x.value = :value5 AND x.seq = i.seq))
ORDER BY i.seq LIMIT :limit;
