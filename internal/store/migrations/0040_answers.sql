-- +goose Up
ALTER TABLE access_requests ADD COLUMN decided_at BIGINT NOT NULL DEFAULT 0; -- 0: pending, or decided before this was kept
