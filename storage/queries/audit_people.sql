-- Whose the opaque ids in audit entries are.

-- name: find
SELECT id, name FROM audit_people WHERE org_id = :org_id AND actor_id = :actor_id;

-- name: id_of
SELECT id FROM audit_people WHERE org_id = :org_id AND actor_id = :actor_id;

-- name: insert
INSERT INTO audit_people (id, org_id, actor_id, name, created_at) VALUES (:id, :org_id, :actor_id, :name, :now);

-- name: rename
UPDATE audit_people SET name = :name WHERE id = :id;

-- name: names_of
SELECT id, name FROM audit_people WHERE org_id = :org_id AND id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT id, name FROM principals WHERE org_id = :org_id AND id IN (SELECT value FROM json_each(:ids));

-- name: forget
DELETE FROM audit_people WHERE org_id = :org_id AND id = :id;
