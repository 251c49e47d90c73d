package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

// JobsByRows are the kinds of jobs that do some rows at a time, and take turns.
// The others are each done in one run, which may be long.
var JobsByRows = []string{KindImport, KindBulk}

// RunJobs goes on with a job of these kinds (of all without) that nobody is at, the one whose last
// turn is the longest ago, for some rows or in one run; and reports whether there
// was one. Of two nodes one has it; one that dies is followed after a minute.
func (s *Service) RunJobs(ctx context.Context, kinds ...string) (bool, error) {
	return s.runDue(ctx, store.Due{Kinds: kinds})
}

// RunJob is RunJobs for one job, which whoever began it watches: no other's trouble is theirs.
func (s *Service) RunJob(ctx context.Context, jobID string) (bool, error) {
	return s.runDue(ctx, store.Due{ID: jobID})
}

func (s *Service) runDue(ctx context.Context, due store.Due) (bool, error) {
	var j store.Job
	waits := false // looked for without writing, as there is mostly none
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		waits, err = tx.JobWaits(due)
		return err
	})
	if err != nil || !waits {
		return false, err
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		j, err = tx.ClaimJob(tx.Now.Add(jobClaim), due)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if j.Attempts > jobAttempts { // whoever tried it last died of it, and could not say so
		return true, s.retry(ctx, j)
	}
	switch j.Kind {
	case KindArchive:
		err = s.runArchive(ctx, j)
	case KindBulk:
		err = s.bulkSome(ctx, j)
	default:
		err = s.importSome(ctx, j)
	}
	if err != nil {
		err = errors.Join(err, s.retry(ctx, j))
	}
	return true, err
}

// retry gives back a job that could not come on: after a while that grows it is tried
// again, and after the last attempt no more, so that it holds no place for ever. An
// attempt that was interrupted is none.
func (s *Service) retry(ctx context.Context, j store.Job) error {
	return s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		now, err := tx.LockJob(j.AccountID, j.ID)
		switch {
		case errors.Is(err, store.ErrNotFound): // its account was erased meanwhile
			return nil
		case err != nil || now.State != store.JobRunning:
			return err
		case ctx.Err() != nil:
			now.Attempts = max(0, now.Attempts-1)
			return tx.SetJob(now, tx.Now)
		case now.Attempts >= jobAttempts:
			return end(tx, now, "job.failed")
		}
		now.Reason = "job.again"
		return tx.SetJob(now, tx.Now.Add(time.Duration(now.Attempts*now.Attempts)*jobClaim))
	})
}

// SweepJobs forgets jobs that are long over, or were never run, and the rows of those
// that ended before they ran.
func (s *Service) SweepJobs(ctx context.Context) error {
	for {
		var n int64
		if err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.DeleteOldRows(tx.Now.Add(-jobKeep), sweepRows)
			return err
		}); err != nil {
			return err
		}
		if n < sweepRows {
			break
		}
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.DeleteOldJobs(tx.Now.Add(-jobKeep))
		return err
	})
}

const (
	jobClaim    = time.Minute
	jobAttempts = 10 // in five hours, as the pause after the n-th is n² minutes
	jobKeep     = 30 * 24 * time.Hour
	sweepRows   = 1000 // rows that one transaction forgets
	importBatch = 1000 // rows that one transaction imports; a node that dies loses none and does none twice
)

// actorOf is who began a job, acting without their session, which may have
// ended: what they may do is what they may do now.
func actorOf(j store.Job) Actor {
	a := Actor{Kind: KindUser, UserID: j.ActorID, TokenID: j.TokenID, Name: j.ActorName, Origin: j.Origin, Language: j.Language}
	kind, address, _ := strings.Cut(j.Actor, ":")
	if kind == "operator" {
		a.Kind = KindOperator
	}
	if a.UserID != "" {
		a.Address = address
	}
	return a
}

// importSome imports the next rows, and gives the job back.
func (s *Service) importSome(ctx context.Context, j store.Job) error {
	actor, may := actorOf(j), false
	err := s.actWithin(ctx, actor, userImport, j.AccountID, func(tx *store.Tx, a store.Account, r reach) error {
		may = false
		if err := r.whole(); err != nil {
			return err
		}
		may = true
		now, err := tx.LockJob(j.AccountID, j.ID)
		if err != nil {
			return err
		}
		if now.State != store.JobRunning {
			return nil
		}
		how, err := howOf(now)
		if err != nil {
			return err
		}
		b := batch{s: s, tx: tx, r: r, a: a, how: how, job: &now}
		wait, err := b.run()
		if err != nil {
			return err
		}
		if wait == 0 && b.read < importBatch {
			now.State = store.JobDone
		}
		now.Attempts = 0
		return tx.SetJob(now, tx.Now.Add(wait))
	})
	if !may && (fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound)) { // who began it may no more
		return s.stop(ctx, j, "im.norights")
	}
	return err
}

// batch is the rows that one transaction imports.
type batch struct {
	s    *Service
	tx   *store.Tx
	r    reach
	a    store.Account
	how  Import
	job  *store.Job
	read int // rows
}

// run imports rows after the job's place. It returns for how long to wait where
// no more invitations may be sent now.
func (b *batch) run() (wait time.Duration, err error) {
	stored, err := b.tx.ListJobRows(b.job.ID, "", b.job.Position, importBatch)
	if err != nil {
		return 0, err
	}
	rows, err := readRows(stored)
	if err != nil {
		return 0, err
	}
	b.read = len(rows)
	var addresses []string
	for _, v := range rows {
		if v.Verdict == store.RowCreate || v.Verdict == store.RowUpdate {
			c, _ := typed(v.Address)
			addresses = append(addresses, c)
		}
	}
	there, err := b.tx.FindUsersByAddress(addresses)
	if err != nil {
		return 0, err
	}
	var fresh []ImportRow
	for _, v := range rows {
		if v.Verdict == store.RowCreate || v.Verdict == store.RowUpdate {
			c, _ := typed(v.Address)
			u, exists := there[c]
			switch {
			case exists && u.AccountID == b.a.ID:
				err = b.update(u, v)
			case v.Verdict == store.RowUpdate: // deleted since the check, which knew what they were in
				err = b.fail(v, "im.gone")
			case b.how.Invite:
				if err = b.invite(v); fault.HasKey(err, "inv.often") { // another day does not help the others
					err = b.fail(v, "inv.often")
				}
			case exists:
				err = b.unavailable(v)
			default:
				fresh = append(fresh, v)
			}
			if f := fault.Of(err); err != nil && f.Kind == fault.TooMany {
				wait = time.Hour
				b.job.Reason = "im.waits"
				return wait, b.create(fresh)
			} else if err != nil {
				return 0, err
			}
		}
		b.job.Position = v.Line
	}
	b.job.Reason = ""
	return 0, b.create(fresh)
}

// argsOf are the arguments of a fault as a row keeps them.
func argsOf(err error) map[string]string {
	args := map[string]string{}
	for k, v := range fault.Of(err).Args {
		args[k] = fmt.Sprint(v)
	}
	return args
}

func (b *batch) fail(v ImportRow, key string) error {
	b.job.Failed++
	v.Verdict, v.Key, v.Args = store.RowFailed, key, map[string]string{"email": v.Address}
	return b.giveBack(v)
}

// failFor is fail with what a fault says.
func (b *batch) failFor(v ImportRow, no error) error {
	b.job.Failed++
	v.Verdict, v.Key, v.Args = store.RowFailed, fault.Of(no).Key, argsOf(no)
	return b.giveBack(v)
}

// spoil makes a row of an import that did not begin one with an error, which its key says.
func (b *batch) spoil(v ImportRow) error {
	v.Verdict = store.RowError
	if v.Key == "people.unavailable" {
		v.Args = map[string]string{"email": v.Address}
		if err := b.taken(v).record(b.tx, b.r.actor, userAdd); err != nil {
			return err
		}
	}
	return b.giveBack(v)
}

// giveBack keeps what is wrong with a row, with its cells for the file of those.
func (b *batch) giveBack(v ImportRow) error {
	v.Cells = roster.Place(b.how.Headings, map[string]string{"email": v.Address, "first_name": v.FirstName, "last_name": v.LastName, "groups": v.Named, "language": v.Language})
	return b.set(v)
}

// set keeps what became of a row.
func (b *batch) set(v ImportRow) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.tx.SetJobRow(b.job.ID, store.JobRow{Line: v.Line, Verdict: v.Verdict, Data: string(data)})
}

// refuse is fail, with the record that the act leaves where it is refused alone.
func (b *batch) refuse(v ImportRow, no *refusal, act action, key string) error {
	if err := no.record(b.tx, b.r.actor, act); err != nil {
		return err
	}
	return b.fail(v, key)
}

// unavailable fails a row of somebody who has a user elsewhere, as AddUser refuses them.
func (b *batch) unavailable(v ImportRow) error {
	return b.refuse(v, b.taken(v), userAdd, "people.unavailable")
}

func (b *batch) taken(v ImportRow) *refusal {
	canonical, _ := typed(v.Address)
	return &refusal{fault.New(fault.Conflict, "people.unavailable"), b.a.ID, canonical}
}

// groupsOf are the groups of a row. One that is gone gives ErrNotFound, one that
// may not be filled a refusal.
func (b *batch) groupsOf(v ImportRow) (out []store.Group, err error) {
	for _, id := range v.Groups {
		g, err := b.tx.FindGroup(b.a.ID, id)
		if err != nil {
			return nil, err
		}
		if err := b.r.mayFill(b.tx, g, time.Time{}); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// ungrouped fails a row for what groupsOf says.
func (b *batch) ungrouped(v ImportRow, why error) error {
	var no *refusal
	switch {
	case errors.As(why, &no):
		return b.refuse(v, no, memberAdd, "im.nogroup")
	case errors.Is(why, store.ErrNotFound):
		return b.fail(v, "im.nogroup")
	}
	return why
}

func (b *batch) update(u store.User, v ImportRow) error {
	if !b.how.Update {
		v.Verdict = store.RowExists
		return b.set(v)
	}
	var above *refusal
	if err := b.r.below(b.tx, u); errors.As(err, &above) {
		return b.refuse(v, above, userEdit, "rt.above")
	} else if err != nil {
		return err
	}
	groups, err := b.groupsOf(v)
	if err != nil {
		return b.ungrouped(v, err)
	}
	if len(groups) > 0 && u.State != store.UserActive {
		return b.fail(v, "people.blocked")
	}
	for _, g := range groups {
		var no *refusal
		if err := b.r.mayPull(b.tx, g, u); errors.As(err, &no) {
			return b.refuse(v, no, memberAdd, "im.nopull")
		} else if err != nil {
			return err
		}
	}
	if len(changes(u, v)) > 0 {
		for _, c := range []struct{ into, is *string }{{&u.FirstName, &v.FirstName}, {&u.LastName, &v.LastName}, {&u.Language, &v.Language}} {
			if *c.is != "" {
				*c.into = *c.is
			}
		}
		if err := b.tx.SetPreferences(u); err != nil {
			return err
		}
		if err := record(b.tx, b.r.actor, userEdit, b.a.ID, u.Address, "job", b.job.ID); err != nil {
			return err
		}
	}
	for _, g := range groups {
		if _, err := b.s.join(b.tx, b.r.actor, b.r.actor.Name, memberAdd, b.a, g, u, time.Time{}); err != nil {
			return err
		}
	}
	b.job.Done++
	return nil
}

// invite mails an invitation to a row's groups; one person has one of a first group.
func (b *batch) invite(v ImportRow) error {
	groups, err := b.groupsOf(v)
	if err != nil {
		return b.ungrouped(v, err)
	}
	var groupID string
	var also []string
	for n, g := range groups {
		if n == 0 {
			groupID = g.ID
		} else {
			also = append(also, g.ID)
		}
	}
	to, err := mailaddr.Parse(v.Address)
	if err != nil {
		return err
	}
	i, err := b.tx.FindPendingInvitation(b.a.ID, groupID, to.Canonical())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	open := err == nil
	if open && !slices.ContainsFunc(also, func(id string) bool { return !slices.Contains(i.Also, id) }) {
		b.job.Done++
		return nil // asked already
	}
	if no := admit(b.tx, b.r.actor, b.a, to.Canonical()); fault.Is(no, fault.Denied) || fault.Is(no, fault.Closed) {
		return b.failFor(v, no)
	} else if no != nil {
		return no
	}
	if !open {
		i = store.Invitation{ID: id.New(), AccountID: b.a.ID, GroupID: groupID, Address: to.Canonical(), DisplayAddress: to.String(), CreatedAt: b.tx.Now}
	}
	for _, id := range i.Also { // of an invitation that is open none is taken back
		if !slices.Contains(also, id) {
			also = append(also, id)
		}
	}
	i.Also, i.Language, i.FirstName, i.LastName = also, v.Language, v.FirstName, v.LastName
	if _, err := b.s.sendInvitation(b.tx, b.r.actor, b.a, i); err != nil {
		return err
	}
	b.job.Done++
	return nil
}

// create makes users without a password, all at once.
func (b *batch) create(rows []ImportRow) error {
	if len(rows) == 0 {
		return nil
	}
	users := make([]store.User, 0, len(rows))
	door, err := entryOf(b.tx, b.r.actor, b.a, true)
	if err != nil {
		return err
	}
	groups := map[string]store.Group{}
	byAddress := map[string]ImportRow{}
	foreign := map[string]bool{} // by domain
	for _, v := range rows {
		address, err := mailaddr.Parse(v.Address)
		if err != nil {
			return err
		}
		var why error
		for _, id := range v.Groups {
			if _, known := groups[id]; known {
				continue
			}
			var list []store.Group
			if list, why = b.groupsOf(ImportRow{Groups: []string{id}}); why != nil {
				break
			}
			groups[id] = list[0]
		}
		if why != nil {
			if err := b.ungrouped(v, why); err != nil {
				return err
			}
			continue
		}
		theirs, asked := foreign[address.Domain()]
		if !asked {
			if theirs, err = ofAnother(b.tx, b.r.actor, b.a.ID, address.Domain()); err != nil {
				return err
			}
			foreign[address.Domain()] = theirs
		}
		if theirs {
			if err := b.unavailable(v); err != nil {
				return err
			}
			continue
		}
		if no := door.take(address.Canonical()); no != nil {
			if err := b.failFor(v, no); err != nil {
				return err
			}
			continue
		}
		u := newUser(address, Enrolment{FirstName: v.FirstName, LastName: v.LastName, Language: v.Language})
		u.Managed, u.AccountID, u.TimeZone = true, b.a.ID, b.a.TimeZone
		if v.Language == "" {
			u.Language = b.a.Language
		}
		users, byAddress[u.Address] = append(users, u), v
	}
	made, err := b.tx.InsertUsers(users)
	if err != nil {
		return err
	}
	var targets []string
	var pairs [][3]string
	joined := map[string][]string{} // addresses by group
	for _, u := range users {
		v := byAddress[u.Address]
		if !made[u.Address] { // taken by another account at this moment
			if err := b.unavailable(v); err != nil {
				return err
			}
			continue
		}
		targets = append(targets, u.Address)
		for _, id := range v.Groups {
			if groups[id].Builtin { // whoever is made an administrator is told
				if _, err := b.s.join(b.tx, b.r.actor, b.r.actor.Name, memberAdd, b.a, groups[id], u, time.Time{}); err != nil {
					return err
				}
				continue
			}
			pairs = append(pairs, [3]string{id, u.ID, u.Address})
			joined[id] = append(joined[id], u.Address)
		}
	}
	b.job.Done += len(targets)
	if err := b.tx.RevokeInvitationsOf(b.a.ID, targets); err != nil {
		return err
	}
	if err := b.tx.InsertMemberships(pairs); err != nil {
		return err
	}
	row := store.AuditRow{AccountID: b.a.ID, Actor: b.r.actor.String(), Action: string(userAdd), Detail: b.r.actor.details("job", b.job.ID), Origin: b.r.actor.Origin}
	if err := b.tx.InsertAudits(row, targets); err != nil {
		return err
	}
	for id, addresses := range joined {
		row.Action, row.Detail = string(memberAdd), b.r.actor.details("group", groups[id].Name, "job", b.job.ID)
		if err := b.tx.InsertAudits(row, addresses); err != nil {
			return err
		}
	}
	return nil
}
