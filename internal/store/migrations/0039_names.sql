-- +goose Up
-- What users of accounts are found by besides their address, in the users' own rows: the whole name and the last
-- name, folded to small letters without accents. Octets, so that both engines order them alike and a beginning is a range.
DROP TABLE user_names;
ALTER TABLE users ADD COLUMN name_key BYTEA NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN last_name_key BYTEA NOT NULL DEFAULT '';
CREATE INDEX users_by_name ON users (account_id, name_key, id);
CREATE INDEX users_by_last_name ON users (account_id, last_name_key, id);
UPDATE users SET named = 0; -- those of before are named when a program of this version starts
