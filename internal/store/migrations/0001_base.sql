-- +goose Up
-- One text for SQLite and PostgreSQL. Times are Unix milliseconds in UTC, 0 = never.
-- Identifiers are lower-case hex of 16 random bytes unless said otherwise.
-- *_box columns are sealed by masterkey: nobody reads them with the database alone.

CREATE TABLE accounts (
  id            BIGINT PRIMARY KEY,          -- the account number
  name          TEXT NOT NULL,
  language      TEXT NOT NULL,               -- en, fr
  time_zone     TEXT NOT NULL,               -- IANA name
  state         TEXT NOT NULL,               -- active, suspended
  expiry_days   BIGINT NOT NULL,             -- how long an envelope can be opened by default, 0 = for ever
  keep_days     BIGINT NOT NULL,             -- how long the service keeps the ciphertext for the link, 0 = never
  created_at    BIGINT NOT NULL
);

-- Mail domains whose senders write under their own address; each is one account's.
CREATE TABLE domains (
  domain      TEXT PRIMARY KEY,              -- A-labels, lower case
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  created_at  BIGINT NOT NULL
);
CREATE INDEX domains_by_account ON domains (account_id, domain);

CREATE TABLE users (
  id               TEXT PRIMARY KEY,
  account_id       BIGINT REFERENCES accounts(id),  -- NULL: a recipient who enrolled and belongs to no account
  managed          BIGINT NOT NULL,          -- 1: created by an administrator, who may reset the password
  address          TEXT NOT NULL UNIQUE,     -- canonical
  display_address  TEXT NOT NULL,
  first_name       TEXT NOT NULL,
  last_name        TEXT NOT NULL,
  language         TEXT NOT NULL,
  time_zone        TEXT NOT NULL,
  theme            TEXT NOT NULL,            -- auto, light, dark
  notify_opened    BIGINT NOT NULL,
  password_hash    TEXT NOT NULL,            -- PHC string, '' = none
  temporary        BIGINT NOT NULL,          -- 1: the password opens only the page that sets another
  temporary_until  BIGINT NOT NULL,
  state            TEXT NOT NULL,            -- active, locked
  welcomed_at      BIGINT NOT NULL,          -- when they left the new-account page
  last_sign_in_at  BIGINT NOT NULL,
  created_at       BIGINT NOT NULL
);
CREATE INDEX users_by_account ON users (account_id, address, id, first_name, last_name, state, temporary, last_sign_in_at);

CREATE TABLE user_groups (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  name        TEXT NOT NULL,
  name_key    TEXT NOT NULL,                 -- case-folded NFKC, for uniqueness and order
  builtin     BIGINT NOT NULL,               -- 1: Account Administrators
  created_at  BIGINT NOT NULL,
  UNIQUE (account_id, name_key)
);

CREATE TABLE memberships (
  group_id  TEXT NOT NULL REFERENCES user_groups(id) ON DELETE CASCADE,
  user_id   TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  added_at  BIGINT NOT NULL,
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id, group_id);

CREATE TABLE invitations (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  group_id    TEXT REFERENCES user_groups(id) ON DELETE CASCADE,
  address     TEXT NOT NULL,
  display_address TEXT NOT NULL,
  token_hash  TEXT NOT NULL UNIQUE,          -- SHA-256 of the token, hex
  invited_by  TEXT NOT NULL,                 -- name to show
  state       TEXT NOT NULL,                 -- pending, accepted, declined, revoked
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);
CREATE INDEX invitations_by_group ON invitations (group_id, state, address);
CREATE INDEX invitations_by_account ON invitations (account_id, state, address);

CREATE TABLE access_requests (
  id          TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  account_id  BIGINT REFERENCES accounts(id),  -- NULL: for the operator
  reason      TEXT NOT NULL,
  state       TEXT NOT NULL,                 -- pending, granted, refused
  created_at  BIGINT NOT NULL
);
CREATE INDEX access_requests_by_account ON access_requests (account_id, state, created_at);

-- A browser or a terminal. A visitor has no user; a signed-in person has.
CREATE TABLE sessions (
  token_hash  TEXT PRIMARY KEY,              -- SHA-256 of the token, hex
  user_id     TEXT REFERENCES users(id) ON DELETE CASCADE,
  scope       TEXT NOT NULL,                 -- visitor, set-password, full
  address     TEXT NOT NULL,                 -- canonical address proven in this session, '' = none
  nonce       TEXT NOT NULL,                 -- hex, 32 bytes, for proofs of possession
  client      TEXT NOT NULL,                 -- browser or terminal, for the list of devices
  created_at  BIGINT NOT NULL,
  seen_at     BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL                -- absolute end
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Which slots a session has proved to hold the mail of.
CREATE TABLE possessions (
  token_hash  TEXT NOT NULL REFERENCES sessions(token_hash) ON DELETE CASCADE,
  slot_id     TEXT NOT NULL,
  proved_at   BIGINT NOT NULL,
  PRIMARY KEY (token_hash, slot_id)
);

-- Mailed codes. One live code per session, purpose and slot.
CREATE TABLE codes (
  id          TEXT PRIMARY KEY,
  token_hash  TEXT NOT NULL,                 -- of the session that asked
  purpose     TEXT NOT NULL,                 -- open, sign-in, recover
  address     TEXT NOT NULL,
  slot_id     TEXT NOT NULL,                 -- '' unless purpose is open
  code_hash   TEXT NOT NULL,
  tries       BIGINT NOT NULL,
  state       TEXT NOT NULL,                 -- live, used, dead
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);
CREATE INDEX codes_by_session ON codes (token_hash, purpose, created_at);
CREATE INDEX codes_by_end ON codes (expires_at);

-- Counters for limits that must hold on every node.
CREATE TABLE throttles (
  name      TEXT PRIMARY KEY,                -- what is counted, e.g. 'password:<user>:<network>'
  count     BIGINT NOT NULL,
  since     BIGINT NOT NULL,
  until     BIGINT NOT NULL                  -- refused before this time
);
CREATE INDEX throttles_by_time ON throttles (since);

CREATE TABLE service_keys (
  name        TEXT PRIMARY KEY,              -- what it is for: seal, password
  version     BIGINT NOT NULL,               -- of the root key that wraps it
  key_box     BYTEA NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE TABLE account_keys (
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  version     BIGINT NOT NULL,
  root        BIGINT NOT NULL,               -- version of the root key that wraps it
  key_box     BYTEA NOT NULL,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (account_id, version)
);
CREATE TABLE epoch_keys (
  account_id   BIGINT NOT NULL,
  month        BIGINT NOT NULL,              -- of expiry, year*100+month; 0 = envelopes without an end
  version      BIGINT NOT NULL,              -- of the account key that wraps it
  key_box      BYTEA NOT NULL,               -- emptied when destroyed
  created_at   BIGINT NOT NULL,
  destroyed_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, month)
);

CREATE TABLE messages (
  id            TEXT PRIMARY KEY,            -- the envelope's message id
  account_id    BIGINT NOT NULL REFERENCES accounts(id),
  sender_id     TEXT REFERENCES users(id) ON DELETE SET NULL,
  sender_address TEXT NOT NULL,
  sender_name   TEXT NOT NULL,
  verified      BIGINT NOT NULL,             -- 1: the sender's domain was one of this service's
  card_box      BYTEA NOT NULL,              -- JSON {subject, note} for the sender and the landing page
  mh            BYTEA NOT NULL,
  hh            BYTEA NOT NULL,
  ph            BYTEA NOT NULL,
  seal          BYTEA NOT NULL,
  payload_size  BIGINT NOT NULL,
  payload       TEXT NOT NULL,               -- name of the kept ciphertext, '' = not kept
  payload_until BIGINT NOT NULL,
  epoch         BIGINT NOT NULL,             -- month of the epoch key
  notify_opened BIGINT NOT NULL,
  sealed_at     BIGINT NOT NULL,
  expires_at    BIGINT NOT NULL,
  locked_at     BIGINT NOT NULL,
  carrier       TEXT NOT NULL                -- mail: the outbox delivers it; file: the sender holds the file
);
CREATE INDEX messages_by_sender ON messages (sender_id, sealed_at, id);
CREATE INDEX messages_by_payload ON messages (payload_until);

CREATE TABLE slots (
  id             TEXT PRIMARY KEY,           -- the envelope's slot id
  message_id     TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  ref            TEXT NOT NULL UNIQUE,       -- 6 characters, shown to the recipient as 7KQ-42F
  address        TEXT NOT NULL,
  display_address TEXT NOT NULL,
  rh             BYTEA NOT NULL,
  wrap           BYTEA NOT NULL,
  s_box          BYTEA NOT NULL,             -- S under the epoch key; emptied when shredded
  pop            BYTEA NOT NULL,
  locked_at      BIGINT NOT NULL,
  delivery       TEXT NOT NULL,              -- queued, sent, bounced, none
  delivered_at   BIGINT NOT NULL,
  delivery_text  TEXT NOT NULL,              -- what the next hop said, on a bounce
  first_opened_at BIGINT NOT NULL,
  last_opened_at BIGINT NOT NULL,
  openings       BIGINT NOT NULL
);
CREATE INDEX slots_by_message ON slots (message_id, address);
CREATE INDEX slots_by_address ON slots (address, message_id);

-- Ciphertext that a browser without script posted, waiting for its page.
CREATE TABLE stages (
  id          TEXT PRIMARY KEY,              -- SHA-256 of the id in the address, hex
  token_hash  TEXT NOT NULL,                 -- of the cookie that the post set
  blob        TEXT NOT NULL,                 -- '' while it is still being posted
  size        BIGINT NOT NULL,               -- bytes
  network     TEXT NOT NULL,                 -- that posted it, /24 or /64
  expires_at  BIGINT NOT NULL
);
CREATE INDEX stages_by_end ON stages (expires_at);

-- Mail that waits to be sent. A row ends by being deleted (sent) or by state failed.
CREATE TABLE outbox (
  id           TEXT PRIMARY KEY,             -- UUIDv7: the order of arrival
  account_id   BIGINT,                       -- NULL: the service's own mail
  kind         TEXT NOT NULL,                -- envelope, code, invitation, notice
  slot_id      TEXT NOT NULL,                -- '' unless kind is envelope
  sender_id    TEXT NOT NULL,                -- user to tell when it fails, '' = nobody
  rcpt         TEXT NOT NULL,
  letter_box   BYTEA NOT NULL,               -- the letter, sealed; emptied when failed
  state        TEXT NOT NULL,                -- waiting, failed
  attempts     BIGINT NOT NULL,
  next_at      BIGINT NOT NULL,              -- also the end of a claim
  give_up_at   BIGINT NOT NULL,
  last_error   TEXT NOT NULL,
  created_at   BIGINT NOT NULL
);
CREATE INDEX outbox_by_next ON outbox (state, next_at);
CREATE INDEX outbox_by_slot ON outbox (slot_id);

-- What happened, by whom, on what, with which outcome. Written in the act's own transaction.
CREATE TABLE audit (
  id          TEXT PRIMARY KEY,              -- UUIDv7: the order of events
  account_id  BIGINT,                        -- NULL: of no account
  at          BIGINT NOT NULL,
  actor       TEXT NOT NULL,                 -- user:<address>, operator:<name>, recipient:<address>, system
  action      TEXT NOT NULL,                 -- noun.verb
  target      TEXT NOT NULL,
  outcome     TEXT NOT NULL,                 -- done, refused
  detail      TEXT NOT NULL,                 -- JSON, never a secret or content
  origin      TEXT NOT NULL                  -- network address, or 'terminal'
);
CREATE INDEX audit_by_account ON audit (account_id, id);
CREATE INDEX audit_by_target ON audit (target, id);
