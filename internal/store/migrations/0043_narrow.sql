-- +goose Up
-- Written with each new user and, on PostgreSQL, with each sign-in. It held what the list shows; the list has long read the rows.
DROP INDEX users_by_account;
CREATE INDEX users_by_account ON users (account_id, address, id);
-- Whose groups these are is asked by each request, and of everybody in a list: the index alone answers.
DROP INDEX memberships_by_user;
CREATE INDEX memberships_by_user ON memberships (user_id, group_id, until);
