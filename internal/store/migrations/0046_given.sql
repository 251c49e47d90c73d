-- +goose Up
-- An invitation that comes of a file's row may be to several groups: those besides group_id, by id.
ALTER TABLE invitations ADD COLUMN also TEXT NOT NULL DEFAULT '';
-- What an API token began takes effect only as far as the token goes by then; '' = no token.
ALTER TABLE invitations ADD COLUMN token_id TEXT NOT NULL DEFAULT '';
ALTER TABLE merges ADD COLUMN token_id TEXT NOT NULL DEFAULT '';
-- What is known of whom an invitation is for: the language of its mail, and what the form begins with.
ALTER TABLE invitations ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE invitations ADD COLUMN first_name TEXT NOT NULL DEFAULT '';
ALTER TABLE invitations ADD COLUMN last_name TEXT NOT NULL DEFAULT '';
