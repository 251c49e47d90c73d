-- +goose Up
-- How strongly a recipient proves who they are: remembered devices, further addresses, the sign-in of an organisation.

-- Browsers that are asked for no code again for an address, where an envelope allows it.
CREATE TABLE remembered (
  token_hash  TEXT NOT NULL,                 -- of the device's cookie, SHA-256, hex
  address     TEXT NOT NULL,                 -- canonical
  client      TEXT NOT NULL,                 -- browser, for the list of devices
  created_at  BIGINT NOT NULL,
  seen_at     BIGINT NOT NULL,
  PRIMARY KEY (token_hash, address)
);
CREATE INDEX remembered_by_address ON remembered (address, seen_at);
CREATE INDEX remembered_by_time ON remembered (seen_at);
ALTER TABLE possessions ADD COLUMN device TEXT NOT NULL DEFAULT '';   -- token_hash of the browser that proved it, '' = not known

-- Further addresses that a user has proved by a mailed code.
CREATE TABLE aliases (
  address          TEXT PRIMARY KEY,         -- canonical
  display_address  TEXT NOT NULL,
  user_id          TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  proved_at        BIGINT NOT NULL
);
CREATE INDEX aliases_by_user ON aliases (user_id, address);

-- Whom an OpenID provider knows a user as.
CREATE TABLE identities (
  issuer      TEXT NOT NULL,
  subject     TEXT NOT NULL,
  user_id     TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (issuer, subject),
  UNIQUE (user_id, issuer)
);

-- Visitors who are on their way to an OpenID provider and back.
CREATE TABLE detours (
  state_hash    TEXT PRIMARY KEY,            -- SHA-256 of the state, hex
  session_hash  TEXT NOT NULL,               -- that began it, and alone may end it
  provider      TEXT NOT NULL,               -- its name in the configuration
  next          TEXT NOT NULL,               -- path to go on to
  expires_at    BIGINT NOT NULL
);
CREATE INDEX detours_by_end ON detours (expires_at);
