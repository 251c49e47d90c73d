-- +goose Up
-- What takes longer than a request. Any node goes on with it; it is kept for 30 days after its end.
CREATE TABLE jobs (
  id          TEXT PRIMARY KEY,
  account_id  BIGINT NOT NULL REFERENCES accounts(id),
  kind        TEXT NOT NULL,                 -- users.import
  state       TEXT NOT NULL,                 -- reading, ready, running, done, stopped
  actor_id    TEXT NOT NULL,                 -- user who began it, '' for the operator
  actor       TEXT NOT NULL,                 -- as in the audit log
  actor_name  TEXT NOT NULL,
  origin      TEXT NOT NULL,
  language    TEXT NOT NULL,
  params      TEXT NOT NULL,                 -- JSON: what was chosen
  total       BIGINT NOT NULL,               -- rows to do
  done        BIGINT NOT NULL,
  failed      BIGINT NOT NULL,
  position    BIGINT NOT NULL,               -- line of the last row that was dealt with
  reason      TEXT NOT NULL,                 -- catalogue key of why it stopped
  claimed_until BIGINT NOT NULL,             -- a node is at it until then
  created_at  BIGINT NOT NULL,
  ended_at    BIGINT NOT NULL
);
CREATE INDEX jobs_by_account ON jobs (account_id, created_at, id);
CREATE INDEX jobs_by_state ON jobs (state, claimed_until);

CREATE TABLE job_rows (
  job_id   TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
  line     BIGINT NOT NULL,
  verdict  TEXT NOT NULL,                    -- create, update, same, error; done, failed afterwards
  data     TEXT NOT NULL,                    -- JSON: the row, and what is wrong with it
  PRIMARY KEY (job_id, line)
);
CREATE INDEX job_rows_by_verdict ON job_rows (job_id, verdict, line);
