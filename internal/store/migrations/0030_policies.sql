-- +goose Up
-- Settings in layers: the site's, an account's limits (both the operators'), the account's own, a group's. JSON of policy.Layer, '' = says nothing.
CREATE TABLE site_settings (
  id        BIGINT PRIMARY KEY,              -- 1
  settings  TEXT NOT NULL
);
ALTER TABLE accounts ADD COLUMN limits TEXT NOT NULL DEFAULT '';
ALTER TABLE user_groups ADD COLUMN settings TEXT NOT NULL DEFAULT '';

-- The days of an account are settings like the others.
UPDATE accounts SET settings = '{"expiry_days":' || expiry_days || ',"expiry_max":' || expiry_days || ',"keep_days":' || keep_days ||
  CASE WHEN settings IN ('', '{}') THEN '}' ELSE ',' || SUBSTR(settings, 2) END;
ALTER TABLE accounts DROP COLUMN expiry_days;
ALTER TABLE accounts DROP COLUMN keep_days;

-- What an account uses of its quotas: the sums over its parts. A part may be
-- below zero, as what one counted another may take back.
CREATE TABLE account_usage (
  account_id  BIGINT NOT NULL,
  part        BIGINT NOT NULL,               -- 0 to 15, so that not all acts wait for one row
  users       BIGINT NOT NULL,
  bytes       BIGINT NOT NULL,               -- of kept ciphertext, and of large files as announced
  day         BIGINT NOT NULL,               -- of envelopes, days since 1970 in UTC
  envelopes   BIGINT NOT NULL,
  PRIMARY KEY (account_id, part)
);
INSERT INTO account_usage (account_id, part, users, bytes, day, envelopes)
  SELECT a.id, 0, (SELECT COUNT(*) FROM users u WHERE u.account_id = a.id),
    COALESCE((SELECT SUM(m.payload_size) FROM messages m WHERE m.account_id = a.id AND m.payload <> ''), 0) +
    COALESCE((SELECT SUM(l.size) FROM larges l WHERE l.account_id = a.id), 0), 0, 0
  FROM accounts a;
