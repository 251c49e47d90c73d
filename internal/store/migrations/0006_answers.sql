-- +goose Up
-- Answers in the envelope: how many a recipient has sent, and whom the message itself names.

ALTER TABLE slots ADD COLUMN answers BIGINT NOT NULL DEFAULT 0;           -- replies, and messages passed on
ALTER TABLE slots ADD COLUMN shown BIGINT NOT NULL DEFAULT 0;             -- 1 = To or Cc of the message names the address; 0 = it was a blind copy, or nobody knows
UPDATE slots SET shown = 1 WHERE message_id IN (SELECT id FROM messages WHERE carrier = 'mail' AND transit = '');
