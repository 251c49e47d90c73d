package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

const (
	MaxImportRows = 200_000
	importRead    = 1000 // rows that one transaction judges
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
	judge := judge{how: how, seen: map[string]int{}, groups: map[string]filled{}}
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
		if _, _, err := findImport(tx, a.ID, jobID); err != nil {
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
