-- +goose Up
-- Lists of invitations come in pages, by address and id.
DROP INDEX invitations_by_group;
DROP INDEX invitations_by_account;
CREATE INDEX invitations_by_group ON invitations (group_id, state, address, id);
CREATE INDEX invitations_by_account ON invitations (account_id, state, address, id);
