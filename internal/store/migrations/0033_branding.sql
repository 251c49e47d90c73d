-- +goose Up
-- How an account looks to its recipients.

ALTER TABLE accounts ADD COLUMN brand TEXT NOT NULL DEFAULT '';      -- JSON (brand.Brand), '' = the service's own look
ALTER TABLE accounts ADD COLUMN brand_key TEXT NOT NULL DEFAULT '';  -- its name, folded, to find it by; '' = none
CREATE INDEX accounts_by_brand ON accounts (brand_key);

CREATE TABLE logos (
	account_id BIGINT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
	hash       TEXT NOT NULL,      -- of the body: its address, the same for whoever has the same picture
	media_type TEXT NOT NULL,
	body       BYTEA NOT NULL,     -- as pages get it
	mail       BYTEA               -- PNG, as mails carry it; NULL = they carry none
);
CREATE INDEX logos_hash ON logos (hash);
