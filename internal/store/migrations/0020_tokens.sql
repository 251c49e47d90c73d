-- +goose Up
-- What programs call the API by, each for the person who made it.
CREATE TABLE api_tokens (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  user_id     TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE, -- its maker
  name        TEXT NOT NULL,
  token_hash  TEXT NOT NULL UNIQUE,          -- SHA-256, hex
  scopes      TEXT NOT NULL,                 -- rights and 'send', comma between
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL                -- to the hour; 0 = never
);
CREATE INDEX api_tokens_by_account ON api_tokens (account_id, created_at, id);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

-- Answers to calls with an idempotency key, kept for a day.
CREATE TABLE api_answers (
  name        TEXT PRIMARY KEY,              -- SHA-256 of who called, what, and the key; hex
  input       TEXT NOT NULL,                 -- SHA-256 of the input, hex
  status      BIGINT NOT NULL,               -- HTTP; 0 while the first call runs
  answer      BYTEA NOT NULL,                -- sealed
  until       BIGINT NOT NULL
);
CREATE INDEX api_answers_by_until ON api_answers (until);

-- The token by which a job was begun: the job may do no more.
ALTER TABLE jobs ADD COLUMN token_id TEXT NOT NULL DEFAULT '';
