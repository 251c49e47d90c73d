package account

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// KindBulk is the kind of a job that does one act on many users.
const KindBulk = "users.bulk"

// What is done to many users at once.
const (
	BulkBlock   = "block"
	BulkUnblock = "unblock"
	BulkGroup   = "group"  // add to one
	BulkSecond  = "second" // require a second factor
	BulkLink    = "link"   // mail a link that sets a password
	BulkSignOut = "signout"
)

// BulkActs are they, in the order in which pages show them.
var BulkActs = []string{BulkBlock, BulkUnblock, BulkGroup, BulkSecond, BulkLink, BulkSignOut}

const (
	maxBulk   = 500 // users that are named
	maxJobs   = 5   // such jobs of one account that run or wait: other accounts' take turns with them
	bulkBatch = 200 // users that one transaction acts on
)

// Bulk is an act on all users that a search selects while it runs.
type Bulk struct {
	Do      string `json:"do"`
	GroupID string `json:"group,omitempty"` // of BulkGroup
	Query   string `json:"query,omitempty"` // as for Users
	Status  string `json:"status,omitempty"`
	After   string `json:"after,omitempty"` // key of the last user who was acted on, base64
}

// BulkRow is what became of one user.
type BulkRow struct {
	Line    int            `json:"-"`
	Failed  bool           `json:"-"`
	ID      string         `json:"-"` // of the user
	Changed bool           `json:"-"` // they were not as they are before
	Address string         `json:"address"`
	Key     string         `json:"key,omitempty"` // why not
	Args    map[string]any `json:"args,omitempty"`
}

// BulkView is such a job.
type BulkView struct {
	store.Job
	Bulk
	Group string // name
}

// check refuses an act that there is not, or a group out of reach.
func (b Bulk) check(tx *store.Tx, r reach) (g store.Group, err error) {
	if !slices.Contains(BulkActs, b.Do) {
		return g, notFound()
	}
	if b.Do != BulkGroup {
		return g, nil
	}
	if g, err = r.group(tx, b.GroupID); err == nil {
		err = r.mayFill(tx, g, time.Time{})
	}
	return g, err
}

// one does the act on one user. Whatever refuses it does so before anything is written.
func (s *Service) one(tx *store.Tx, a store.Account, r reach, do string, g store.Group, userID string) (u store.User, changed bool, err error) {
	switch do {
	case BulkBlock:
		return r.block(tx, a, userID)
	case BulkUnblock:
		return r.unblock(tx, a, userID)
	case BulkSecond:
		u, err = s.requireSecond(tx, a, r, userID, true)
		return u, true, err
	case BulkLink:
		u, err = s.sendPasswordLink(tx, a, r, userID)
		return u, true, err
	case BulkSignOut:
		u, _, err = r.signOut(tx, a, userID)
		return u, true, err
	}
	if u, err = r.subject(tx, userID); err != nil {
		return u, false, err
	}
	if u.State != store.UserActive {
		return u, false, fault.New(fault.Conflict, "people.blocked").With("email", u.DisplayAddress)
	}
	if err := r.mayPull(tx, g, u); err != nil {
		return u, false, err
	}
	changed, err = s.join(tx, r.actor, r.actor.Name, memberAdd, a, g, u, time.Time{})
	return u, changed, err
}

// actOf are the acts by the names of their records.
var actOf = map[string]action{BulkBlock: userBlock, BulkUnblock: userUnblock, BulkGroup: memberAdd, BulkSecond: userSecond, BulkLink: userLink, BulkSignOut: userSignOut}

// outcome is the row of a user on whom an act was tried; err is what is no answer.
// What was refused is recorded as it is where it is tried on one alone.
func outcome(tx *store.Tx, actor Actor, do string, u store.User, changed bool, tried error) (row BulkRow, err error) {
	row.ID, row.Address, row.Changed = u.ID, u.DisplayAddress, changed && tried == nil
	if tried == nil {
		return row, nil
	}
	if no := (*refusal)(nil); errors.As(tried, &no) {
		if err := no.record(tx, actor, actOf[do]); err != nil {
			return row, err
		}
	}
	f := fault.Of(orNotFound(tried))
	if f.Kind == fault.Internal {
		return row, tried
	}
	row.Failed, row.Key, row.Args = true, f.Key, f.Args
	if f.Kind == fault.NotFound { // gone, out of reach or another account's: nothing tells which
		row.Key = "bulk.gone"
	}
	return row, nil
}

// ActOnUsers does an act on the users with those ids, at most 500, each as if it
// were done alone: what is refused for one holds up no other.
func (s *Service) ActOnUsers(ctx context.Context, actor Actor, number int64, b Bulk, ids []string) (out []BulkRow, err error) {
	if len(ids) > maxBulk {
		return nil, fault.New(fault.Invalid, "people.toomany").With("n", maxBulk)
	}
	err = s.actWithin(ctx, actor, userBulk, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = nil
		g, err := b.check(tx, r)
		if err != nil {
			return err
		}
		for _, userID := range ids {
			u, changed, tried := s.one(tx, a, r, b.Do, g, userID)
			row, err := outcome(tx, actor, b.Do, u, changed, tried)
			if err != nil {
				return err
			}
			row.ID = userID
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

// StartBulk begins an act on all users that b selects, as a job. It goes on
// without whoever began it, and may do what they may then. Fault: bulk.busy.
func (s *Service) StartBulk(ctx context.Context, actor Actor, number int64, b Bulk) (j store.Job, err error) {
	b.Query, b.After = clean(b.Query), ""
	err = s.actWithin(ctx, actor, userBulk, number, func(tx *store.Tx, a store.Account, r reach) error {
		g, err := b.check(tx, r)
		if err != nil {
			return err
		}
		if b.Status == OnlyInvited {
			return notFound()
		}
		if b.Do == BulkGroup || b.Do == BulkUnblock { // the job has no session, and who has rights by then is not known yet
			if err := recentlyProved(tx, actor); err != nil {
				return err
			}
		}
		jobs, err := tx.ListOpenJobs(a.ID, KindBulk)
		if err != nil {
			return err
		}
		if len(jobs) >= maxJobs {
			return fault.Wait("bulk.busy", 5*time.Minute)
		}
		params, err := json.Marshal(b)
		if err != nil {
			return err
		}
		n, err := tx.CountUsers(a.ID, b.Query, b.Status, r.within()...)
		if err != nil {
			return err
		}
		j = store.Job{ID: id.New(), AccountID: a.ID, Kind: KindBulk, State: store.JobRunning, ActorID: actor.UserID, TokenID: actor.TokenID, Actor: actor.String(),
			ActorName: actor.Name, Origin: actor.Origin, Language: actor.Language, Params: string(params), Total: n}
		if err := tx.InsertJob(j); err != nil {
			return err
		}
		return record(tx, actor, userBulk, a.ID, accountName(a.ID), "do", b.Do, "query", b.Query, "status", b.Status, "group", g.Name, "job", j.ID)
	})
	return j, err
}

// bulkSome acts on the next users, and gives the job back.
func (s *Service) bulkSome(ctx context.Context, j store.Job) error {
	may, why := false, "bulk.norights"
	err := s.actWithin(ctx, actorOf(j), userBulk, j.AccountID, func(tx *store.Tx, a store.Account, r reach) error {
		may, why = false, "bulk.norights"
		now, err := tx.LockJob(j.AccountID, j.ID)
		if err != nil {
			return err
		}
		if now.State != store.JobRunning {
			return nil
		}
		var b Bulk
		if err := json.Unmarshal([]byte(now.Params), &b); err != nil {
			return fmt.Errorf("read job %s: %w", now.ID, err)
		}
		g, err := b.check(tx, r)
		if errors.Is(err, store.ErrNotFound) {
			why = "bulk.nogroup"
		}
		if err != nil {
			return err
		}
		may = true
		from, err := base64.RawURLEncoding.DecodeString(b.After)
		if err != nil {
			return fmt.Errorf("read job %s: %w", now.ID, err)
		}
		users, last, err := r.users(tx, b.Query, b.Status, string(from), bulkBatch)
		if err != nil {
			return err
		}
		rows := make([]store.JobRow, 0, len(users))
		for _, u := range users {
			_, changed, tried := s.one(tx, a, r, b.Do, g, u.ID)
			row, err := outcome(tx, r.actor, b.Do, u, changed, tried)
			if err != nil {
				return err
			}
			data, err := json.Marshal(row)
			if err != nil {
				return err
			}
			now.Position++
			verdict := store.RowDone
			if row.Failed {
				verdict = store.RowFailed
				now.Failed++
			} else {
				now.Done++
			}
			rows = append(rows, store.JobRow{Line: now.Position, Verdict: verdict, Data: string(data)})
		}
		if err := tx.InsertJobRows(now.ID, rows); err != nil {
			return err
		}
		if b.After = base64.RawURLEncoding.EncodeToString([]byte(last)); last == "" {
			now.State = store.JobDone
		}
		now.Total = max(now.Total, now.Position)
		params, err := json.Marshal(b)
		if err != nil {
			return err
		}
		now.Params, now.Reason, now.Attempts = string(params), "", 0
		return tx.SetJob(now, tx.Now)
	})
	if !may && (fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound)) { // who began it may no more, or the group is gone
		return s.stop(ctx, j, why)
	}
	return err
}

// Bulk returns such a job of the account. Who reaches some groups only sees their own.
func (s *Service) Bulk(ctx context.Context, actor Actor, number int64, jobID string) (out BulkView, err error) {
	err = s.lookWithin(ctx, actor, userBulk, number, func(tx *store.Tx, _ store.Account, r reach) error {
		out, err = bulkOf(tx, r, jobID)
		return err
	})
	return out, err
}

func bulkOf(tx *store.Tx, r reach, jobID string) (out BulkView, err error) {
	if out.Job, err = tx.FindJob(r.number, jobID); err != nil {
		return out, err
	}
	if out.Kind != KindBulk || !r.all && out.ActorID != r.actor.UserID {
		return out, store.ErrNotFound
	}
	if err := json.Unmarshal([]byte(out.Params), &out.Bulk); err != nil {
		return out, fmt.Errorf("read job %s: %w", jobID, err)
	}
	if out.GroupID != "" {
		g, err := tx.FindGroup(r.number, out.GroupID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		out.Group = g.Name
	}
	return out, nil
}

// BulkRowsPage is a page of what became of users, by line.
type BulkRowsPage struct {
	Rows []BulkRow
	Next string // cursor, "" on the last page
}

// BulkRows lists what became of users: of those that failed, or of all.
func (s *Service) BulkRows(ctx context.Context, actor Actor, number int64, jobID string, failed bool, after string, limit int) (out BulkRowsPage, err error) {
	err = s.lookWithin(ctx, actor, userBulk, number, func(tx *store.Tx, _ store.Account, r reach) error {
		if _, err := bulkOf(tx, r, jobID); err != nil {
			return err
		}
		verdict := ""
		if failed {
			verdict = store.RowFailed
		}
		rows, next, err := rowsOf(tx, jobID, verdict, after, limit)
		out = BulkRowsPage{Next: next}
		for _, row := range rows {
			v := BulkRow{}
			if err := json.Unmarshal([]byte(row.Data), &v); err != nil {
				return fmt.Errorf("read row %d: %w", row.Line, err)
			}
			v.Line, v.Failed = row.Line, row.Verdict == store.RowFailed
			out.Rows = append(out.Rows, v)
		}
		return err
	})
	return out, err
}

// StopBulk ends such a job; what was done stays. Fault: job.over.
func (s *Service) StopBulk(ctx context.Context, actor Actor, number int64, jobID string) error {
	return s.actWithin(ctx, actor, userBulk, number, func(tx *store.Tx, a store.Account, r reach) error {
		if _, err := bulkOf(tx, r, jobID); err != nil {
			return err
		}
		j, err := tx.LockJob(a.ID, jobID)
		if err != nil {
			return err
		}
		if j.State != store.JobRunning {
			return fault.New(fault.Conflict, "job.over")
		}
		j.State, j.Reason = store.JobStopped, "im.cancelled"
		if err := tx.SetJob(j, time.Time{}); err != nil {
			return err
		}
		return record(tx, actor, jobCancel, a.ID, j.ID, "kind", j.Kind, "done", fmt.Sprint(j.Done))
	})
}
