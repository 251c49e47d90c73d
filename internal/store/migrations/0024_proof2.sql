-- +goose Up
-- Who has lost their second factor and asked for it to be taken away: one at a time for each person.
CREATE TABLE factor_lifts (
  user_id      TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  id           TEXT NOT NULL UNIQUE,
  account_id   BIGINT,                       -- of the user when they asked, NULL = none
  token_hash   TEXT NOT NULL UNIQUE,         -- of the link that stops it
  asked_at     BIGINT NOT NULL,
  approved_by  TEXT NOT NULL,                -- '' = by nobody yet
  due_at       BIGINT NOT NULL               -- approved: the factors go; not approved: the wish does
);
CREATE INDEX factor_lifts_by_due ON factor_lifts (due_at);
