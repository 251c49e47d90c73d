package account_test

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
)

// sealed registers a message as the key server does, and returns its slots.
func (w *world) sealed(number int64, sender, carrier, delivery string, to ...string) (message string, slots []string) {
	w.Helper()
	message = id.New()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
		if err := tx.InsertMessage(store.Message{ID: message, AccountID: number, SenderAddress: sender, Carrier: carrier,
			Card: []byte{}, MH: []byte{}, HH: []byte{}, PH: []byte{}, Seal: []byte{}}); err != nil {
			return err
		}
		for _, address := range to {
			slots = append(slots, id.New())
			if err := tx.InsertSlot(store.Slot{ID: slots[len(slots)-1], MessageID: message, Ref: id.NewReference(), Address: address, DisplayAddress: address,
				RH: []byte{}, Wrap: []byte{}, Box: []byte{}, Pop: []byte{}, Delivery: delivery}); err != nil {
				return err
			}
		}
		return tx.InsertAudit(store.AuditRow{AccountID: number, Actor: "user:" + sender, Action: "envelope.seal", Target: message})
	}))
	return message, slots
}

func (w *world) happens(number int64, action, message, slot string) {
	w.Helper()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
		if action == "envelope.release" {
			if err := tx.CountOpening(store.Slot{ID: slot, MessageID: message}, 0); err != nil {
				return err
			}
		}
		return tx.InsertAudit(store.AuditRow{AccountID: number, Actor: "x", Action: action, Target: message, Detail: map[string]string{"slot": slot}})
	}))
}

// The figures are of the day in the account's time zone on which a message was
// sealed, by sender and by domain; each record counts once, however often they
// are counted; what is taken back never counts; nobody sees another's.
func TestReports(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		_, err := w.CreateAccount(ctx, w.root, account.NewAccount{Number: 100042, Name: "Example", Language: "en", TimeZone: "Pacific/Auckland"})
		w.ok(err)
		_, err = w.CreateAccount(ctx, w.root, account.NewAccount{Number: 100043, Name: "Other", Language: "en", TimeZone: "UTC"})
		w.ok(err)
		notary := audit.New(audit.Config{DB: w.db, Root: masterkeytest.Root(w.T), Log: slog.New(slog.DiscardHandler)})
		count := func() {
			w.Helper()
			_, err := notary.Chain(ctx)
			w.ok(err)
			w.ok(w.SweepReports(ctx, 30*time.Second))
			w.ok(w.SweepReports(ctx, 30*time.Second))
		}
		month := func(number int64) account.Report {
			w.Helper()
			r, err := w.Report(ctx, w.root, number, 0, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), 10)
			w.ok(err)
			return r
		}
		count()
		if got := month(100042).Total; got != (account.ReportDay{}) {
			t.Errorf("before anything: %+v", got)
		}

		// 12:00 UTC is 1:00 of the next day in Auckland.
		first, slots := w.sealed(100042, "ada@example.org", "file", "none", "lea@clinic.example", "tom@clinic.example", "sam@home.example")
		w.sealed(100043, "eve@example.com", "file", "none", "lea@clinic.example")
		w.happens(100042, "envelope.release", first, slots[0])
		w.happens(100042, "envelope.bounce", first, slots[2])
		count()
		w.pass(26 * time.Hour)
		w.happens(100042, "envelope.release", first, slots[0]) // again: it is no other recipient
		w.happens(100042, "envelope.release", first, slots[1])
		w.sealed(100042, "bob@example.org", "file", "none", "lea@clinic.example")
		count()
		r := month(100042)
		days := map[string]account.ReportDay{}
		for _, d := range r.Days {
			if d.Messages > 0 {
				name := d.Day.Format(time.DateOnly)
				d.Day = time.Time{}
				days[name] = d
			}
		}
		if d := cmp.Diff(map[string]account.ReportDay{"2026-11-24": {Messages: 1, Recipients: 3, Opened: 2, Failed: 1}, "2026-11-25": {Messages: 1, Recipients: 1}}, days); d != "" || len(r.Days) != 30 {
			t.Errorf("%d days: %s", len(r.Days), d)
		}
		names := func(list []store.ReportCount) (out []string) {
			for _, c := range list {
				out = append(out, c.Name+" "+strconv.FormatInt(c.Messages, 10)+" "+strconv.FormatInt(c.Recipients, 10)+" "+strconv.FormatInt(c.Opened, 10)+" "+strconv.FormatInt(c.Failed, 10))
			}
			return out
		}
		if d := cmp.Diff([]string{"ada@example.org 1 3 2 1", "bob@example.org 1 1 0 0"}, names(r.Senders)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"clinic.example 2 3 2 0", "home.example 1 1 0 1"}, names(r.Domains)); d != "" {
			t.Error(d)
		}
		if other := month(100043); other.Total.Messages != 1 || len(other.Senders) != 1 || other.Senders[0].Name != "eve@example.com" {
			t.Errorf("the other account: %+v", other.Total)
		}

		// Undone before it left, or refused by the next mail server: never was.
		undone, _ := w.sealed(100042, "ada@example.org", "mail", "queued", "a@example.com")
		count()
		refused, _ := w.sealed(100042, "ada@example.org", "through", "passing", "b@example.com")
		count()
		for _, m := range []string{undone, refused} {
			w.ok(w.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteMessage(store.Message{ID: m}) }))
		}
		w.pass(time.Minute)
		w.sealed(100042, "ada@example.org", "file", "none", "c@example.com")
		count()
		if got := month(100042).Total; got.Messages != 3 || got.Recipients != 5 {
			t.Errorf("after an undo: %+v", got)
		}
		if _, err := w.Report(ctx, w.root, 100042, 367, time.Time{}, 1); !fault.HasKey(err, "rp.badperiod") {
			t.Error(err)
		}
	})
}

// People are counted where they are added, and at their first sign-in only.
func TestReportsOfPeople(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ada@example.org")
		w.pass(time.Minute)
		w.signIn("ada@example.org", good)
		// With a temporary password, choosing another is what lets somebody in.
		get[account.Added](w)(w.AddUser(w.Context(), w.root, 100042, account.NewUser{Address: "lea@example.org", Password: better, Confirm: better, EnforceExpiry: true}))
		lea := w.signIn("lea@example.org", better)
		w.pass(time.Minute)
		get[*account.Session](w)(w.SetPassword(w.Context(), lea, good, good))
		notary := audit.New(audit.Config{DB: w.db, Root: masterkeytest.Root(w.T), Log: slog.New(slog.DiscardHandler)})
		_, err := notary.Chain(w.Context())
		w.ok(err)
		w.ok(w.SweepReports(w.Context(), 0))
		r, err := w.Report(w.Context(), w.root, 100042, 7, time.Time{}, 1)
		w.ok(err)
		if r.Total.Activated != 2 || len(r.Days) != 7 || r.Days[6].Activated != 2 {
			t.Errorf("%+v", r.Total)
		}
	})
}
