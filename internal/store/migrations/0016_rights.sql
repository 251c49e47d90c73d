-- +goose Up
-- What the members of a group may do beside sending and reading, over whom, and until when somebody is a member.

CREATE TABLE grants (
  group_id        TEXT NOT NULL REFERENCES user_groups(id) ON DELETE CASCADE,
  act             TEXT NOT NULL,             -- users, messages, audit, reports, settings, integrations
  scope_group_id  TEXT NOT NULL,             -- only over the members of this group, '' = the whole account
  PRIMARY KEY (group_id, act, scope_group_id)
);
CREATE INDEX grants_by_scope ON grants (scope_group_id) WHERE scope_group_id <> '';

ALTER TABLE memberships ADD COLUMN until BIGINT NOT NULL DEFAULT 0;        -- it counts for nothing from then on, 0 = it has no end
ALTER TABLE memberships ADD COLUMN address TEXT NOT NULL DEFAULT '';       -- of the user, for the index; an address never changes
UPDATE memberships SET address = (SELECT u.address FROM users u WHERE u.id = memberships.user_id);
CREATE INDEX memberships_by_address ON memberships (group_id, address, user_id);

ALTER TABLE invitations ADD COLUMN member_until BIGINT NOT NULL DEFAULT 0; -- of the membership that it gives
ALTER TABLE access_requests ADD COLUMN act TEXT NOT NULL DEFAULT '';       -- the right that is asked for, '' = to administer
