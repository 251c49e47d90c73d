-- +goose Up
-- What users of accounts are found by: address, name, last name, folded to small letters without accents. Octets,
-- so that both engines order them alike and a beginning is a range.
CREATE TABLE user_names (
  account_id BIGINT NOT NULL,
  key        BYTEA NOT NULL,
  user_id    TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  PRIMARY KEY (account_id, key, user_id)
);
CREATE INDEX user_names_by_user ON user_names (user_id, key);

-- Users from before are named when a program of this version starts.
ALTER TABLE users ADD COLUMN named BIGINT NOT NULL DEFAULT 0; -- 1: their names are in user_names
CREATE INDEX users_unnamed ON users (id) WHERE named = 0;
-- A filter by state reads no row of another.
CREATE INDEX users_by_state ON users (account_id, state, address, temporary);
