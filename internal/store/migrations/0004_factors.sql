-- +goose Up
-- How people prove who they are beside a password and a mailed code.

CREATE TABLE passkeys (
  id             TEXT PRIMARY KEY,
  user_id        TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  credential_id  TEXT NOT NULL UNIQUE,       -- the authenticator's, base64url
  name           TEXT NOT NULL,              -- its person's word for it
  record         BYTEA NOT NULL,             -- JSON: public key, counter, flags (webauthn.Credential)
  created_at     BIGINT NOT NULL,
  used_at        BIGINT NOT NULL
);
CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at);

-- One authenticator app per person.
CREATE TABLE authenticators (
  user_id       TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  seed_box      BYTEA NOT NULL,              -- purpose authenticator/<user>
  step          BIGINT NOT NULL,             -- of the last code that was taken: each is taken once
  created_at    BIGINT NOT NULL,
  confirmed_at  BIGINT NOT NULL,             -- 0: no code was typed yet, it does not count
  used_at       BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
  user_id    TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  code_hash  TEXT NOT NULL,                  -- keyed by the root key, hex
  used_at    BIGINT NOT NULL,
  PRIMARY KEY (user_id, code_hash)
);

-- What an authenticator is asked to sign, once, for one session.
CREATE TABLE challenges (
  challenge   TEXT PRIMARY KEY,              -- base64url
  token_hash  TEXT NOT NULL REFERENCES sessions(token_hash) ON DELETE CASCADE,
  purpose     TEXT NOT NULL,                 -- add, prove
  data        BYTEA NOT NULL,                -- JSON (webauthn.SessionData)
  expires_at  BIGINT NOT NULL
);
CREATE INDEX challenges_by_session ON challenges (token_hash);
