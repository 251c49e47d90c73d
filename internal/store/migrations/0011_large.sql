-- +goose Up
-- A file too large for a mail, sealed where it was chosen and kept as ciphertext until its message ends.
CREATE TABLE larges (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  user_id     TEXT NOT NULL,                 -- who sends it; kept when they are deleted
  size        BIGINT NOT NULL,               -- of the ciphertext, as it was announced
  got         BIGINT NOT NULL,               -- bytes of it that are here
  message_id  TEXT NOT NULL,                 -- that has its key, '' = none yet
  created_at  BIGINT NOT NULL,
  touched_at  BIGINT NOT NULL                -- when bytes came last
);
CREATE INDEX larges_by_account ON larges (account_id, user_id);
CREATE INDEX larges_by_message ON larges (message_id);

CREATE TABLE large_parts (
  large_id  TEXT NOT NULL REFERENCES larges(id) ON DELETE CASCADE,
  at        BIGINT NOT NULL,                 -- offset of its first byte
  size      BIGINT NOT NULL,
  blob      TEXT NOT NULL,
  PRIMARY KEY (large_id, at)
);
CREATE INDEX large_parts_by_blob ON large_parts (blob);
