-- +goose Up
-- Who typed the password, or the one that it goes back to without a proof of the mailbox between: a user, '?' = it is not known, '' = nobody else.
ALTER TABLE users ADD COLUMN typed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN password_at BIGINT NOT NULL DEFAULT 0;      -- when the password was set
ALTER TABLE users ADD COLUMN second BIGINT NOT NULL DEFAULT 0;           -- 1: has a second factor
ALTER TABLE users ADD COLUMN second_required BIGINT NOT NULL DEFAULT 0;  -- 1: of this person, whatever the account says
ALTER TABLE users ADD COLUMN second_due BIGINT NOT NULL DEFAULT 0;       -- until when they may sign in without one; 0 = not asked for yet
UPDATE users SET typed_by = CASE WHEN given = 1 THEN '?' ELSE '' END, password_at = created_at;
UPDATE users SET second = 1 WHERE id IN (SELECT user_id FROM passkeys) OR id IN (SELECT user_id FROM authenticators WHERE confirmed_at > 0);
CREATE INDEX users_by_second ON users (account_id, second, address);

-- A link by which a person sets a new password, which an administrator had mailed to them: one at a time.
CREATE TABLE password_links (
  user_id     TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  token_hash  TEXT NOT NULL UNIQUE,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);

-- Two users of one account who are one person, as an administrator says: each user is in one at most.
CREATE TABLE merges (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  keep_id     TEXT NOT NULL UNIQUE REFERENCES users(id) ON DELETE CASCADE,
  gone_id     TEXT NOT NULL UNIQUE REFERENCES users(id) ON DELETE CASCADE,
  actor_id    TEXT NOT NULL,                 -- who proposed it, '' = the operator
  actor       TEXT NOT NULL,                 -- as in the audit log
  actor_name  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);
CREATE INDEX merges_by_account ON merges (account_id, created_at);
