-- +goose Up

-- The act's transaction pays for one entry in a small index; the notary
-- (internal/audit) numbers what is committed, and pays for the others.
ALTER TABLE audit ADD COLUMN pos  BIGINT NOT NULL DEFAULT 0; -- order in which the notary came to it, over all accounts; 0: not yet
ALTER TABLE audit ADD COLUMN seq  BIGINT NOT NULL DEFAULT 0; -- place in its account's chain, from 1
ALTER TABLE audit ADD COLUMN hash BYTEA;                     -- SHA-256, docs/spec/audit-chain.md

CREATE INDEX audit_unchained ON audit (id) WHERE pos = 0;
CREATE UNIQUE INDEX audit_by_pos ON audit (pos) WHERE pos > 0;
CREATE UNIQUE INDEX audit_chain ON audit (COALESCE(account_id, 0), seq) WHERE pos > 0;
DROP INDEX audit_by_target;
CREATE INDEX audit_by_target ON audit (account_id, target, id) WHERE pos > 0;
CREATE INDEX audit_by_actor ON audit (account_id, actor, id) WHERE pos > 0;
CREATE INDEX audit_by_action ON audit (account_id, action, id) WHERE pos > 0;
CREATE INDEX audit_by_refusal ON audit (account_id, id) WHERE pos > 0 AND outcome = 'refused';

CREATE TABLE audit_heads (                                   -- the end of each chain
  account_id    BIGINT PRIMARY KEY,                          -- 0: of no account
  seq           BIGINT NOT NULL,
  hash          BYTEA NOT NULL,
  at            BIGINT NOT NULL,                             -- when it was signed
  signature     BYTEA NOT NULL,                              -- Ed25519
  checkpoint_seq BIGINT NOT NULL,                            -- the last that is an event itself
  checkpoint_at BIGINT NOT NULL,
  checked_at    BIGINT NOT NULL,                             -- last full check; 0: none yet
  checked_seq   BIGINT NOT NULL,
  checking_at   BIGINT NOT NULL,                             -- by whoever checks now
  broken_seq    BIGINT NOT NULL,                             -- from here on it does not verify; 0: it does
  broken_id     TEXT NOT NULL,                               -- that event, '' where it is gone
  broken_why    TEXT NOT NULL
);
CREATE INDEX audit_heads_due ON audit_heads (checked_at);

CREATE TABLE audit_notary (                                  -- one row: who holds it may number events
  id            BIGINT PRIMARY KEY,
  pos           BIGINT NOT NULL
);
INSERT INTO audit_notary (id, pos) VALUES (1, 0);

CREATE TABLE audit_streams (                                 -- how far each receiver has the events
  name          TEXT PRIMARY KEY,
  pos           BIGINT NOT NULL,
  until_at      BIGINT NOT NULL,                             -- held by a node until then
  failing_since BIGINT NOT NULL,                             -- 0: the last one was taken
  last_error    TEXT NOT NULL
);
