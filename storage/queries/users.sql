-- Organizations and their principals: users, service accounts, agents and devices.

-- name: organizations
SELECT id FROM organizations ORDER BY id;

-- name: ensure_organization
INSERT INTO organizations (id, name, created_at) VALUES (:id, :name, :now)
ON CONFLICT (id) DO UPDATE SET name = excluded.name;

-- name: insert
INSERT INTO principals (id, org_id, kind, name, role, created_at)
VALUES (:id, :org_id, :kind, :name, :role, :now);

-- name: find
SELECT * FROM principals WHERE org_id = :org_id AND id = :id;

-- name: page
SELECT * FROM principals
WHERE org_id = :org_id AND id < :before AND (:kind IS NULL OR kind = :kind)
ORDER BY id DESC LIMIT :limit;

-- name: change
UPDATE principals SET name = :name, role = :role, disabled_at = :disabled_at, updated_at = :now
WHERE org_id = :org_id AND id = :id;
