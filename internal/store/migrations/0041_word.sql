-- +goose Up
ALTER TABLE access_requests ADD COLUMN word TEXT NOT NULL DEFAULT ''; -- of whoever decided, to the person who asked; plain text
