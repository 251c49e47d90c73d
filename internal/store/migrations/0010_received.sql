-- +goose Up
-- What was sealed to an address, for the list of who has proved it.

CREATE INDEX slots_received ON slots (address, sealed_at, id);
