-- +goose Up
-- Who runs the service from a browser. What they may do is what the command line may.
CREATE TABLE operators (
  user_id   TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  added_by  TEXT NOT NULL,                   -- as in the audit log
  added_at  BIGINT NOT NULL
);

ALTER TABLE accounts ADD COLUMN name_key TEXT NOT NULL DEFAULT '';     -- to find it by
UPDATE accounts SET name_key = LOWER(name);
CREATE INDEX accounts_by_name ON accounts (name_key);
