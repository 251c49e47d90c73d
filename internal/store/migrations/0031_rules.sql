-- +goose Up
-- What is kept of a message so that other rules can be tried on it later.

ALTER TABLE transits ADD COLUMN sketch_box BYTEA;   -- JSON (policy.Sketch), sealed for transit/<id>; NULL = from before
CREATE INDEX transits_by_account ON transits (account_id, id);
