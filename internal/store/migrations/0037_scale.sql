-- +goose Up
-- An account's built-in group is found among a hundred thousand.
CREATE UNIQUE INDEX user_groups_builtin ON user_groups (account_id) WHERE builtin = 1;
