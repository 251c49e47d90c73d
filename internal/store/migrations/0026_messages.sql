-- +goose Up
-- An account's messages, for its administrators: newest first, by sender, and
-- those that are locked or over.
CREATE INDEX messages_by_account ON messages (account_id, sealed_at, id);
CREATE INDEX messages_by_from ON messages (account_id, sender_address, sealed_at, id);
CREATE INDEX messages_locked_of ON messages (account_id, sealed_at, id) WHERE part_locked = 1;
CREATE INDEX messages_ended_of ON messages (account_id, sealed_at, id) WHERE ended = 1;
