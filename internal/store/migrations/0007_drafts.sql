-- +goose Up
-- Messages that are being written, and what a sender keeps for writing them.

CREATE TABLE drafts (
  id          TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),  -- whose key seals it
  version     BIGINT NOT NULL,               -- counts the savings
  epoch       BIGINT NOT NULL,               -- month of kept_until, whose key seals it
  box         BYTEA NOT NULL,                -- what was typed, and the files' names and keys
  changed_at  BIGINT NOT NULL,
  kept_until  BIGINT NOT NULL,
  message_id  TEXT NOT NULL,                 -- it was sent as, '' = not sent
  undo_until  BIGINT NOT NULL                -- of a sent one: kept until then, so that it can be taken back
);
CREATE INDEX drafts_by_user ON drafts (user_id, changed_at);
CREATE INDEX drafts_by_message ON drafts (message_id);
CREATE INDEX drafts_by_end ON drafts (kept_until);

-- The files of drafts, each encrypted under a key in the draft's box.
CREATE TABLE draft_files (
  blob      TEXT PRIMARY KEY,
  draft_id  TEXT NOT NULL REFERENCES drafts(id) ON DELETE CASCADE
);
CREATE INDEX draft_files_by_draft ON draft_files (draft_id);

-- Whom a user has sent to.
CREATE TABLE contacts (
  user_id          TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  address          TEXT NOT NULL,            -- canonical
  display_address  TEXT NOT NULL,
  name             TEXT NOT NULL,            -- as the sender typed it
  enrolled         BIGINT NOT NULL,          -- 1: has opened an envelope of this user's signed in
  made_by          TEXT NOT NULL,            -- the message that made the contact
  used_at          BIGINT NOT NULL,
  PRIMARY KEY (user_id, address)
);
CREATE INDEX contacts_by_use ON contacts (user_id, used_at);

CREATE TABLE sending_preferences (
  user_id      TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  signature    TEXT NOT NULL,
  expiry_days  BIGINT NOT NULL,              -- 0 = as the account has it
  language     TEXT NOT NULL                 -- of the mails: en, fr, both, '' = the page's
);
