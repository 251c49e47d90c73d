-- +goose Up
-- A domain that an account says is its own, until the record in DNS is found.
CREATE TABLE domain_claims (
  domain      TEXT NOT NULL,                 -- A-labels, lower case
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  token       TEXT NOT NULL,                 -- that the record holds; no secret
  created_at  BIGINT NOT NULL,
  checked_at  BIGINT NOT NULL,
  found       TEXT NOT NULL,                 -- what was there instead, '' for nothing
  PRIMARY KEY (account_id, domain)
);
CREATE INDEX domain_claims_by_time ON domain_claims (checked_at);

ALTER TABLE domains ADD COLUMN token TEXT NOT NULL DEFAULT '';          -- of the record that proved it, '' when the operator said so
ALTER TABLE domains ADD COLUMN senders_group TEXT NOT NULL DEFAULT '';  -- who may send under it: members of that group; '' = whoever has an address in it
ALTER TABLE domains ADD COLUMN checked_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domains ADD COLUMN checks TEXT NOT NULL DEFAULT '{}';       -- JSON: what the last look at DNS found
CREATE INDEX domains_by_check ON domains (checked_at);

-- Keys that sign a domain's mail (RFC 6376), beside those of the configuration.
CREATE TABLE dkim_keys (
  domain      TEXT NOT NULL REFERENCES domains(domain) ON DELETE CASCADE,
  selector    TEXT NOT NULL,
  key_box     BYTEA NOT NULL,                -- PKCS #8, sealed
  record      TEXT NOT NULL,                 -- what DNS must say
  state       TEXT NOT NULL,                 -- waiting: not in DNS yet; active; retired: signs no more
  created_at  BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,               -- when the state began
  PRIMARY KEY (domain, selector)
);
CREATE INDEX dkim_keys_by_state ON dkim_keys (state, changed_at);
