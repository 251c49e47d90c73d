-- +goose Up
-- Where events are sent to, for an account's own programs.
CREATE TABLE webhooks (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  maker_id    TEXT NOT NULL,                 -- user who said last where it goes and what it is sent, '' an operator on the host
  operator    BIGINT NOT NULL,               -- 1: they did so as an operator
  description TEXT NOT NULL,
  host        TEXT NOT NULL,                 -- of the URL, for the lists and the log
  url_box     BYTEA NOT NULL,                -- sealed: receivers put keys into addresses
  events      TEXT NOT NULL,                 -- patterns, comma between
  addresses   BIGINT NOT NULL,               -- 1: with the addresses of people, while the maker may see them
  state       TEXT NOT NULL,                 -- on, paused, off
  why         TEXT NOT NULL,                 -- of off: gone, failing
  secret_box  BYTEA NOT NULL,                -- sealed
  old_box     BYTEA NOT NULL,                -- the secret before it
  old_until   BIGINT NOT NULL,               -- until when that signs too
  from_pos    BIGINT NOT NULL,               -- of the notary, when it was made: older events are not sent
  created_at  BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,
  next_at     BIGINT NOT NULL,               -- of the next try, 0 = nothing waits
  wait_until  BIGINT NOT NULL,               -- no try before, after failures
  lease_until BIGINT NOT NULL,               -- a node sends, until then
  failures    BIGINT NOT NULL,               -- tries since the last delivery
  failing_at  BIGINT NOT NULL,               -- of the first of them
  last_error  TEXT NOT NULL,
  last_status BIGINT NOT NULL
);
CREATE INDEX webhooks_by_account ON webhooks (account_id, created_at, id);
CREATE INDEX webhooks_due ON webhooks (next_at) WHERE next_at > 0;

CREATE TABLE webhook_deliveries (
  hook_id     TEXT NOT NULL REFERENCES webhooks(id) ON DELETE CASCADE,
  event_id    TEXT NOT NULL,                 -- of the audit log
  pos         BIGINT NOT NULL,               -- the notary's
  action      TEXT NOT NULL,
  outcome     TEXT NOT NULL,
  state       TEXT NOT NULL,                 -- waiting, delivered, failed
  made_at     BIGINT NOT NULL,
  due_at      BIGINT NOT NULL,
  tries       BIGINT NOT NULL,
  tried_at    BIGINT NOT NULL,
  status      BIGINT NOT NULL,               -- HTTP, of the last try
  failure     TEXT NOT NULL,                 -- of the last try
  PRIMARY KEY (hook_id, event_id)
);
CREATE INDEX webhook_deliveries_by_hook ON webhook_deliveries (hook_id, pos, event_id);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (hook_id, pos, event_id) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (hook_id, made_at) WHERE state = 'failed';
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (made_at);
