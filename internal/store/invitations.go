package store

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"
)

// States of an invitation.
const (
	InvitationPending  = "pending"
	InvitationAccepted = "accepted"
	InvitationDeclined = "declined"
	InvitationRevoked  = "revoked"
)

// Invitation asks a person to join an account, and a group of it.
type Invitation struct {
	ID             string
	AccountID      int64
	GroupID        string   // "" = the account only
	Also           []string // other groups
	Address        string
	DisplayAddress string
	TokenHash      string // SHA-256 of the token, hex
	InvitedBy      string // name to show
	InviterID      string // user who invites, as one of the account or as an operator; "" = who is on the service's host
	Language       string // of its mail, "" = the account's
	FirstName      string // and LastName: as far as they are known
	LastName       string
	TokenID        string // API token through which they do, "" = none
	State          string
	CreatedAt      time.Time
	ExpiresAt      time.Time
	MemberUntil    time.Time // end of the membership that it gives, zero = none
}

const invitationColumns = `id, account_id, group_id, address, display_address, token_hash, invited_by, state, created_at, expires_at, member_until, inviter_id, also, token_id, language, first_name, last_name`

func scanInvitation(scan func(...any) error) (i Invitation, err error) {
	var group sql.NullString
	var created, expires, until int64
	var also string
	err = scan(&i.ID, &i.AccountID, &group, &i.Address, &i.DisplayAddress, &i.TokenHash, &i.InvitedBy, &i.State, &created, &expires, &until, &i.InviterID, &also, &i.TokenID, &i.Language, &i.FirstName, &i.LastName)
	if also != "" {
		i.Also = strings.Fields(also)
	}
	i.GroupID, i.CreatedAt, i.ExpiresAt, i.MemberUntil = group.String, fromMs(created), fromMs(expires), fromMs(until)
	return i, found(err)
}

// InsertInvitation writes i as pending, at the transaction's time.
func (tx *Tx) InsertInvitation(i Invitation) error {
	_, err := tx.exec(`INSERT INTO invitations (`+invitationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		i.ID, i.AccountID, text(i.GroupID), i.Address, i.DisplayAddress, i.TokenHash, i.InvitedBy, ms(tx.Now), ms(i.ExpiresAt), ms(i.MemberUntil), i.InviterID, strings.Join(i.Also, " "), i.TokenID, i.Language, i.FirstName, i.LastName)
	return err
}

// FindInvitation returns an invitation of the account; one of another account is not found.
func (tx *Tx) FindInvitation(account int64, invitationID string) (Invitation, error) {
	return scanInvitation(tx.row(`SELECT `+invitationColumns+` FROM invitations WHERE account_id = $1 AND id = $2`, account, invitationID).Scan)
}

// FindInvitationByToken returns the invitation with that token hash, whatever its state.
func (tx *Tx) FindInvitationByToken(hash string) (Invitation, error) {
	return scanInvitation(tx.row(`SELECT `+invitationColumns+` FROM invitations WHERE token_hash = $1`, hash).Scan)
}

// FindPendingInvitation returns the live invitation of an address to a group ("" = to the account only).
func (tx *Tx) FindPendingInvitation(account int64, groupID, address string) (Invitation, error) {
	return scanInvitation(tx.row(`SELECT `+invitationColumns+` FROM invitations
		WHERE account_id = $1 AND COALESCE(group_id, '') = $2 AND address = $3 AND state = 'pending' AND expires_at > $4
		ORDER BY created_at DESC, id LIMIT 1`, account, groupID, address, ms(tx.Now)).Scan)
}

// EndInvitation gives a pending invitation its last state. One that is no
// longer pending gives ErrNotFound, so that of two acts at once only one succeeds.
func (tx *Tx) EndInvitation(invitationID, state string) error {
	n, err := tx.exec(`UPDATE invitations SET state = $1 WHERE id = $2 AND state = 'pending'`, state, invitationID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// RevokeInvitations ends an address's pending invitations to an account.
func (tx *Tx) RevokeInvitations(account int64, address string) error {
	_, err := tx.exec(`UPDATE invitations SET state = 'revoked' WHERE account_id = $1 AND address = $2 AND state = 'pending'`, account, address)
	return err
}

// RevokeInvitationsOf is RevokeInvitations of many addresses.
func (tx *Tx) RevokeInvitationsOf(account int64, addresses []string) error {
	args := make([]any, len(addresses))
	for i, a := range addresses {
		args[i] = a
	}
	return tx.inChunks(`UPDATE invitations SET state = 'revoked' WHERE state = 'pending' AND address IN (VALUES `, 1, args, `)`, func(query string, args []any) error {
		query += ` AND account_id = $` + strconv.Itoa(len(args)+1) // where the index begins
		_, err := tx.exec(query, append(slices.Clip(args), account)...)
		return err
	})
}

// RenewInvitation gives a pending invitation the token, the end, the
// membership's end, the other groups, the inviter and the token of i.
func (tx *Tx) RenewInvitation(i Invitation) error {
	return tx.oneRow(`UPDATE invitations SET token_hash = $1, expires_at = $2, member_until = $3, invited_by = $4, inviter_id = $5, also = $7, token_id = $8, language = $9, first_name = $10, last_name = $11
		WHERE id = $6 AND state = 'pending'`, i.TokenHash, ms(i.ExpiresAt), ms(i.MemberUntil), i.InvitedBy, i.InviterID, i.ID, strings.Join(i.Also, " "), i.TokenID, i.Language, i.FirstName, i.LastName)
}

// ListGroupInvitations returns the pending invitations to a group by address and
// id, whose address begins with query, those that have run out too: sending again
// renews them. They come after an address and an id ("" = from the first).
func (tx *Tx) ListGroupInvitations(groupID, query, address, id string, limit int) ([]Invitation, error) {
	return tx.listInvitations("group_id", groupID, query, address, id, limit)
}

// ListInvitations is ListGroupInvitations for a whole account.
func (tx *Tx) ListInvitations(account int64, query, address, id string, limit int) ([]Invitation, error) {
	return tx.listInvitations("account_id", account, query, address, id, limit)
}

func (tx *Tx) listInvitations(column string, of any, query, address, id string, limit int) ([]Invitation, error) {
	query = strings.ToLower(query)
	rows, err := tx.rows(`SELECT `+invitationColumns+` FROM invitations
		WHERE `+column+` = $1 AND state = 'pending' AND `+begins("address", "$2", "$3")+` AND (address, id) > ($4, $5) ORDER BY address, id LIMIT $6`,
		of, query, below(query), address, id, limit)
	return list(rows, err, func(r *sql.Rows) (Invitation, error) { return scanInvitation(r.Scan) })
}
