-- +goose Up
-- The programs that serve on this database, as each says every half minute.
CREATE TABLE nodes (
  id         TEXT PRIMARY KEY,               -- of one run
  host       TEXT NOT NULL,
  version    TEXT NOT NULL,
  skew       BIGINT NOT NULL,                -- ms that its clock is ahead of the database's; 0 where they are one
  disk_free  BIGINT NOT NULL,                -- bytes, where its data is; -1: not known
  started_at BIGINT NOT NULL,
  seen_at    BIGINT NOT NULL
);

-- What one of them does for all.
CREATE TABLE leases (
  name     TEXT PRIMARY KEY,                 -- backup
  holder   TEXT NOT NULL,                    -- a host, with what runs there
  until_at BIGINT NOT NULL                   -- 0: given back
);

CREATE TABLE backups (                       -- those that were tried, the last 100
  id        TEXT PRIMARY KEY,                -- as its directory is named; of one that failed, any
  begun_at  BIGINT NOT NULL,
  ended_at  BIGINT NOT NULL,
  host      TEXT NOT NULL,
  place     TEXT NOT NULL,                   -- directory on that host
  size      BIGINT NOT NULL,                 -- bytes of database and ciphertext
  added     BIGINT NOT NULL,                 -- of these, written now
  reason    TEXT NOT NULL                    -- why it failed, '' = it did not
);
CREATE INDEX backups_by_end ON backups (ended_at);

CREATE TABLE site_texts (                    -- what the operators say on the pages
  name     TEXT NOT NULL,                    -- privacy, a11y, a11y_url
  language TEXT NOT NULL,                    -- '' = in all
  body     TEXT NOT NULL,
  set_by   TEXT NOT NULL,                    -- as in the audit log
  set_at   BIGINT NOT NULL,
  PRIMARY KEY (name, language)
);

CREATE INDEX jobs_by_time ON jobs (created_at, id);
