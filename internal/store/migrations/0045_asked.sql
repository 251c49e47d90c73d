-- +goose Up
-- Requests for access, and wishes to have a lost factor taken away, come in pages, by time and id.
DROP INDEX access_requests_by_account;
DROP INDEX lifts_by_account;
CREATE INDEX access_requests_by_account ON access_requests (account_id, state, created_at, id);
CREATE INDEX lifts_by_account ON factor_lifts (account_id, asked_at, id);
