package store

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Job is work that takes longer than a request: rows that are dealt with in batches.
type Job struct {
	ID        string
	AccountID int64
	Kind      string
	State     string
	ActorID   string // of a user, "" for the operator
	TokenID   string // of the API token that they acted by, "" = none
	Actor     string // as in the audit log
	ActorName string
	Origin    string
	Language  string
	Params    string // JSON
	Total     int
	Done      int
	Failed    int
	Position  int // line of the last row that was dealt with
	Reason    string
	CreatedAt time.Time
	EndedAt   time.Time
	Attempts  int // claims since it last came on, with the one that runs
}

// Due selects running jobs that no node is at: one, or those of some kinds, or all.
type Due struct {
	ID    string
	Kinds []string
}

// States of a job.
const (
	JobReading = "reading" // its rows are being written
	JobReady   = "ready"   // somebody looks at the rows before it runs
	JobRunning = "running"
	JobDone    = "done"
	JobStopped = "stopped" // by somebody, or for a reason
)

// Verdicts of a job's rows.
const (
	RowCreate = "create"
	RowUpdate = "update"
	RowSame   = "same"   // nothing to do
	RowExists = "exists" // is there already, and is left out
	RowError  = "error"
	RowFailed = "failed" // when it was dealt with
	RowDone   = "done"
)

// JobRow is one row with what is to be done, or is wrong.
type JobRow struct {
	Line    int
	Verdict string
	Data    string // JSON
}

const jobColumns = `id, account_id, kind, state, actor_id, actor, actor_name, origin, language, params, total, done, failed, position, reason, created_at, ended_at, token_id, attempts`

func scanJob(scan func(...any) error) (j Job, err error) {
	var created, ended int64
	err = scan(&j.ID, &j.AccountID, &j.Kind, &j.State, &j.ActorID, &j.Actor, &j.ActorName, &j.Origin, &j.Language, &j.Params,
		&j.Total, &j.Done, &j.Failed, &j.Position, &j.Reason, &created, &ended, &j.TokenID, &j.Attempts)
	j.CreatedAt, j.EndedAt = fromMs(created), fromMs(ended)
	return j, found(err)
}

// InsertJob writes j, at the transaction's time, from when on it waits for its turn.
func (tx *Tx) InsertJob(j Job) error {
	_, err := tx.exec(`INSERT INTO jobs (`+jobColumns+`, claimed_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, $17, 0, $16)`,
		j.ID, j.AccountID, j.Kind, j.State, j.ActorID, j.Actor, j.ActorName, j.Origin, j.Language, j.Params, j.Total, j.Done, j.Failed, j.Position, j.Reason, ms(tx.Now), j.TokenID)
	return err
}

// FindJob returns an account's job.
func (tx *Tx) FindJob(account int64, id string) (Job, error) {
	return scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE account_id = $1 AND id = $2`, account, id).Scan)
}

// ListJobs returns an account's jobs of a kind, the newest first, that are older
// than the one of that time and id ("" from the newest).
func (tx *Tx) ListJobs(account int64, kind string, at time.Time, lastID string, limit int) ([]Job, error) {
	return tx.jobsBefore("account_id = $2 AND kind = $3", []any{limit, account, kind}, at, lastID)
}

// ListOpenJobs returns the jobs of a kind of an account that are at work or wait to be
// run, the newest first: there are few.
func (tx *Tx) ListOpenJobs(account int64, kind string) ([]Job, error) {
	rows, err := tx.rows(`SELECT `+jobColumns+` FROM jobs WHERE account_id = $1 AND kind = $2 AND state IN ($3, $4, $5) ORDER BY created_at DESC, id DESC`,
		account, kind, JobReading, JobReady, JobRunning)
	return list(rows, err, func(r *sql.Rows) (Job, error) { return scanJob(r.Scan) })
}

// ListRunningJobs returns jobs of all accounts that are at work, the oldest first.
func (tx *Tx) ListRunningJobs(limit int) ([]Job, error) {
	rows, err := tx.rows(`SELECT `+jobColumns+` FROM jobs WHERE state IN ($1, $2) ORDER BY created_at, id LIMIT $3`, JobReading, JobRunning, limit)
	return list(rows, err, func(r *sql.Rows) (Job, error) { return scanJob(r.Scan) })
}

// ListAllJobs returns the jobs of an account, 0 of all, the newest first, that are
// older than the one of that time and id ("" from the newest).
func (tx *Tx) ListAllJobs(account int64, at time.Time, lastID string, limit int) ([]Job, error) {
	where, args := "id <> ''", []any{limit}
	if account != 0 {
		where, args = "account_id = $2", append(args, account)
	}
	return tx.jobsBefore(where, args, at, lastID)
}

// jobsBefore reads as many of the jobs that where selects as the first of args says.
func (tx *Tx) jobsBefore(where string, args []any, at time.Time, lastID string) ([]Job, error) {
	if lastID != "" {
		args = append(args, ms(at), lastID)
		where += fmt.Sprintf(" AND created_at <= $%d AND (created_at < $%[1]d OR id < $%d)", len(args)-1, len(args))
	}
	rows, err := tx.rows(`SELECT `+jobColumns+` FROM jobs WHERE `+where+` ORDER BY created_at DESC, id DESC LIMIT $1`, args...)
	return list(rows, err, func(r *sql.Rows) (Job, error) { return scanJob(r.Scan) })
}

// FindAnyJob is FindJob over all accounts.
func (tx *Tx) FindAnyJob(id string) (Job, error) {
	return scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE id = $1`, id).Scan)
}

func (tx *Tx) jobsDue(due Due) (where string, args []any) {
	args = []any{JobRunning, ms(tx.Now)}
	if where = `state = $1 AND claimed_until <= $2`; due.ID != "" {
		return where + ` AND id = $3`, append(args, due.ID)
	}
	of, args := kindsOf(due.Kinds, args)
	return where + of, args
}

// kindsOf narrows to jobs of some kinds, of all without.
func kindsOf(kinds []string, args []any) (string, []any) {
	if len(kinds) == 0 {
		return "", args
	}
	var of []string
	for _, k := range kinds {
		args = append(args, k)
		of = append(of, fmt.Sprintf("$%d", len(args)))
	}
	return ` AND kind IN (` + strings.Join(of, ", ") + `)`, args
}

// JobWaits reports whether there is a job that is due.
func (tx *Tx) JobWaits(due Due) (bool, error) {
	where, args := tx.jobsDue(due)
	var n int
	err := tx.row(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM jobs WHERE `+where+` LIMIT 1) AS those`, args...).Scan(&n)
	return n > 0, err
}

// ClaimJob takes a job that is due, until a time, which counts as an attempt: of
// the account whose jobs of these kinds had a turn, or began, the longest ago, so that
// many jobs of one are not before one of another; and of that account's the one that
// was given back, or began, the longest ago. ErrNotFound when there is none.
func (tx *Tx) ClaimJob(until time.Time, due Due) (Job, error) {
	where, args := tx.jobsDue(due)
	of, args := kindsOf(due.Kinds, args)
	turn := `SELECT MAX(CASE WHEN ended_at > claimed_until THEN ended_at ELSE claimed_until END) FROM jobs AS others WHERE others.account_id = jobs.account_id` + of
	j, err := scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE `+where+` ORDER BY (`+turn+`), claimed_until, created_at, id LIMIT 1`+tx.dialect.skip, args...).Scan)
	if err != nil {
		return j, err
	}
	j.Attempts++
	_, err = tx.exec(`UPDATE jobs SET claimed_until = $2, attempts = $3 WHERE id = $1`, j.ID, ms(until), j.Attempts)
	return j, err
}

// LockJob is FindJob that holds the row until the transaction ends.
func (tx *Tx) LockJob(account int64, id string) (Job, error) {
	return scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE account_id = $1 AND id = $2`+tx.dialect.forUpdate, account, id).Scan)
}

// SetJob writes what of j changes: its state, counts, place, reason and attempts; it is
// claimed until that time. A job that ends does so at the transaction's time.
func (tx *Tx) SetJob(j Job, claimed time.Time) error {
	var ended int64
	if j.State == JobDone || j.State == JobStopped {
		ended = ms(tx.Now)
	}
	return tx.oneRow(`UPDATE jobs SET state = $2, params = $3, total = $4, done = $5, failed = $6, position = $7, reason = $8, claimed_until = $9, ended_at = $10,
		actor_id = $11, actor = $12, actor_name = $13, origin = $14, language = $15, token_id = $16, attempts = $17 WHERE id = $1`,
		j.ID, j.State, j.Params, j.Total, j.Done, j.Failed, j.Position, j.Reason, ms(claimed), ended,
		j.ActorID, j.Actor, j.ActorName, j.Origin, j.Language, j.TokenID, j.Attempts)
}

// DeleteOldRows removes rows, limit of them at most, of jobs that ended, or were never
// run, before a time, and of those that ended before they ran.
func (tx *Tx) DeleteOldRows(before time.Time, limit int) (int64, error) {
	return tx.exec(`DELETE FROM job_rows WHERE (job_id, line) IN (SELECT r.job_id, r.line FROM jobs j JOIN job_rows r ON r.job_id = j.id
		WHERE `+oldJob+` OR (j.ended_at > 0 AND j.position = 0 AND j.done = 0 AND j.failed = 0) LIMIT $4)`, ms(before), JobReading, JobReady, limit)
}

// oldJob is the condition on a job j, by $1 to $3.
const oldJob = `(j.ended_at > 0 AND j.ended_at < $1) OR (j.state IN ($2, $3) AND j.created_at < $1)`

// DeleteOldJobs removes jobs that ended, or were never run, before a time, and have
// no rows any more.
func (tx *Tx) DeleteOldJobs(before time.Time) (int64, error) {
	return tx.exec(`DELETE FROM jobs WHERE id IN (SELECT j.id FROM jobs j WHERE (`+oldJob+`) AND NOT EXISTS (SELECT 1 FROM job_rows r WHERE r.job_id = j.id))`,
		ms(before), JobReading, JobReady)
}

// InsertJobRows writes rows of a job.
func (tx *Tx) InsertJobRows(job string, rows []JobRow) error {
	args := make([]any, 0, 4*len(rows))
	for _, r := range rows {
		args = append(args, job, r.Line, r.Verdict, r.Data)
	}
	return tx.insertMany(`INSERT INTO job_rows (job_id, line, verdict, data) VALUES `, 4, args, "")
}

// ListJobRows returns rows of a job by line, those after a line; of one verdict, or with "" of all.
func (tx *Tx) ListJobRows(job, verdict string, after, limit int) ([]JobRow, error) {
	where, args := "job_id = $1 AND line > $2", []any{job, after, limit}
	if verdict != "" {
		where, args = where+" AND verdict = $4", append(args, verdict)
	}
	rows, err := tx.rows(`SELECT line, verdict, data FROM job_rows WHERE `+where+` ORDER BY line LIMIT $3`, args...)
	return list(rows, err, func(r *sql.Rows) (j JobRow, err error) { return j, r.Scan(&j.Line, &j.Verdict, &j.Data) })
}

// CountJobRows counts a job's rows by verdict.
func (tx *Tx) CountJobRows(job string) (map[string]int, error) {
	rows, err := tx.rows(`SELECT verdict, COUNT(*) FROM job_rows WHERE job_id = $1 GROUP BY verdict`, job)
	type count struct {
		verdict string
		n       int
	}
	all, err := list(rows, err, func(r *sql.Rows) (c count, err error) { return c, r.Scan(&c.verdict, &c.n) })
	out := make(map[string]int, len(all))
	for _, c := range all {
		out[c.verdict] = c.n
	}
	return out, err
}

// SetJobRow changes what became of a row.
func (tx *Tx) SetJobRow(job string, r JobRow) error {
	return tx.oneRow(`UPDATE job_rows SET verdict = $3, data = $4 WHERE job_id = $1 AND line = $2`, job, r.Line, r.Verdict, r.Data)
}
