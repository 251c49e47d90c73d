-- +goose Up
-- 1: an administrator typed the password; beside it, its person proves their mailbox.
ALTER TABLE users ADD COLUMN given BIGINT NOT NULL DEFAULT 0;
UPDATE users SET given = 1 WHERE managed = 1 AND temporary = 1;
