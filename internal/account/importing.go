package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

const (
	MaxImportRows = 200_000
	importRead    = 1000      // rows that one transaction judges
	importReads   = time.Hour // after which nobody reads it any more: the node died
	maxImports    = 5         // of one account that are read or run; and that never ran, with all their rows
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

// LeftOut is how many rows are not imported: with an error, or of people who are users already.
func (v ImportView) LeftOut() int {
	return v.Counts[store.RowError] + v.Counts[store.RowFailed] + v.Counts[store.RowExists]
}

// Valid is how many rows can be imported.
func (v ImportView) Valid() int { return v.Counts[store.RowCreate] + v.Counts[store.RowUpdate] }

// CheckImport reads a file of people and judges each row; nobody is made yet. It
// makes room for its rows by those of the oldest of five that never ran.
// Faults: im.empty, im.noemail, im.big, im.encoding, bulk.busy.
func (s *Service) CheckImport(ctx context.Context, actor Actor, number int64, how Import, file io.Reader) (_ ImportView, err error) {
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
	if err := s.act(ctx, actor, userImport, number, func(tx *store.Tx, _ store.Account) error {
		if err := roomForImport(tx, a.ID); err != nil {
			return err
		}
		if err := tx.InsertJob(j); err != nil {
			return err
		}
		return record(tx, actor, importCheck, a.ID, how.File, "job", j.ID)
	}); err != nil {
		return ImportView{}, err
	}
	why := "im.broken"
	defer func() {
		if err != nil && j.State == store.JobReading {
			err = errors.Join(err, s.stop(ctx, j, why))
		}
	}()
	judge := judge{how: how, seen: map[string]int{}, groups: map[string]filled{}}
	for done := false; !done; {
		rows := make([]roster.Row, 0, importRead)
		for len(rows) < importRead {
			row, err := in.Next()
			if errors.Is(err, io.EOF) {
				done = true
				break
			} else if err != nil {
				return ImportView{}, asFileFault(err)
			}
			rows = append(rows, row)
		}
		if j.Total += len(rows); j.Total > MaxImportRows {
			why = "im.big"
			return ImportView{}, fault.New(fault.Invalid, why).With("n", MaxImportRows).In("file", why, fault.Args{"n": MaxImportRows})
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
		why = "im.empty"
		return ImportView{}, fault.New(fault.Invalid, why).In("file", why, nil)
	}
	ready := j
	ready.State = store.JobReady
	if err := s.act(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		if now, err := tx.LockJob(a.ID, j.ID); err != nil || now.State != store.JobReading { // somebody stopped it
			return cmp.Or(err, error(fault.New(fault.Conflict, "job.over")))
		}
		return tx.SetJob(ready, time.Time{})
	}); err != nil {
		return ImportView{}, err
	}
	j = ready
	return s.Import(ctx, actor, number, j.ID)
}

// roomForImport refuses another import where too many are at work, and discards
// the oldest of those that wait to be run.
func roomForImport(tx *store.Tx, number int64) error {
	jobs, err := tx.ListOpenJobs(number, KindImport)
	if err != nil {
		return err
	}
	busy, idle := 0, 1
	for _, j := range jobs {
		switch {
		case j.State == store.JobRunning, j.State == store.JobReading && j.CreatedAt.Add(importReads).After(tx.Now):
			busy++
		default:
			if idle++; idle > maxImports {
				if err := end(tx, j, ImportDiscarded); err != nil {
					return err
				}
			}
		}
	}
	if busy >= maxImports {
		return fault.Wait("bulk.busy", 5*time.Minute)
	}
	return nil
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

// Import returns an import of the account.
func (s *Service) Import(ctx context.Context, actor Actor, number int64, jobID string) (out ImportView, err error) {
	err = s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		out, err = importOf(tx, a.ID, jobID)
		return err
	})
	return out, err
}

func importOf(tx *store.Tx, number int64, jobID string) (out ImportView, err error) {
	if out.Job, out.Import, err = findImport(tx, number, jobID); err == nil {
		out.Counts, err = tx.CountJobRows(jobID)
	}
	return out, err
}

// findImport is importOf without the counts, for which every row is read.
func findImport(tx *store.Tx, number int64, jobID string) (j store.Job, how Import, err error) {
	if j, err = tx.FindJob(number, jobID); err == nil {
		how, err = howOf(j)
	}
	return j, how, err
}

// howOf is how the file of a job is to be taken in; a job of another kind has none.
func howOf(j store.Job) (how Import, err error) {
	if j.Kind != KindImport {
		return how, store.ErrNotFound
	}
	if err := json.Unmarshal([]byte(j.Params), &how); err != nil {
		return how, fmt.Errorf("read job %s: %w", j.ID, err)
	}
	return how, nil
}

// ImportsPage is a page of an account's imports, the newest first.
type ImportsPage struct {
	Imports []ImportView
	Next    string // cursor, "" on the last page
}

// Imports lists an account's imports of the last 30 days, without their rows' counts.
func (s *Service) Imports(ctx context.Context, actor Actor, number int64, after string, limit int) (out ImportsPage, err error) {
	limit = limited(limit)
	err = s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		out = ImportsPage{}
		list := keyset.Of("imports", number)
		ms, lastID, err := list.Numbered(after)
		if err != nil {
			return err
		}
		jobs, err := tx.ListJobs(a.ID, KindImport, time.UnixMilli(ms), lastID, limit+1)
		if err != nil {
			return err
		}
		jobs, out.Next = keyset.Page(list, jobs, limit, jobKey)
		for _, j := range jobs {
			v := ImportView{Job: j}
			if err := json.Unmarshal([]byte(j.Params), &v.Import); err != nil {
				return fmt.Errorf("read job %s: %w", j.ID, err)
			}
			out.Imports = append(out.Imports, v)
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

// ImportRowsPage is a page of an import's rows, by line.
type ImportRowsPage struct {
	Rows []ImportRow
	Next string // cursor, "" on the last page
}

// ImportRows lists rows of an import; of one verdict, or with "" of all.
func (s *Service) ImportRows(ctx context.Context, actor Actor, number int64, jobID, verdict, after string, limit int) (out ImportRowsPage, err error) {
	err = s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		if _, _, err := findImport(tx, a.ID, jobID); err != nil {
			return err
		}
		rows, next, err := rowsOf(tx, jobID, verdict, after, limit)
		if err != nil {
			return err
		}
		out.Next = next
		out.Rows, err = readRows(rows)
		return err
	})
	return out, err
}

// Wrong says what is wrong with a row, "" for nothing. What it cites is as short as a
// page can show it.
func (row ImportRow) Wrong(p i18n.Printer) string {
	if row.Key == "" {
		return ""
	}
	args := fault.Args{}
	for k, v := range row.Args {
		args[k] = Cited(v)
	}
	if n, err := strconv.Atoi(row.Args["n"]); err == nil {
		args["n"] = n // chooses the plural
	}
	if key := row.Args["field"]; key != "" {
		args["field"] = strings.TrimSuffix(p.T(key), "*")
	}
	return p.Say(row.Key, args)
}

// Cited is what a page shows of a cell that nothing can be made of.
func Cited(cell string) string {
	if r := []rune(cell); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return cell
}

// Rejected begins a file of an import's rows with errors, as they were, with what
// is wrong with each in a column more. For each page of them the right is asked for again.
func (s *Service) Rejected(ctx context.Context, actor Actor, number int64, jobID string, p i18n.Printer) (write func(io.Writer) error, err error) {
	v, err := s.Import(ctx, actor, number, jobID)
	if err != nil {
		return nil, err
	}
	return func(to io.Writer) error {
		w := roster.NewWriter(to)
		w.Write(append(slices.Clone(v.Headings), p.T("ic.errorcolumn"))...)
		for _, verdict := range []string{store.RowError, store.RowFailed} {
			for after := ""; ; {
				page, err := s.ImportRows(ctx, actor, number, jobID, verdict, after, importRead)
				if err != nil {
					return err
				}
				for _, row := range page.Rows {
					cells := make([]string, max(len(v.Headings), len(row.Cells)))
					copy(cells, row.Cells)
					w.Write(append(cells, row.Wrong(p))...)
				}
				if err := w.Flush(); err != nil {
					return err
				}
				if after = page.Next; after == "" {
					break
				}
			}
		}
		return w.Flush()
	}, nil
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

// StartImport lets an import run. It goes on without whoever started it. One that
// is to be all or nothing is looked at for what only the run would find; those
// rows have an error then. Faults: im.notready, im.reading, im.allornothing, e429.p, second.again.
func (s *Service) StartImport(ctx context.Context, actor Actor, number int64, jobID string) error {
	wrong, err := s.foresee(ctx, actor, number, jobID)
	if err != nil {
		return err
	}
	spoilt := 0
	err = s.actWithin(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account, r reach) error {
		spoilt = 0
		if err := r.whole(); err != nil {
			return err
		}
		if err := recentlyProved(tx, actor); err != nil { // its rows may name any group
			return err
		}
		j, err := tx.LockJob(a.ID, jobID)
		if err != nil {
			return err
		}
		v, err := importOf(tx, a.ID, jobID)
		switch {
		case err != nil:
			return err
		case j.State == store.JobReading:
			return fault.New(fault.Conflict, "im.reading")
		case j.State != store.JobReady:
			return fault.New(fault.Conflict, "im.notready")
		case v.AllOr && v.Counts[store.RowError] > 0:
			return fault.New(fault.Conflict, "im.allornothing").With("n", v.Counts[store.RowError])
		case len(wrong) > 0:
			spoilt = len(wrong)
			b := batch{s: s, tx: tx, r: r, a: a, how: v.Import, job: &j}
			for _, w := range wrong {
				if err := b.spoil(w); err != nil {
					return err
				}
			}
			return nil
		}
		j.State, j.Total, j.Position = store.JobRunning, v.Valid(), 0
		j.ActorID, j.TokenID, j.Actor, j.ActorName, j.Origin, j.Language = actor.UserID, actor.TokenID, actor.String(), actor.Name, actor.Origin, actor.Language
		if err := tx.SetJob(j, tx.Now); err != nil {
			return err
		}
		return record(tx, actor, userImport, a.ID, v.File, "rows", fmt.Sprint(v.Valid()), "job", j.ID)
	})
	if err == nil && spoilt > 0 {
		err = fault.New(fault.Conflict, "im.allornothing").With("n", spoilt)
	}
	return err
}

// foresee returns the rows of an import of all or nothing, a batch of them at most,
// that its run would refuse as things are: a user of another account, a domain of
// another's, a guest where there are none, one more than the quota. A check does not
// tell the first two, as it leaves no record of who asked.
func (s *Service) foresee(ctx context.Context, actor Actor, number int64, jobID string) (wrong []ImportRow, err error) {
	var door entry
	var how Import
	if err := s.act(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		j, how, err := findImport(tx, a.ID, jobID)
		if err != nil || !how.AllOr || how.Invite || j.State != store.JobReady {
			return err
		}
		ok, wait, err := tx.Hit("import.foresee:"+accountName(a.ID), 24*time.Hour, foreseenStarts) // whatever is found
		if err == nil && !ok {
			err = fault.Wait("e429.p", wait)
		}
		return err
	}); err != nil {
		return nil, err
	}
	elsewheres, foreign := 0, map[string]bool{}
	for after, more := 0, true; more && len(wrong) < importBatch && elsewheres < mostElsewhere; {
		var page []ImportRow
		if err := s.look(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
			page, more = nil, false
			var j store.Job
			var err error
			if j, how, err = findImport(tx, a.ID, jobID); err != nil || !how.AllOr || j.State != store.JobReady {
				return err
			}
			if after == 0 {
				if door, err = entryOf(tx, actor, a, false); err != nil {
					return err
				}
			}
			rows, err := tx.ListJobRows(jobID, store.RowCreate, after, importBatch)
			if err != nil {
				return err
			}
			more = len(rows) == importBatch
			if page, err = readRows(rows); err != nil || how.Invite {
				return err
			}
			return elsewhere(tx, actor, a.ID, page, foreign)
		}); err != nil {
			return nil, err
		}
		for _, v := range page {
			canonical, _ := typed(v.Address)
			if v.Key == "" {
				take := door.take
				if how.Invite {
					take = door.admits // who is invited takes no place yet
				}
				if no := take(canonical); no != nil {
					v.Key, v.Args = fault.Of(no).Key, argsOf(no)
				}
			}
			if v.Key == "people.unavailable" {
				if elsewheres++; elsewheres > mostElsewhere {
					break
				}
			}
			if v.Key != "" {
				wrong = append(wrong, v)
			}
			after = v.Line
		}
	}
	return wrong[:min(len(wrong), importBatch)], nil
}

// A start that makes nobody names so many users of other accounts at most, and an
// account has so many such starts a day: else it would tell of a whole list who is one.
const (
	mostElsewhere  = 10
	foreseenStarts = 50
)

// elsewhere marks those rows whose address has a user in another account or is in
// another's proved domain. foreign remembers domains.
func elsewhere(tx *store.Tx, actor Actor, number int64, rows []ImportRow, foreign map[string]bool) error {
	var addresses []string
	for _, v := range rows {
		canonical, _ := typed(v.Address)
		addresses = append(addresses, canonical)
	}
	there, err := tx.FindUsersByAddress(addresses)
	if err != nil {
		return err
	}
	for i, canonical := range addresses {
		_, domain, _ := strings.Cut(canonical, "@")
		theirs, asked := foreign[domain]
		if !asked {
			if theirs, err = ofAnother(tx, actor, number, domain); err != nil {
				return err
			}
			foreign[domain] = theirs
		}
		if u, exists := there[canonical]; theirs || exists && u.AccountID != number {
			rows[i].Key = "people.unavailable"
		}
	}
	return nil
}

// ImportDiscarded is the reason of an import that was checked and never begun.
const ImportDiscarded = "im.discarded"

// CancelImport ends an import; who was imported stays. Faults: job.over, im.notready.
func (s *Service) CancelImport(ctx context.Context, actor Actor, number int64, jobID string) error {
	return s.act(ctx, actor, userImport, number, func(tx *store.Tx, a store.Account) error {
		j, err := tx.LockJob(a.ID, jobID)
		if err != nil {
			return err
		}
		was := j.State
		switch {
		case was == store.JobDone || was == store.JobStopped:
			return fault.New(fault.Conflict, "job.over")
		case was == store.JobReading && tx.Now.Sub(j.CreatedAt) < importReads: // after that its node died
			return fault.New(fault.Conflict, "im.reading")
		}
		j.State, j.Reason = store.JobStopped, "im.cancelled"
		if was != store.JobRunning {
			j.Reason = ImportDiscarded
		}
		if err := tx.SetJob(j, time.Time{}); err != nil {
			return err
		}
		return record(tx, actor, importStop, a.ID, j.ID, "done", fmt.Sprint(j.Done))
	})
}
