-- +goose Up
-- Each state of Sent has an index in the list's order. What ends by the clock
-- alone is marked by the sweep; until then it is found by its end.

ALTER TABLE messages ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;            -- 1: withdrawn, or its end is known to have come
UPDATE messages SET ended = 1 WHERE recalled_at > 0;

DROP INDEX messages_opened;
CREATE INDEX messages_by_opened ON messages (sender_id, opened, sealed_at, id) WHERE sender_id IS NOT NULL;
CREATE INDEX messages_ended ON messages (sender_id, sealed_at, id) WHERE ended = 1;
CREATE INDEX messages_ending ON messages (expires_at) WHERE ended = 0 AND expires_at > 0;
