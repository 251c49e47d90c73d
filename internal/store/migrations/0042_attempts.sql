-- +goose Up
ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0; -- claims since it last came on
