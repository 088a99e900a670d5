-- Content behind the commitments of audit entries, and the keys that open it.

-- name: newest_key
SELECT id, wrapped FROM audit_keys WHERE org_id = :org_id AND subject = :subject ORDER BY id DESC LIMIT 1;

-- name: insert_key
INSERT INTO audit_keys (org_id, subject, wrapped, created_at) VALUES (:org_id, :subject, :wrapped, :now);

-- name: insert_content
INSERT INTO audit_content (seq, org_id, key_id, sealed) VALUES (:seq, :org_id, :key_id, :sealed);

-- name: insert_address
INSERT INTO audit_addresses (commitment, org_id, key_id, sealed_at, sealed)
VALUES (:commitment, :org_id, :key_id, :sealed_at, :sealed);

-- name: has_address
SELECT 1 FROM audit_addresses WHERE commitment = :commitment AND org_id = :org_id;

-- name: entries
SELECT e.seq, e.body, c.sealed, k.wrapped FROM json_each(:seqs) AS wanted
JOIN audit_entries e ON e.seq = wanted.value AND coalesce(e.org_id, '') = :org_id
LEFT JOIN audit_content c ON c.seq = e.seq AND c.org_id = :org_id
LEFT JOIN audit_keys k ON k.id = c.key_id;

-- name: address
SELECT a.sealed, k.wrapped, k.subject FROM audit_addresses a JOIN audit_keys k ON k.id = a.key_id
WHERE a.commitment = :commitment AND a.org_id = :org_id;

-- name: delete_content
DELETE FROM audit_content WHERE key_id IN (SELECT id FROM audit_keys WHERE org_id = :org_id AND subject = :subject);

-- name: delete_addresses
DELETE FROM audit_addresses WHERE key_id IN (SELECT id FROM audit_keys WHERE org_id = :org_id AND subject = :subject);

-- name: delete_keys
DELETE FROM audit_keys WHERE org_id = :org_id AND subject = :subject;
