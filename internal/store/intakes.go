package store

import (
	"database/sql"
	"time"
)

// Intake is a link with which a person outside sends something to a user. Box is
// sealed: this package cannot read it.
type Intake struct {
	ID        string
	AccountID int64
	UserID    string
	TokenHash string // of the link's token
	Box       []byte
	Prove     bool  // who answers proves their address
	Most      int   // answers
	MaxBytes  int64 // of the files of one answer
	Answers   int   // so far
	ClosedAt  time.Time
	EndsAt    time.Time
	CreatedAt time.Time
}

const intakeColumns = `id, account_id, user_id, token_hash, box, prove, most, max_bytes, answers, closed_at, ends_at, created_at`

func scanIntake(scan func(...any) error) (i Intake, err error) {
	var prove, closed, ends, created int64
	err = scan(&i.ID, &i.AccountID, &i.UserID, &i.TokenHash, &i.Box, &prove, &i.Most, &i.MaxBytes, &i.Answers, &closed, &ends, &created)
	i.Prove, i.ClosedAt, i.EndsAt, i.CreatedAt = prove == 1, fromMs(closed), fromMs(ends), fromMs(created)
	return i, found(err)
}

// InsertIntake writes i, open and without answers, at the transaction's time.
func (tx *Tx) InsertIntake(i Intake) error {
	_, err := tx.exec(`INSERT INTO intakes (`+intakeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $10)`,
		i.ID, i.AccountID, i.UserID, i.TokenHash, i.Box, flag(i.Prove), i.Most, i.MaxBytes, ms(i.EndsAt), ms(tx.Now))
	return err
}

// FindIntake returns the intake of that user with that id; somebody else's is not found.
func (tx *Tx) FindIntake(userID, id string) (Intake, error) {
	return scanIntake(tx.row(`SELECT `+intakeColumns+` FROM intakes WHERE user_id = $1 AND id = $2`, userID, id).Scan)
}

// FindIntakeByToken returns the intake with that hash of a token, whatever its state.
func (tx *Tx) FindIntakeByToken(hash string) (Intake, error) {
	return scanIntake(tx.row(`SELECT `+intakeColumns+` FROM intakes WHERE token_hash = $1`, hash).Scan)
}

// LockIntake is FindIntakeByToken that holds the row until the transaction ends,
// so that answers at the same time are counted one after the other.
func (tx *Tx) LockIntake(hash string) (Intake, error) {
	return scanIntake(tx.row(`SELECT `+intakeColumns+` FROM intakes WHERE token_hash = $1`+tx.dialect.forUpdate, hash).Scan)
}

// ListIntakes returns a user's intakes, newest first.
func (tx *Tx) ListIntakes(userID string, limit int) ([]Intake, error) {
	rows, err := tx.rows(`SELECT `+intakeColumns+` FROM intakes WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, userID, limit)
	return list(rows, err, func(r *sql.Rows) (Intake, error) { return scanIntake(r.Scan) })
}

// CountAnswer counts one more answer.
func (tx *Tx) CountAnswer(id string) error {
	_, err := tx.exec(`UPDATE intakes SET answers = answers + 1 WHERE id = $1`, id)
	return err
}

// CloseIntake closes an open intake; one that is closed already gives ErrNotFound.
func (tx *Tx) CloseIntake(id string) error {
	n, err := tx.exec(`UPDATE intakes SET closed_at = $2 WHERE id = $1 AND closed_at = 0`, id, ms(tx.Now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// DeleteIntake removes an intake. The messages that answered it stay.
func (tx *Tx) DeleteIntake(id string) error {
	_, err := tx.exec(`DELETE FROM intakes WHERE id = $1`, id)
	return err
}

// Answer is one message that answered an intake.
type Answer struct {
	Ref     string // of the user's envelope
	Name    string
	Address string // canonical
	Proved  bool
	At      time.Time
	Opened  bool
}

// ListAnswers returns the answers to an intake, newest first.
func (tx *Tx) ListAnswers(intake string, limit int) ([]Answer, error) {
	rows, err := tx.rows(`SELECT s.ref, m.sender_name, m.sender_address, m.proved, m.sealed_at, s.openings
		FROM messages m JOIN slots s ON s.message_id = m.id
		WHERE m.intake = $1 AND m.intake <> '' ORDER BY m.sealed_at DESC, m.id LIMIT $2`, intake, limit)
	return list(rows, err, func(r *sql.Rows) (a Answer, err error) {
		var proved, at, openings int64
		err = r.Scan(&a.Ref, &a.Name, &a.Address, &proved, &at, &openings)
		a.Proved, a.At, a.Opened = proved == 1, fromMs(at), openings > 0
		return a, err
	})
}

// AnswersKept is how many bytes of ciphertext are kept of the answers to an
// account's intakes.
func (tx *Tx) AnswersKept(account int64) (n int64, err error) {
	err = tx.row(`SELECT COALESCE(SUM(payload_size), 0) FROM messages WHERE intake <> '' AND account_id = $1 AND payload <> ''`, account).Scan(&n)
	return n, err
}
