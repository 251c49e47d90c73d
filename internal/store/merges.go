package store

import (
	"errors"
	"time"
)

// Merge is what an administrator says of two users of one account: they are one
// person, of whom one user is to stay.
type Merge struct {
	ID        string
	AccountID int64
	KeepID    string
	GoneID    string
	ActorID   string // who proposed it, "" for the operator
	Actor     string // as in the audit log
	ActorName string
	TokenID   string // API token through which they did, "" = none
	CreatedAt time.Time
	ExpiresAt time.Time
}

const mergeColumns = `id, account_id, keep_id, gone_id, actor_id, actor, actor_name, created_at, expires_at, token_id`

// InsertMerge writes m, at the transaction's time, in the place of what has
// expired for one of its users. Where one of them is in another, it gives ErrTaken.
func (tx *Tx) InsertMerge(m Merge) error {
	if _, err := tx.exec(`DELETE FROM merges WHERE expires_at <= $1 AND (keep_id IN ($2, $3) OR gone_id IN ($2, $3))`, ms(tx.Now), m.KeepID, m.GoneID); err != nil {
		return err
	}
	if _, err := tx.FindMerge(m.KeepID); err == nil {
		return ErrTaken
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	if _, err := tx.FindMerge(m.GoneID); err == nil {
		return ErrTaken
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	_, err := tx.exec(`INSERT INTO merges (`+mergeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		m.ID, m.AccountID, m.KeepID, m.GoneID, m.ActorID, m.Actor, m.ActorName, ms(tx.Now), ms(m.ExpiresAt), m.TokenID)
	return err
}

// FindMerge returns the merge that a user is in and that has not expired, whether they stay or not.
func (tx *Tx) FindMerge(userID string) (m Merge, err error) {
	var created, expires int64
	err = tx.row(`SELECT `+mergeColumns+` FROM merges WHERE (keep_id = $1 OR gone_id = $1) AND expires_at > $2`, userID, ms(tx.Now)).
		Scan(&m.ID, &m.AccountID, &m.KeepID, &m.GoneID, &m.ActorID, &m.Actor, &m.ActorName, &created, &expires, &m.TokenID)
	m.CreatedAt, m.ExpiresAt = fromMs(created), fromMs(expires)
	return m, found(err)
}

// DeleteMerge ends a merge; one that is gone gives ErrNotFound.
func (tx *Tx) DeleteMerge(id string) error {
	return tx.oneRow(`DELETE FROM merges WHERE id = $1`, id)
}

// MergeUsers gives keep all that is gone's, but for what proves who gone is, and
// deletes gone. A membership that both have lasts as long as the longer.
func (tx *Tx) MergeUsers(keep, gone User) error {
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`UPDATE memberships SET until = (SELECT CASE WHEN o.until = 0 OR memberships.until = 0 THEN 0 WHEN o.until > memberships.until THEN o.until ELSE memberships.until END
			FROM memberships o WHERE o.group_id = memberships.group_id AND o.user_id = $2)
			WHERE user_id = $1 AND group_id IN (SELECT group_id FROM memberships WHERE user_id = $2)`, []any{keep.ID, gone.ID}},
		{`UPDATE memberships SET user_id = $1, address = $3 WHERE user_id = $2 AND group_id NOT IN (SELECT group_id FROM memberships WHERE user_id = $1)`, []any{keep.ID, gone.ID, keep.Address}},
		{`UPDATE messages SET sender_id = $1 WHERE sender_id = $2`, []any{keep.ID, gone.ID}},
		{`UPDATE slots SET sender_id = $1 WHERE sender_id <> '' AND sender_id = $2`, []any{keep.ID, gone.ID}},
		{`UPDATE outbox SET sender_id = $1 WHERE sender_id = $2`, []any{keep.ID, gone.ID}},
		{`UPDATE drafts SET user_id = $1 WHERE user_id = $2`, []any{keep.ID, gone.ID}},
		{`UPDATE intakes SET user_id = $1 WHERE user_id = $2`, []any{keep.ID, gone.ID}},
		{`UPDATE larges SET user_id = $1 WHERE account_id = $3 AND user_id = $2`, []any{keep.ID, gone.ID, keep.AccountID}},
		{`UPDATE contacts SET user_id = $1 WHERE user_id = $2 AND address NOT IN (SELECT address FROM contacts WHERE user_id = $1)`, []any{keep.ID, gone.ID}},
		{`UPDATE sending_preferences SET user_id = $1 WHERE user_id = $2 AND NOT EXISTS (SELECT 1 FROM sending_preferences p WHERE p.user_id = $1)`, []any{keep.ID, gone.ID}},
		{`UPDATE aliases SET user_id = $1 WHERE user_id = $2`, []any{keep.ID, gone.ID}},
		{`UPDATE invitations SET inviter_id = $1 WHERE account_id = $3 AND inviter_id = $2`, []any{keep.ID, gone.ID, keep.AccountID}},
		{`UPDATE users SET second_required = (SELECT g.second_required FROM users g WHERE g.id = $2)
			WHERE id = $1 AND second_required <> 1 AND EXISTS (SELECT 1 FROM users g WHERE g.id = $2 AND g.second_required <> 0)`, []any{keep.ID, gone.ID}},
	} {
		if _, err := tx.exec(step.query, step.args...); err != nil {
			return err
		}
	}
	return tx.DeleteUser(gone.ID)
}
