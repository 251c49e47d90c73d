-- +goose Up
-- What an account decides for its envelopes, and how a session proved who it is.

ALTER TABLE accounts ADD COLUMN settings TEXT NOT NULL DEFAULT '';        -- JSON (policy.Settings), '' = as a new account has them
ALTER TABLE sessions ADD COLUMN method TEXT NOT NULL DEFAULT '';          -- code, password, passkey, oidc: what it was proved by; '' = nothing
ALTER TABLE sessions ADD COLUMN second_at BIGINT NOT NULL DEFAULT 0;      -- when a second factor was last proved in it
