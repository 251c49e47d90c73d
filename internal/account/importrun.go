package account

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

// RunJobs goes on with one job that nobody is at, and reports whether there was
// one. Of two nodes one has it; one that dies is followed after a minute.
func (s *Service) RunJobs(ctx context.Context) (bool, error) {
	var j store.Job
	waits := false // looked for without writing, as there is mostly none
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		waits, err = tx.JobWaits()
		return err
	})
	if err != nil || !waits {
		return false, err
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		j, err = tx.ClaimJob(tx.Now.Add(jobClaim))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for {
		more, err := s.importSome(ctx, j)
		if err != nil || !more || ctx.Err() != nil {
			return true, err
		}
	}
}

// SweepJobs forgets jobs that are long over, or were never run.
func (s *Service) SweepJobs(ctx context.Context) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.DeleteOldJobs(tx.Now.Add(-jobKeep))
		return err
	})
}

const (
	jobClaim    = time.Minute
	jobKeep     = 30 * 24 * time.Hour
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

// importSome imports the next rows, and reports whether there are more.
func (s *Service) importSome(ctx context.Context, j store.Job) (more bool, err error) {
	actor := actorOf(j)
	err = s.actWithin(ctx, actor, userImport, j.AccountID, func(tx *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		now, err := tx.LockJob(j.AccountID, j.ID)
		if err != nil {
			return err
		}
		if more = now.State == store.JobRunning; !more {
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
		claimed := tx.Now.Add(jobClaim)
		if wait > 0 {
			claimed, more = tx.Now.Add(wait), false
		} else if b.read < importBatch {
			now.State, more = store.JobDone, false
			claimed = time.Time{}
		}
		return tx.SetJob(now, claimed)
	})
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) { // who began it may no more
		return false, s.stop(ctx, j, "im.norights")
	}
	return more, err
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
			case b.how.Invite:
				err = b.invite(v)
			case exists:
				err = b.fail(v, "people.unavailable")
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

func (b *batch) fail(v ImportRow, key string) error {
	v.wrong(key, "email", v.Address)
	v.Verdict = store.RowFailed
	v.Cells = roster.Place(b.how.Headings, map[string]string{"email": v.Address, "first_name": v.FirstName, "last_name": v.LastName, "groups": v.Named, "language": v.Language})
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b.job.Failed++
	return b.tx.SetJobRow(b.job.ID, store.JobRow{Line: v.Line, Verdict: v.Verdict, Data: string(data)})
}

// groupsOf are the groups of a row that are still there and may be filled.
func (b *batch) groupsOf(v ImportRow) (out []store.Group, ok bool, err error) {
	for _, id := range v.Groups {
		g, err := b.tx.FindGroup(b.a.ID, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, false, nil
		} else if err != nil {
			return nil, false, err
		}
		if may, err := b.r.may(b.tx, g, time.Time{}); err != nil || !may {
			return nil, false, err
		}
		out = append(out, g)
	}
	return out, true, nil
}

func (b *batch) update(u store.User, v ImportRow) error {
	if !b.how.Update {
		return b.fail(v, "un.exists")
	}
	var above *refusal
	if err := b.r.below(b.tx, u); errors.As(err, &above) {
		return b.fail(v, "rt.above")
	} else if err != nil {
		return err
	}
	groups, ok, err := b.groupsOf(v)
	if err != nil {
		return err
	}
	if !ok {
		return b.fail(v, "im.nogroup")
	}
	if g, err := b.r.unpulled(b.tx, v.Groups, u); err != nil {
		return err
	} else if g != "" {
		return b.fail(v, "im.nogroup")
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
		if _, err := b.s.join(b.tx, b.r.actor, memberAdd, b.a, g, u, time.Time{}); err != nil {
			return err
		}
	}
	b.job.Done++
	return nil
}

// invite mails an invitation, to the first of the groups; one person has one.
func (b *batch) invite(v ImportRow) error {
	groups, ok, err := b.groupsOf(v)
	if err != nil {
		return err
	}
	if !ok {
		return b.fail(v, "im.nogroup")
	}
	var groupID string
	if len(groups) > 0 {
		groupID = groups[0].ID
	}
	to, err := mailaddr.Parse(v.Address)
	if err != nil {
		return err
	}
	if _, err := b.tx.FindPendingInvitation(b.a.ID, groupID, to.Canonical()); err == nil {
		b.job.Done++
		return nil // asked already
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	i := store.Invitation{ID: id.New(), AccountID: b.a.ID, GroupID: groupID, Address: to.Canonical(), DisplayAddress: to.String(), CreatedAt: b.tx.Now}
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
	groups := map[string]store.Group{}
	byAddress := map[string]ImportRow{}
	for _, v := range rows {
		address, err := mailaddr.Parse(v.Address)
		if err != nil {
			return err
		}
		ok := true
		for _, id := range v.Groups {
			if _, known := groups[id]; known {
				continue
			}
			list, may, err := b.groupsOf(ImportRow{Groups: []string{id}})
			if err != nil {
				return err
			}
			if ok = ok && may; may {
				groups[id] = list[0]
			}
		}
		if !ok {
			if err := b.fail(v, "im.nogroup"); err != nil {
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
			if err := b.fail(v, "people.unavailable"); err != nil {
				return err
			}
			continue
		}
		targets = append(targets, u.Address)
		for _, id := range v.Groups {
			if groups[id].Builtin { // whoever is made an administrator is told
				if _, err := b.s.join(b.tx, b.r.actor, memberAdd, b.a, groups[id], u, time.Time{}); err != nil {
					return err
				}
				continue
			}
			pairs = append(pairs, [3]string{id, u.ID, u.Address})
			joined[id] = append(joined[id], u.Address)
		}
	}
	b.job.Done += len(targets)
	if err := b.tx.InsertMemberships(pairs); err != nil {
		return err
	}
	row := store.AuditRow{AccountID: b.a.ID, Actor: b.r.actor.String(), Action: string(userAdd), Detail: map[string]string{"job": b.job.ID}, Origin: b.r.actor.Origin}
	if err := b.tx.InsertAudits(row, targets); err != nil {
		return err
	}
	for id, addresses := range joined {
		row.Action, row.Detail = string(memberAdd), map[string]string{"group": groups[id].Name, "job": b.job.ID}
		if err := b.tx.InsertAudits(row, addresses); err != nil {
			return err
		}
	}
	return nil
}
