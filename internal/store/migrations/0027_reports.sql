-- +goose Up
-- Figures of reports: counted from the audit log, in the notary's order, a day
-- at a time. Days are those of the account's time zone, as 20261126.

CREATE TABLE report_messages (
  account_id  BIGINT NOT NULL,
  kind        TEXT NOT NULL,                 -- all, sender, domain (of the recipient)
  day         BIGINT NOT NULL,               -- on which the message was sealed
  name        TEXT NOT NULL,                 -- sender's address, or domain; '' of all
  messages    BIGINT NOT NULL,
  recipients  BIGINT NOT NULL,
  opened      BIGINT NOT NULL,               -- of the recipients: have opened, whenever that was
  failed      BIGINT NOT NULL,               -- of the recipients: the mail could not be delivered
  PRIMARY KEY (account_id, kind, day, name)
);
CREATE INDEX report_messages_by_day ON report_messages (day);

CREATE TABLE report_people (
  account_id  BIGINT NOT NULL,
  day         BIGINT NOT NULL,
  invited     BIGINT NOT NULL,
  added       BIGINT NOT NULL,
  activated   BIGINT NOT NULL,               -- signed in for the first time
  PRIMARY KEY (account_id, day)
);

-- When a person signed in for the first time; of those before this column, the last time.
ALTER TABLE users ADD COLUMN first_sign_in_at BIGINT NOT NULL DEFAULT 0;
UPDATE users SET first_sign_in_at = last_sign_in_at WHERE last_sign_in_at > 0;
