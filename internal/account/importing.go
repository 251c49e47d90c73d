package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

const (
	MaxImportRows = 200_000
	importRead    = 1000 // rows that one transaction judges
	importBatch   = 1000 // rows that one transaction imports; a node that dies loses none and does none twice
)

// KindImport is the kind of a job that imports users.
const KindImport = "users.import"

// Import is how a file of people is to be taken in.
type Import struct {
	File    string `json:"file"`           // its name, to be shown
	Invite  bool   `json:"invite"`         // mail an invitation to whoever is new; else they are made without a password, and set one by a mailed code
	Update  bool   `json:"update"`         // change who exists already
	GroupID string `json:"group"`          // to add everybody to, "" = none
	AllOr   bool   `json:"all_or_nothing"` // not at all while a row has an error

	Encoding  string   `json:"encoding"` // as it was read
	Separator string   `json:"separator"`
	Headings  []string `json:"headings"`
}

// ImportRow is a row with what is to be done, or is wrong with it.
type ImportRow struct {
	Line      int               `json:"-"`
	Verdict   string            `json:"-"`
	Address   string            `json:"address"` // as typed
	FirstName string            `json:"first_name,omitempty"`
	LastName  string            `json:"last_name,omitempty"`
	Language  string            `json:"language,omitempty"`
	Groups    []string          `json:"groups,omitempty"` // ids
	Named     string            `json:"named,omitempty"`  // groups as typed
	Cells     []string          `json:"cells,omitempty"`  // of a row with an error, to give it back
	Changes   []string          `json:"changes,omitempty"`
	Key       string            `json:"key,omitempty"` // what is wrong
	Args      map[string]string `json:"args,omitempty"`
}

// ImportView is an import as pages show it.
type ImportView struct {
	store.Job
	Import
	Counts map[string]int // rows by verdict
}

// Valid is how many rows can be imported.
func (v ImportView) Valid() int { return v.Counts[store.RowCreate] + v.Counts[store.RowUpdate] }

// CheckImport reads a file of people and judges each row; nobody is made yet.
// Faults: im.empty, im.noemail, im.big, im.encoding.
func (s *Service) CheckImport(ctx context.Context, actor Actor, number int64, how Import, file io.Reader) (ImportView, error) {
	var a store.Account
	if err := s.look(ctx, actor, userImport, number, func(tx *store.Tx, acc store.Account) error {
		a = acc
		if how.GroupID == "" {
			return nil
		}
		_, err := tx.FindGroup(acc.ID, how.GroupID)
		return err
	}); err != nil {
		return ImportView{}, err
	}
	in, err := roster.Open(file)
	if err != nil {
		return ImportView{}, asFileFault(err)
	}
	how.File, how.Encoding, how.Separator, how.Headings = fileName(how.File), in.Encoding, string(in.Separator), in.Headings
	params, err := json.Marshal(how)
	if err != nil {
		return ImportView{}, err
	}
	j := store.Job{ID: id.New(), AccountID: a.ID, Kind: KindImport, State: store.JobReading, ActorID: actor.UserID, Actor: actor.String(),
		ActorName: actor.Name, TokenID: actor.TokenID, Origin: actor.Origin, Language: actor.Language, Params: string(params)}
	if err := s.act(ctx, actor, userImport, number, func(tx *store.Tx, _ store.Account) error { return tx.InsertJob(j) }); err != nil {
		return ImportView{}, err
	}
	judge := judge{s: s, how: how, seen: map[string]int{}, groups: map[string]filled{}}
	for done := false; !done; {
		rows := make([]roster.Row, 0, importRead)
		for len(rows) < importRead {
			row, err := in.Next()
			if errors.Is(err, io.EOF) {
				done = true
				break
			} else if err != nil {
				return ImportView{}, errors.Join(asFileFault(err), s.stop(ctx, j, "im.broken"))
			}
			rows = append(rows, row)
		}
		if j.Total += len(rows); j.Total > MaxImportRows {
			big := fault.New(fault.Invalid, "im.big").With("n", MaxImportRows).In("file", "im.big", fault.Args{"n": MaxImportRows})
			return ImportView{}, errors.Join(big, s.stop(ctx, j, "im.big"))
		}
		if err := s.actWithin(ctx, actor, userImport, number, func(tx *store.Tx, _ store.Account, r reach) error {
			verdicts, err := judge.verdicts(tx, r, rows)
			if err != nil {
				return err
			}
			return tx.InsertJobRows(j.ID, verdicts)
		}); err != nil {
			return ImportView{}, err
		}
		for _, row := range rows {
			if row.Problem == nil {
				judge.remember(row)
			}
		}
	}
	if j.Total == 0 {
		return ImportView{}, errors.Join(fault.New(fault.Invalid, "im.empty").In("file", "im.empty", nil), s.stop(ctx, j, "im.empty"))
	}
	j.State = store.JobReady
	if err := s.act(ctx, actor, userImport, number, func(tx *store.Tx, _ store.Account) error { return tx.SetJob(j, time.Time{}) }); err != nil {
		return ImportView{}, err
	}
	return s.Import(ctx, actor, number, j.ID)
}

func asFileFault(err error) error {
	var p *roster.Problem
	if !errors.As(err, &p) {
		return fault.New(fault.Invalid, "im.broken").In("file", "im.broken", nil).Because(err)
	}
	f := fault.New(fault.Invalid, p.Key).In("file", p.Key, p.Args)
	for k, v := range p.Args {
		f = f.With(k, v)
	}
	return f
}

func (s *Service) stop(ctx context.Context, j store.Job, reason string) error {
	j.State, j.Reason = store.JobStopped, reason
	return s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.SetJob(j, time.Time{}) })
}

// judge decides rows. It remembers, from batch to batch, which addresses came before.
type judge struct {
	s      *Service
	how    Import
	seen   map[string]int    // line of the first row with an address
	groups map[string]filled // by name key; "#" is the one for everybody
}

func (g *judge) remember(row roster.Row) {
	if _, ok := g.seen[row.Address.Canonical()]; !ok {
		g.seen[row.Address.Canonical()] = row.Line
	}
}

func (g *judge) verdicts(tx *store.Tx, r reach, rows []roster.Row) ([]store.JobRow, error) {
	var addresses []string
	for _, row := range rows {
		if row.Problem == nil {
			addresses = append(addresses, row.Address.Canonical())
		}
	}
	users, err := tx.FindUsersByAddress(addresses)
	if err != nil {
		return nil, err
	}
	here := map[string]int{} // lines of this batch; a batch may be judged more than once
	out := make([]store.JobRow, len(rows))
	for i, row := range rows {
		v := ImportRow{Address: row.Address.String(), FirstName: clean(row.FirstName), LastName: clean(row.LastName), Language: row.Language, Named: row.Groups}
		if row.Address.IsZero() {
			v.Address = row.Typed
		}
		if err := g.decide(tx, r, &v, row, users, here); err != nil {
			return nil, err
		}
		if v.Verdict == store.RowError {
			v.Cells = row.Cells
		}
		if v.Verdict == store.RowError || v.Verdict == store.RowSame {
			v.Named = ""
		}
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		out[i] = store.JobRow{Line: row.Line, Verdict: v.Verdict, Data: string(data)}
	}
	return out, nil
}

func (v *ImportRow) wrong(key string, pairs ...string) {
	v.Verdict, v.Key, v.Args = store.RowError, key, map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Args[pairs[i]] = pairs[i+1]
	}
}

func (g *judge) decide(tx *store.Tx, r reach, v *ImportRow, row roster.Row, users map[string]store.User, here map[string]int) error {
	if p := row.Problem; p != nil {
		var pairs []string
		for k, x := range p.Args {
			pairs = append(pairs, k, fmt.Sprint(x))
		}
		v.wrong(p.Key, pairs...)
		return nil
	}
	canonical := row.Address.Canonical()
	first, before := g.seen[canonical]
	if !before {
		first, before = here[canonical], here[canonical] > 0
	}
	if before {
		v.wrong("ic.dup", "n", fmt.Sprint(first))
		return nil
	}
	here[canonical] = row.Line
	var p problems
	checkPerson(&p, v.FirstName, v.LastName)
	if err := p.err(); err != nil {
		f := fault.Of(err)
		v.wrong(f.Fields[0].Key)
		for k, x := range f.Fields[0].Args {
			v.Args[k] = fmt.Sprint(x)
		}
		return nil
	}
	u, exists := users[canonical]
	if exists && u.AccountID != r.number && g.how.Invite {
		u, exists = store.User{}, false // an invitation works for whoever has a user elsewhere, and does not tell
	}
	if exists && u.AccountID != r.number {
		v.wrong("people.unavailable", "email", row.Address.String())
		return nil
	}
	if ok, err := g.addGroups(tx, r, v, row, u); !ok || err != nil {
		return err
	}
	switch {
	case !exists:
		v.Verdict = store.RowCreate
	case !g.how.Update:
		v.wrong("un.exists", "email", row.Address.String())
	default:
		v.Changes = changes(u, *v)
		v.Verdict = store.RowUpdate
		if len(v.Changes)+len(v.Groups) == 0 {
			v.Verdict = store.RowSame
		} else if err := r.below(tx, u); err != nil {
			v.wrong("rt.above", "name", u.Name())
		} else if g, err := r.unpulled(tx, v.Groups, u); err != nil {
			return err
		} else if g != "" {
			v.wrong("ic.beyond", "name", g)
		}
	}
	return nil
}

// changes are the names of what a row changes of a user. Who enrolled on their
// own says themself what they are called.
func changes(u store.User, v ImportRow) (out []string) {
	if !u.Managed {
		return nil
	}
	for _, c := range []struct{ key, was, is string }{
		{"seed.first_name", u.FirstName, v.FirstName}, {"seed.last_name", u.LastName, v.LastName}, {"adm.language", u.Language, v.Language},
	} {
		if c.is != "" && c.is != c.was {
			out = append(out, c.key)
		}
	}
	return out
}

// addGroups finds the groups that a row names and the person is not in, all of
// which the actor must be able to fill.
func (g *judge) addGroups(tx *store.Tx, r reach, v *ImportRow, row roster.Row, u store.User) (ok bool, err error) {
	ids := []string{}
	add := func(name, key string, find func() (store.Group, error)) (bool, error) {
		found, known := g.groups[key]
		if !known {
			if found, err = target(tx, r, find); err != nil {
				return false, err
			}
			g.groups[key] = found
		}
		switch {
		case found.beyond:
			v.wrong("ic.beyond", "name", name)
		case found.id == "":
			v.wrong("ic.nogroup", "name", name)
		case !slices.Contains(ids, found.id):
			ids = append(ids, found.id)
		}
		return found.id != "" && !found.beyond, nil
	}
	if g.how.GroupID != "" {
		ok, err := add("", "#", func() (store.Group, error) { return tx.FindGroup(r.number, g.how.GroupID) })
		if !ok || err != nil {
			return false, err
		}
	}
	for _, name := range roster.GroupNames(row.Groups) {
		key := nameKey(name)
		ok, err := add(name, key, func() (store.Group, error) { return tx.FindGroupByName(r.number, key) })
		if !ok || err != nil {
			return false, err
		}
	}
	if u.ID != "" && len(ids) > 0 {
		in, err := tx.ListGroupsOf(u.ID)
		if err != nil {
			return false, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			return slices.ContainsFunc(in, func(x store.Group) bool { return x.ID == id })
		})
	}
	v.Groups = ids
	return true, nil
}

// filled is a group that rows name: beyond what the actor may fill, or not there (id "").
type filled struct {
	id     string
	beyond bool
}

func target(tx *store.Tx, r reach, find func() (store.Group, error)) (filled, error) {
	g, err := find()
	if errors.Is(err, store.ErrNotFound) {
		return filled{}, nil
	} else if err != nil {
		return filled{}, err
	}
	may, err := r.may(tx, g, time.Time{})
	return filled{g.ID, !may}, err
}

// unpulled is the name of the first of some groups that the actor may not pull a
// user of the account into, "" for none.
func (r reach) unpulled(tx *store.Tx, groups []string, u store.User) (string, error) {
	for _, id := range groups {
		g, err := tx.FindGroup(r.number, id)
		if err != nil {
			return "", err
		}
		var no *refusal
		if err := r.mayPull(tx, g, u); errors.As(err, &no) {
			return g.Name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", nil
}

// Import returns an import of the account.
func (s *Service) Import(ctx context.Context, actor Actor, number int64, jobID string) (out ImportView, err error) {
	err = s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		out, err = importOf(tx, a.ID, jobID)
		return err
	})
	return out, err
}

func importOf(tx *store.Tx, number int64, jobID string) (out ImportView, err error) {
	if out.Job, err = tx.FindJob(number, jobID); err != nil {
		return out, err
	}
	if out.Kind != KindImport {
		return out, store.ErrNotFound
	}
	if err := json.Unmarshal([]byte(out.Params), &out.Import); err != nil {
		return out, fmt.Errorf("read job %s: %w", jobID, err)
	}
	out.Counts, err = tx.CountJobRows(jobID)
	return out, err
}

// Imports lists an account's imports of the last 30 days, at most 50, the newest
// first, without their counts.
func (s *Service) Imports(ctx context.Context, actor Actor, number int64) (out []ImportView, err error) {
	err = s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		jobs, err := tx.ListJobs(a.ID, KindImport, 50)
		if err != nil {
			return err
		}
		out = nil
		for _, j := range jobs {
			v := ImportView{Job: j}
			if err := json.Unmarshal([]byte(j.Params), &v.Import); err != nil {
				return fmt.Errorf("read job %s: %w", j.ID, err)
			}
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

// fileName is a file's name as a page can show it.
func fileName(s string) string {
	if r := []rune(clean(s)); len(r) > 100 {
		return string(r[:100])
	}
	return clean(s)
}

// ImportRows lists rows of an import by line, those after a line; of one verdict, or with "" of all.
func (s *Service) ImportRows(ctx context.Context, actor Actor, number int64, jobID, verdict string, after, limit int) (out []ImportRow, err error) {
	err = s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		if _, err := importOf(tx, a.ID, jobID); err != nil {
			return err
		}
		rows, err := tx.ListJobRows(jobID, verdict, after, limit)
		if err != nil {
			return err
		}
		out, err = readRows(rows)
		return err
	})
	return out, err
}

func readRows(rows []store.JobRow) (out []ImportRow, err error) {
	for _, row := range rows {
		v := ImportRow{}
		if err := json.Unmarshal([]byte(row.Data), &v); err != nil {
			return nil, fmt.Errorf("read row %d: %w", row.Line, err)
		}
		v.Line, v.Verdict = row.Line, row.Verdict
		out = append(out, v)
	}
	return out, nil
}

// StartImport lets an import run. It goes on without whoever started it.
func (s *Service) StartImport(ctx context.Context, actor Actor, number int64, jobID string) error {
	return s.act(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		j, err := tx.LockJob(a.ID, jobID)
		if err != nil {
			return err
		}
		v, err := importOf(tx, a.ID, jobID)
		switch {
		case err != nil:
			return err
		case j.State != store.JobReady:
			return fault.New(fault.Conflict, "im.notready")
		case v.AllOr && v.Counts[store.RowError] > 0:
			return fault.New(fault.Conflict, "im.allornothing").With("n", v.Counts[store.RowError])
		}
		j.State, j.Total, j.Position = store.JobRunning, v.Valid(), 0
		j.ActorID, j.TokenID, j.Actor, j.ActorName, j.Origin, j.Language = actor.UserID, actor.TokenID, actor.String(), actor.Name, actor.Origin, actor.Language
		if err := tx.SetJob(j, time.Time{}); err != nil {
			return err
		}
		return record(tx, actor, userImport, a.ID, v.File, "rows", fmt.Sprint(v.Valid()), "job", j.ID)
	})
}

// CancelImport ends an import; who was imported stays.
func (s *Service) CancelImport(ctx context.Context, actor Actor, number int64, jobID string) error {
	return s.act(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		j, err := tx.LockJob(a.ID, jobID)
		if err != nil {
			return err
		}
		if j.State != store.JobReady && j.State != store.JobRunning {
			return fault.New(fault.Conflict, "im.notready")
		}
		was := j.State
		j.State, j.Reason = store.JobStopped, "im.cancelled"
		if err := tx.SetJob(j, time.Time{}); err != nil || was == store.JobReady {
			return err
		}
		return record(tx, actor, importStop, a.ID, j.ID, "done", fmt.Sprint(j.Done))
	})
}

// RunJobs goes on with one job that nobody is at, and reports whether there was
// one. Of two nodes one has it; one that dies is followed after a minute.
func (s *Service) RunJobs(ctx context.Context) (bool, error) {
	var j store.Job
	err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if _, err := tx.DeleteOldJobs(tx.Now.Add(-jobKeep)); err != nil {
			return err
		}
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

const (
	jobClaim = time.Minute
	jobKeep  = 30 * 24 * time.Hour
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
		v, err := importOf(tx, a.ID, j.ID)
		if err != nil {
			return err
		}
		b := batch{s: s, tx: tx, r: r, a: a, how: v.Import, job: &now}
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
