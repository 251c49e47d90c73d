-- +goose Up
-- An account's contacts, its deletion, and the archives of all that it has.

ALTER TABLE accounts ADD COLUMN contacts TEXT NOT NULL DEFAULT '';      -- JSON: addresses that get the service's notices, by kind
ALTER TABLE accounts ADD COLUMN state_before TEXT NOT NULL DEFAULT '';  -- while it is being deleted: to go back to
ALTER TABLE accounts ADD COLUMN delete_at BIGINT NOT NULL DEFAULT 0;    -- when it is, or was, destroyed
ALTER TABLE accounts ADD COLUMN erased_at BIGINT NOT NULL DEFAULT 0;    -- nothing is left but the number and the log
CREATE INDEX accounts_by_deletion ON accounts (delete_at) WHERE delete_at > 0 AND erased_at = 0;
CREATE INDEX accounts_by_state ON accounts (state, id);

-- What is destroyed by account in batches.
CREATE INDEX drafts_by_account ON drafts (account_id);
CREATE INDEX intakes_by_account ON intakes (account_id);
CREATE INDEX lifts_by_account ON factor_lifts (account_id);

-- The archive that a job of kind account.export made.
CREATE TABLE account_exports (
  job_id      TEXT PRIMARY KEY REFERENCES jobs(id) ON DELETE CASCADE,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  blob        TEXT NOT NULL,                 -- the archive, encrypted
  key_box     BYTEA NOT NULL,                -- purpose export/<job>
  size        BIGINT NOT NULL,               -- bytes of the archive itself
  sum         TEXT NOT NULL,                 -- its SHA-256, hex
  ends_at     BIGINT NOT NULL
);
CREATE INDEX account_exports_by_end ON account_exports (ends_at);
CREATE INDEX account_exports_by_account ON account_exports (account_id);
CREATE INDEX account_exports_by_blob ON account_exports (blob);
