package store

import "database/sql"

// ListToErase returns the numbers of accounts whose day of deletion has come, or
// whose erasing is not over.
func (tx *Tx) ListToErase(limit int) ([]int64, error) {
	rows, err := tx.rows(`SELECT id FROM accounts WHERE delete_at > 0 AND erased_at = 0 AND delete_at <= $1 ORDER BY delete_at LIMIT $2`, ms(tx.Now), limit)
	return list(rows, err, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
}

// DestroyAccountKeys empties all keys of an account, which makes every S, card,
// reason and draft of it unreadable at once, and returns how many months had one.
func (tx *Tx) DestroyAccountKeys(number int64) (int64, error) {
	n, err := tx.exec(`UPDATE epoch_keys SET key_box = $2, destroyed_at = $3 WHERE account_id = $1 AND destroyed_at = 0`, number, []byte{}, ms(tx.Now))
	if err != nil {
		return n, err
	}
	_, err = tx.exec(`UPDATE account_keys SET key_box = $2 WHERE account_id = $1`, number, []byte{})
	return n, err
}

// CountOwn counts the users of an account and its messages.
func (tx *Tx) CountOwn(number int64) (users, messages int, err error) {
	err = tx.row(`SELECT (SELECT COUNT(*) FROM users WHERE account_id = $1), (SELECT COUNT(*) FROM messages WHERE account_id = $1)`, number).Scan(&users, &messages)
	return users, messages, err
}

// CloseDoors removes what lets mail and people in: domains, which are free for
// others from then on, upstreams and sessions.
func (tx *Tx) CloseDoors(number int64) error {
	for _, table := range []string{"domains", "domain_claims", "upstreams"} {
		if _, err := tx.exec(`DELETE FROM `+table+` WHERE account_id = $1`, number); err != nil {
			return err
		}
	}
	_, err := tx.DeleteAccountSessions(number)
	return err
}

// Erasure is a table of which an account's rows are deleted in batches.
type Erasure struct {
	Table string
	key   string // its primary key
	where string // "account_id = $1" when empty
	blob  string // column that names a blob, "" for none
}

// Erasures are in the order in which they go, after messages, drafts, large
// files and users. Every table that names an account is here, in
// Service.eraseSome of keyserver, or in the list of what stays in the test.
var Erasures = []Erasure{
	{Table: "outbox", key: "id", blob: "blob"},
	{Table: "account_exports", key: "job_id", blob: "blob"},
	{Table: "job_rows", key: "job_id, line", where: "job_id IN (SELECT id FROM jobs WHERE account_id = $1)"},
	{Table: "jobs", key: "id"},
	{Table: "invitations", key: "id"},
	{Table: "access_requests", key: "id"},
	{Table: "api_tokens", key: "id"},
	{Table: "webhook_deliveries", key: "hook_id, event_id", where: "hook_id IN (SELECT id FROM webhooks WHERE account_id = $1)"},
	{Table: "webhooks", key: "id"}, // with what was made for them meanwhile
	{Table: "intakes", key: "id"},
	{Table: "factor_lifts", key: "user_id"},
	{Table: "user_groups", key: "id"}, // with grants and what memberships are left
	{Table: "rule_sets", key: "account_id, version"},
	{Table: "report_messages", key: "account_id, kind, day, name"},
	{Table: "report_people", key: "account_id, day"},
	{Table: "merges", key: "id"},
	{Table: "logos", key: "account_id"},
	{Table: "account_usage", key: "account_id, part"},
	{Table: "domains", key: "domain"},
	{Table: "domain_claims", key: "account_id, domain"},
	{Table: "upstreams", key: "id"},
}

// Erase deletes at most limit of an account's rows of a table, and returns how
// many there were and the blobs that they named.
func (tx *Tx) Erase(e Erasure, number int64, limit int) (n int, blobs []string, err error) {
	where, blob := e.where, e.blob
	if where == "" {
		where = "account_id = $1"
	}
	if blob == "" {
		blob = "''"
	}
	rows, err := tx.rows(`DELETE FROM `+e.Table+` WHERE (`+e.key+`) IN (SELECT `+e.key+` FROM `+e.Table+` WHERE `+where+` LIMIT $2) RETURNING `+blob, number, limit)
	all, err := list(rows, err, scanText)
	for _, name := range all {
		if name != "" {
			blobs = append(blobs, name)
		}
	}
	return len(all), blobs, err
}

// EraseTransits deletes an account's transits after an id, and returns the last that it deleted,
// "" when there were none. There is no index by account: who follows the ids reads all of them once.
func (tx *Tx) EraseTransits(number int64, after string, limit int) (last string, err error) {
	rows, err := tx.rows(`DELETE FROM transits WHERE id IN (SELECT id FROM transits WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3) RETURNING id`, number, after, limit)
	ids, err := list(rows, err, scanText)
	for _, id := range ids {
		last = max(last, id)
	}
	return last, err
}

// EraseMessages deletes messages of an account with their slots and payload
// rows, and returns how many and the blobs with their ciphertext.
func (tx *Tx) EraseMessages(number int64, limit int) (n int, blobs []string, err error) {
	rows, err := tx.rows(`SELECT id, payload FROM messages WHERE account_id = $1 LIMIT $2`, number, limit)
	all, err := list(rows, err, func(r *sql.Rows) (m Message, err error) { return m, r.Scan(&m.ID, &m.Payload) })
	if err != nil {
		return 0, nil, err
	}
	for _, m := range all {
		if err := tx.DeleteMessage(m); err != nil {
			return 0, nil, err
		}
		if m.Payload != "" && !IsRow(m.Payload) {
			blobs = append(blobs, m.Payload)
		}
	}
	return len(all), blobs, nil
}

// EraseDrafts deletes drafts of an account, and returns how many and their files' blobs.
func (tx *Tx) EraseDrafts(number int64, limit int) (n int, blobs []string, err error) {
	return tx.eraseEach("drafts", number, limit, tx.DeleteDraft)
}

// EraseLarges deletes large files of an account, and returns how many and the blobs of their parts.
func (tx *Tx) EraseLarges(number int64, limit int) (n int, blobs []string, err error) {
	return tx.eraseEach("larges", number, limit, tx.DeleteLarge)
}

func (tx *Tx) eraseEach(table string, number int64, limit int, remove func(id string) ([]string, error)) (n int, blobs []string, err error) {
	rows, err := tx.rows(`SELECT id FROM `+table+` WHERE account_id = $1 LIMIT $2`, number, limit)
	ids, err := list(rows, err, scanText)
	for _, id := range ids {
		var names []string
		if names, err = remove(id); err != nil {
			return 0, nil, err
		}
		blobs = append(blobs, names...)
	}
	return len(ids), blobs, err
}

// ListMembersOf returns users of an account, in no order.
func (tx *Tx) ListMembersOf(number int64, limit int) ([]User, error) {
	rows, err := tx.rows(`SELECT `+userColumns+` FROM users u WHERE u.account_id = $1 LIMIT $2`, number, limit)
	return list(rows, err, scanUserRow)
}

// Detached are the tables with what a user had or made in an account, by user_id.
var Detached = []string{"memberships", "contacts", "sending_preferences", "api_tokens", "intakes", "sessions", "access_requests"}

// Detach makes a user one of no account, with nothing that they had or made in it.
func (tx *Tx) Detach(userID string) error {
	for _, table := range Detached {
		if _, err := tx.exec(`DELETE FROM `+table+` WHERE user_id = $1`, userID); err != nil {
			return err
		}
	}
	if err := tx.SetUserState(userID, UserActive); err != nil {
		return err // an account's people are unblocked in it: in none nobody could
	}
	return tx.SetUserAccount(userID, 0)
}

// EndErasure forgets what an account was called and decided. Its number stays, and is never given again.
func (tx *Tx) EndErasure(number int64) error {
	return tx.oneRow(`UPDATE accounts SET name = '', name_key = '', settings = '', limits = '', contacts = '', brand = '', brand_key = '', erased_at = $2 WHERE id = $1`, number, ms(tx.Now))
}
