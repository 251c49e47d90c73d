// Package intake is how somebody outside, who has no user here, sends something
// to a user: by a link that the user made and gave to them. What they send is
// sealed in their browser, and reaches the user as an envelope like any other.
//
// The link's token is the only right that an outsider has. The database has its
// hash; the token itself, which the user may copy again, and what the user
// wrote, are sealed under the master key.
package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
)

// Limits of one intake, and of a user's.
const (
	maxTitle   = 200  // characters
	maxText    = 2000 // characters
	maxTypes   = 20
	maxDays    = 366
	maxIntakes = 200 // of one user
	MostAll    = 500 // answers where as many as come are taken
)

// Config is what a Service needs; all of it is required.
type Config struct {
	DB      *store.DB
	Root    *masterkey.Root
	Sealing *sealing.Service
	Post    *sealing.Postman
}

// Service keeps intakes. Its methods are safe for concurrent use.
type Service struct{ c Config }

// New returns a Service.
func New(c Config) *Service { return &Service{c} }

// MaxBytes is the most that the files of one answer may have, in bytes.
func (s *Service) MaxBytes() int64 { return s.c.Sealing.MaxFiles() }

// States of an intake.
const (
	Open   = "open"
	Full   = "full"   // as many answers as were asked for have come
	Ended  = "ended"  // its date has passed
	Closed = "closed" // by its user
)

// Intake is one link.
type Intake struct {
	ID        string
	Title     string
	Text      string
	Types     []string // extensions of files, lower case, without a dot; none: any
	Token     id.Token
	Prove     bool // who answers proves their address
	Most      int  // answers
	MaxBytes  int64
	Answers   int
	State     string
	EndsAt    time.Time
	CreatedAt time.Time
}

// box is what intakes.box holds, as JSON.
type box struct {
	Title string   `json:"title"`
	Text  string   `json:"text"`
	Types []string `json:"types"`
	Token string   `json:"token"`
}

// NewIntake is a link to be made.
type NewIntake struct {
	Title, Text string
	Types       string // extensions, as typed
	Prove       bool
	Many        bool  // not one answer only
	MaxBytes    int64 // 0: MaxBytes of the service
	EndsAt      time.Time
}

func purpose(intake string) string { return "intake/" + intake }

// Create makes a link for the user who acts. Faults: desk.noaccount,
// intake.toomany, and Invalid with Fields title, text, types, until.
func (s *Service) Create(ctx context.Context, a account.Actor, n NewIntake) (Intake, error) {
	out := Intake{ID: id.New(), Token: id.NewToken(), Prove: n.Prove, Most: 1, MaxBytes: n.MaxBytes, State: Open, EndsAt: n.EndsAt}
	if n.Many {
		out.Most = MostAll
	}
	if out.MaxBytes <= 0 || out.MaxBytes > s.MaxBytes() {
		out.MaxBytes = s.MaxBytes()
	}
	if err := s.check(&out, n); err != nil {
		return Intake{}, err
	}
	plain, err := json.Marshal(box{out.Title, out.Text, out.Types, out.Token.Reveal()})
	if err != nil {
		return Intake{}, err
	}
	sealed, err := s.c.Root.Seal(purpose(out.ID), plain)
	if err != nil {
		return Intake{}, err
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		u, err := owner(tx, a)
		if err != nil {
			return err
		}
		all, err := tx.ListIntakes(u.ID, maxIntakes)
		if err != nil {
			return err
		}
		if len(all) >= maxIntakes {
			return fault.New(fault.Conflict, "intake.toomany").With("n", maxIntakes)
		}
		out.CreatedAt = tx.Now
		if err := tx.InsertIntake(store.Intake{
			ID: out.ID, AccountID: u.AccountID, UserID: u.ID, TokenHash: out.Token.Hash(), Box: sealed,
			Prove: out.Prove, Most: out.Most, MaxBytes: out.MaxBytes, EndsAt: out.EndsAt,
		}); err != nil {
			return err
		}
		return record(tx, u.AccountID, a.String(), a.Origin, "intake.create", out.ID)
	})
	return out, err
}

// check fills out with what was typed, or names every field that cannot be used.
func (s *Service) check(out *Intake, n NewIntake) error {
	bad := fault.New(fault.Invalid, "err.title")
	out.Title = strings.Join(strings.Fields(printable(n.Title, false)), " ")
	out.Text = strings.TrimSpace(printable(strings.ReplaceAll(n.Text, "\r\n", "\n"), true))
	switch k := utf8.RuneCountInString(out.Title); {
	case k == 0:
		bad = bad.In("title", "intake.notitle", nil)
	case k > maxTitle:
		bad = bad.In("title", "err.long", fault.Args{"field": "req.what", "n": maxTitle})
	}
	if utf8.RuneCountInString(out.Text) > maxText {
		bad = bad.In("text", "err.long", fault.Args{"field": "intake.text", "n": maxText})
	}
	for _, t := range strings.FieldsFunc(strings.ToLower(n.Types), func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;.*", r) }) {
		if len(t) > 10 || strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(out.Types) == maxTypes {
			bad = bad.In("types", "intake.badtypes", fault.Args{"n": maxTypes})
			break
		}
		if !slices.Contains(out.Types, t) {
			out.Types = append(out.Types, t)
		}
	}
	now := s.c.DB.Now()
	if !n.EndsAt.After(now) || n.EndsAt.After(now.AddDate(0, 0, maxDays)) {
		bad = bad.In("until", "intake.baddate", nil)
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	return nil
}

// printable leaves out what does not print; lines may be kept.
func printable(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case lines && r == '\n':
			return r
		case unicode.IsControl(r):
			return ' '
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// owner is the user who acts, held until the transaction ends: an active one, of
// an active account.
func owner(tx *store.Tx, a account.Actor) (store.User, error) {
	if a.Kind != account.KindUser {
		return store.User{}, fault.New(fault.Unauthenticated, "sess.h1")
	}
	u, err := tx.LockUser(a.UserID)
	if err != nil {
		return u, err
	}
	if u.AccountID == 0 || u.State != store.UserActive {
		return u, fault.New(fault.Denied, "desk.noaccount")
	}
	acc, err := tx.FindAccount(u.AccountID)
	if err == nil && acc.State != store.AccountActive {
		err = fault.New(fault.Denied, "register.suspended")
	}
	if err != nil {
		return u, err
	}
	settings, err := policy.ReadSettings(acc.Settings)
	if err == nil && !settings.Requests {
		err = fault.New(fault.Denied, "off.requests")
	}
	return u, err
}

func record(tx *store.Tx, number int64, actor, origin, action, target string) error {
	return tx.InsertAudit(store.AuditRow{AccountID: number, Actor: actor, Action: action, Target: target, Origin: origin})
}

// List returns the links of the user who acts, newest first.
func (s *Service) List(ctx context.Context, a account.Actor) ([]Intake, error) {
	var out []Intake
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.ListIntakes(a.UserID, maxIntakes)
		if err != nil {
			return err
		}
		for _, row := range rows {
			i, err := s.open(row, tx.Now)
			if err != nil {
				return err
			}
			out = append(out, i)
		}
		return nil
	})
	return out, err
}

// Find returns one link of the user who acts, and its answers, newest first. Fault: e404.h1.
func (s *Service) Find(ctx context.Context, a account.Actor, intake string) (Intake, []store.Answer, error) {
	var out Intake
	var answers []store.Answer
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.FindIntake(a.UserID, intake)
		if err != nil {
			return orNotFound(err)
		}
		if out, err = s.open(row, tx.Now); err != nil {
			return err
		}
		answers, err = tx.ListAnswers(row.ID, MostAll)
		return err
	})
	return out, answers, err
}

// Close ends a link of the user who acts, for answers that are being sent too.
// One that is closed stays so. Fault: e404.h1.
func (s *Service) Close(ctx context.Context, a account.Actor, intake string) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.FindIntake(a.UserID, intake)
		if err != nil {
			return orNotFound(err)
		}
		if err := tx.CloseIntake(row.ID); errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return record(tx, row.AccountID, a.String(), a.Origin, "intake.close", row.ID)
	})
}

// Delete forgets a link of the user who acts. What was received stays. Fault: e404.h1.
func (s *Service) Delete(ctx context.Context, a account.Actor, intake string) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.FindIntake(a.UserID, intake)
		if err != nil {
			return orNotFound(err)
		}
		if err := tx.DeleteIntake(row.ID); err != nil {
			return err
		}
		return record(tx, row.AccountID, a.String(), a.Origin, "intake.delete", row.ID)
	})
}

func (s *Service) open(row store.Intake, now time.Time) (Intake, error) {
	out := Intake{ID: row.ID, Prove: row.Prove, Most: row.Most, MaxBytes: row.MaxBytes, Answers: row.Answers, State: stateOf(row, now),
		EndsAt: row.EndsAt, CreatedAt: row.CreatedAt}
	plain, err := s.c.Root.Open(purpose(row.ID), row.Box)
	if err != nil {
		return out, fmt.Errorf("open intake %s: %w", row.ID, err)
	}
	var b box
	if err := json.Unmarshal(plain, &b); err != nil {
		return out, fmt.Errorf("read intake %s: %w", row.ID, err)
	}
	out.Title, out.Text, out.Types = b.Title, b.Text, b.Types
	out.Token, err = id.ParseToken(b.Token)
	return out, err
}

func stateOf(row store.Intake, now time.Time) string {
	switch {
	case !row.ClosedAt.IsZero():
		return Closed
	case row.Answers >= row.Most:
		return Full
	case !row.EndsAt.After(now):
		return Ended
	}
	return Open
}

func orNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.NotFound, "e404.h1").Because(err)
	}
	return err
}
