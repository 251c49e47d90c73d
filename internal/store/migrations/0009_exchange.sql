-- +goose Up
-- A link with which a person outside sends something to a user, sealed in their browser.
CREATE TABLE intakes (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  user_id     TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  token_hash  TEXT NOT NULL UNIQUE,          -- SHA-256 of the link's token, hex
  box         BYTEA NOT NULL,                -- JSON {title, text, types, token}, sealed by masterkey
  prove       BIGINT NOT NULL,               -- 1: who answers proves their address by a mailed code
  most        BIGINT NOT NULL,               -- answers
  max_bytes   BIGINT NOT NULL,               -- of the files of one answer
  answers     BIGINT NOT NULL,               -- so far
  closed_at   BIGINT NOT NULL,
  ends_at     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE INDEX intakes_by_user ON intakes (user_id, created_at, id);

ALTER TABLE messages ADD COLUMN intake TEXT NOT NULL DEFAULT '';      -- id of the intake that it answers
ALTER TABLE messages ADD COLUMN proved BIGINT NOT NULL DEFAULT 0;     -- 1: its sender proved their address, by a code
CREATE INDEX messages_by_intake ON messages (intake, sealed_at) WHERE intake <> '';
