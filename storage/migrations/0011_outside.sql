-- Messages of people from outside the organization (shared channels, guests): who reads them has read a stranger's words.
ALTER TABLE messages ADD COLUMN from_outside INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_from_outside ON messages (thread_id, seq) WHERE from_outside = 1;
