-- +goose Up
-- Who invites, '' = the operator: what an invitation gives, they must still be able to give when it is accepted.
ALTER TABLE invitations ADD COLUMN inviter_id TEXT NOT NULL DEFAULT '';
