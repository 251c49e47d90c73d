-- +goose Up
-- A large file can be of several messages: the one that it was sent with, and those that pass it on.
CREATE TABLE message_larges (
  message_id  TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  large_id    TEXT NOT NULL REFERENCES larges(id) ON DELETE CASCADE,
  PRIMARY KEY (message_id, large_id)
);
CREATE INDEX message_larges_by_large ON message_larges (large_id);
INSERT INTO message_larges (message_id, large_id) SELECT l.message_id, l.id FROM larges l JOIN messages m ON m.id = l.message_id;
DROP INDEX larges_by_message;
ALTER TABLE larges DROP COLUMN message_id;

-- When the session that proved to hold the mail was last given the key at a high level, 0 = never:
-- the second factor is used up by that, and the message's large files are fetched after it.
ALTER TABLE possessions ADD COLUMN released_at BIGINT NOT NULL DEFAULT 0;
