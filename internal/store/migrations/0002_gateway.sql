-- +goose Up
-- The gateway: who may hand mail to it, by which rules it decides, and what it did.

CREATE TABLE upstreams (
  id           TEXT PRIMARY KEY,
  account_id   BIGINT NOT NULL REFERENCES accounts(id),
  name         TEXT NOT NULL,                -- for people, and the user name of a password
  kind         TEXT NOT NULL,                -- network, certificate, password
  value        TEXT NOT NULL,                -- network: CIDRs, a space between; certificate: SHA-256 of its public key, hex; password: ''
  secret_hash  TEXT NOT NULL,                -- SHA-256 of the password, or of the token in X-Pli-Upstream; '' = none
  forwards     BIGINT NOT NULL,              -- 1: its mail may name foreign domains in From, as forwarded mail does
  created_at   BIGINT NOT NULL,
  UNIQUE (account_id, name)
);

-- An account's rules, as they were written. The highest version is in force.
CREATE TABLE rule_sets (
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  version     BIGINT NOT NULL,
  body        TEXT NOT NULL,                 -- TOML
  author      TEXT NOT NULL,                 -- as audited
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (account_id, version)
);

-- Each message that went through the gateway.
CREATE TABLE transits (
  id          TEXT PRIMARY KEY,              -- the trace id, UUIDv7: the order of arrival
  account_id  BIGINT NOT NULL,
  upstream    TEXT NOT NULL,                 -- its name
  message_id  TEXT NOT NULL,                 -- Message-ID of the header, without angle brackets, '' = none
  sender      TEXT NOT NULL,                 -- of the SMTP envelope, canonical, '' = the null sender
  size        BIGINT NOT NULL,               -- octets
  detail      TEXT NOT NULL,                 -- JSON: per recipient what was decided, why, and what came of it
  at          BIGINT NOT NULL
);
CREATE INDEX transits_by_message ON transits (message_id, account_id);

-- Small payloads, which are durable with the commit that names them. The name
-- is of the same kind as a blob's, and is in messages.payload.
CREATE TABLE payloads (
  name  TEXT PRIMARY KEY,
  body  BYTEA NOT NULL
);

ALTER TABLE messages ADD COLUMN transit TEXT NOT NULL DEFAULT '';   -- trace id, '' = not from the gateway
ALTER TABLE messages ADD COLUMN policy TEXT NOT NULL DEFAULT '';    -- JSON: what the sender or a rule allows; '' = nothing said
ALTER TABLE outbox ADD COLUMN blob TEXT NOT NULL DEFAULT '';        -- ciphertext of a mail that passes as it came, '' = none
