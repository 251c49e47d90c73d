-- +goose Up
-- What a sender does to an envelope after sending it, and when its content is destroyed.

ALTER TABLE messages ADD COLUMN remind_at BIGINT NOT NULL DEFAULT 0;        -- when the sender is told who has not opened it, 0 = not, or done
ALTER TABLE messages ADD COLUMN recalled_at BIGINT NOT NULL DEFAULT 0;      -- withdrawn for everybody
ALTER TABLE messages ADD COLUMN destroyed_at BIGINT NOT NULL DEFAULT 0;     -- when the S of all its slots were emptied
ALTER TABLE messages ADD COLUMN opened BIGINT NOT NULL DEFAULT 0;           -- 1: somebody has opened it
ALTER TABLE messages ADD COLUMN part_locked BIGINT NOT NULL DEFAULT 0;      -- 1: it, or one of its slots, is locked
ALTER TABLE messages ADD COLUMN lock_box BYTEA;                             -- why it is locked, under the epoch key; NULL = not said

ALTER TABLE slots ADD COLUMN sender_id TEXT NOT NULL DEFAULT '';            -- of its message, for the index; '' = not a user
ALTER TABLE slots ADD COLUMN sealed_at BIGINT NOT NULL DEFAULT 0;           -- of its message, for the index
ALTER TABLE slots ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;          -- this recipient's own end, 0 = the message's
ALTER TABLE slots ADD COLUMN recalled_at BIGINT NOT NULL DEFAULT 0;         -- withdrawn for this recipient
ALTER TABLE slots ADD COLUMN lock_box BYTEA;                                -- as of messages

UPDATE slots SET sender_id = (SELECT COALESCE(m.sender_id, '') FROM messages m WHERE m.id = slots.message_id),
  sealed_at = (SELECT m.sealed_at FROM messages m WHERE m.id = slots.message_id);
UPDATE messages SET opened = 1 WHERE EXISTS (SELECT 1 FROM slots s WHERE s.message_id = messages.id AND s.openings > 0);
UPDATE messages SET part_locked = 1 WHERE locked_at > 0 OR EXISTS (SELECT 1 FROM slots s WHERE s.message_id = messages.id AND s.locked_at > 0);
UPDATE messages SET destroyed_at = COALESCE((SELECT e.destroyed_at FROM epoch_keys e WHERE e.account_id = messages.account_id AND e.month = messages.epoch), 0);

CREATE INDEX messages_by_remind ON messages (remind_at) WHERE remind_at > 0;
CREATE INDEX messages_by_end ON messages (expires_at) WHERE expires_at > 0 AND destroyed_at = 0;
CREATE INDEX messages_by_destruction ON messages (account_id, destroyed_at) WHERE destroyed_at > 0;
CREATE INDEX messages_opened ON messages (sender_id, sealed_at, id) WHERE opened = 1;
CREATE INDEX messages_locked ON messages (sender_id, sealed_at, id) WHERE part_locked = 1;
CREATE INDEX slots_by_sender ON slots (sender_id, address, sealed_at, message_id) WHERE sender_id <> '';
CREATE INDEX slots_by_end ON slots (expires_at) WHERE expires_at > 0;
