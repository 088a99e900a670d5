-- Content behind the commitments of audit entries, and the keys that open it.

-- name: newest_key
SELECT id, wrapped FROM audit_keys WHERE org_id = :org_id AND subject = :subject ORDER BY id DESC LIMIT 1;

-- name: insert_key
INSERT INTO audit_keys (org_id, subject, wrapped, created_at) VALUES (:org_id, :subject, :wrapped, :now);

-- name: insert
INSERT INTO audit_content (seq, part, org_id, key_id, sealed)
VALUES (:seq, :part, :org_id, :key_id, :sealed);

-- name: of_entries
SELECT c.seq, c.part, c.sealed, k.wrapped FROM json_each(:seqs) AS wanted
JOIN audit_content c ON c.seq = wanted.value AND c.org_id = :org_id
JOIN audit_keys k ON k.id = c.key_id;

-- name: delete_of_subject
DELETE FROM audit_content WHERE key_id IN (SELECT id FROM audit_keys WHERE org_id = :org_id AND subject = :subject);

-- name: delete_keys
DELETE FROM audit_keys WHERE org_id = :org_id AND subject = :subject;
