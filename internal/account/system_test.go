package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// A look needs a reason, is an operator's, shows nothing that was sealed, and stands in the
// log of the account that it is about.
func TestLookUp(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		m := store.Message{ID: id.New(), AccountID: 100042, SenderAddress: "ada@example.org", SenderName: "Ada", Card: []byte("SECRET-CARD"), MH: []byte{1}, HH: []byte{1}, PH: []byte{1},
			Seal: []byte{1}, SealedAt: w.now, Carrier: "mail"}
		slot := store.Slot{ID: id.New(), MessageID: m.ID, Ref: "7KQ42F", Address: "jean@example.net", DisplayAddress: "Jean@example.net", RH: []byte{1}, Wrap: []byte("SECRET-WRAP"), Box: []byte("SECRET-BOX"),
			Pop: []byte{1}, Delivery: store.DeliveryQueued}
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.InsertMessage(m); err != nil {
				return err
			}
			if err := tx.InsertSlot(slot); err != nil {
				return err
			}
			if err := tx.SetDelivery(slot.ID, store.DeliveryBounced, "550 no such user"); err != nil {
				return err
			}
			return tx.InsertAudit(store.AuditRow{AccountID: 100042, Actor: "recipient:jean@example.net", Action: "envelope.release_denied", Target: m.ID, Outcome: store.Refused, Detail: map[string]string{"reason": "locked"}})
		}))
		_, err := w.LookUp(ctx, w.root, "7KQ-42F", " ")
		w.fails(err, fault.Invalid, "err.required")
		_, err = w.LookUp(ctx, w.root, strings.Repeat("x", 999), "ticket 4711") // it would be in the log for good
		w.fails(err, fault.Invalid, "err.long")
		_, err = w.LookUp(ctx, ada.Actor(here), "7KQ-42F", "curious")
		if err == nil {
			t.Fatal("an administrator looks up")
		}
		for _, what := range []string{"7kq-42f", "jean@EXAMPLE.net", m.ID} {
			v := get[account.Support](w)(w.LookUp(ctx, w.root, what, "ticket 4711"))
			if len(v.Messages) != 1 || v.Messages[0].Recipients[0].Said != "550 no such user" || len(v.Events)+len(v.Messages[0].Events) == 0 {
				t.Errorf("%s: %+v", what, v)
			}
			if raw, err := json.Marshal(v); err != nil || strings.Contains(string(raw), "SECRET") || strings.Contains(string(raw), "U0VDUkVU") {
				t.Errorf("%s shows what was sealed: %s %v", what, raw, err)
			}
		}
		if v := get[account.Support](w)(w.LookUp(ctx, w.root, "nobody@nowhere.example", "ticket 4712")); len(v.Messages) > 0 || v.Person != nil {
			t.Errorf("%+v", v)
		}
		log := get[account.AuditLog](w)(w.ReadAudit(ctx, ada.Actor(here), 100042, account.AuditQuery{Action: "support.look", Outcome: store.Done}, 10))
		if len(log.Records) != 3 || log.Records[0].Detail["reason"] != "ticket 4711" {
			t.Errorf("the account's log has %+v", log.Records)
		}
	})
}

// One makes the backup; what came of it is recorded. What nodes say is there.
func TestSystemState(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		broken := errors.New("the disk is full")
		w.ok(w.Backup(ctx, w.root, "one", func(context.Context) (store.Backup, error) {
			err := w.Backup(ctx, w.root, "two", func(context.Context) (store.Backup, error) { t.Error("two at once"); return store.Backup{}, nil })
			w.fails(err, fault.Conflict, "backup.running")
			return store.Backup{ID: "20261127T000000Z", Place: "/b", Size: 5}, nil
		}))
		w.pass(time.Minute)
		if err := w.Backup(ctx, w.root, "two", func(context.Context) (store.Backup, error) { return store.Backup{ID: "x"}, broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
		if err := w.Backup(ctx, ada.Actor(here), "ada", func(context.Context) (store.Backup, error) { t.Error("an administrator"); return store.Backup{}, nil }); err == nil {
			t.Error("an administrator makes a backup")
		}
		w.ok(w.Beat(ctx, store.Node{ID: "n", Host: "h", Version: "1", DiskFree: -1, StartedAt: w.now}))
		s := get[account.System](w)(w.System(ctx, w.root))
		if s.Backup.Place != "/b" || len(s.Backups) != 2 || s.Backups[0].Reason != broken.Error() || len(s.Nodes) != 1 || len(s.Leases) != 0 || s.Size == 0 {
			t.Errorf("%+v", s)
		}
		if _, err := w.System(ctx, ada.Actor(here)); err == nil {
			t.Error("an administrator sees the system")
		}
		w.ok(w.EndBeat(ctx, "n"))

		w.fails(w.SetLegal(ctx, w.root, account.Legal{URL: "http://x"}), fault.Invalid, "sl.badurl")
		w.ok(w.SetLegal(ctx, w.root, account.Legal{Level: "full", Privacy: map[string]string{"fr": "Nous ne gardons rien."}}))
		if l := w.Legal(ctx); l.Level != "full" {
			t.Errorf("%+v", l)
		} else if text, in := l.PrivacyIn("en"); in != "fr" || text == "" {
			t.Error(text, in)
		}
		if err := w.SetLegal(ctx, ada.Actor(here), account.Legal{}); err == nil {
			t.Error("an administrator changes the legal texts")
		}
	})
}

// Jobs are listed to their account and to operators, and stopped where they stand.
func TestJobs(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			for _, j := range []store.Job{{ID: "a", AccountID: 100042}, {ID: "b", AccountID: 100043}, {ID: "c", AccountID: 100042}} {
				j.Kind, j.State, j.Params = "some.work", store.JobReady, "{}"
				if err := tx.InsertJob(j); err != nil {
					return err
				}
			}
			return nil
		}))
		ids := func(a account.Actor, limit int) (out string) {
			for after := ""; ; {
				p := get[account.JobsPage](w)(w.Jobs(ctx, a, after, limit))
				for _, j := range p.Jobs {
					out += j.ID
				}
				if after = p.Next; after == "" {
					return out
				}
			}
		}
		if a, b, all := ids(ada.Actor(here), 1), ids(bo.Actor(here), 5), ids(w.root, 2); a != "ca" || b != "b" || all != "cba" {
			t.Error(a, b, all)
		}
		_, err := w.Job(ctx, bo.Actor(here), "a")
		w.fails(err, fault.NotFound, "e404.h1")
		if err := w.CancelJob(ctx, bo.Actor(here), "a"); err == nil {
			t.Error("another account's job is stopped")
		}
		w.ok(w.CancelJob(ctx, w.root, "a"))
		w.fails(w.CancelJob(ctx, w.root, "a"), fault.Conflict, "job.over")
		w.ok(w.CancelJob(ctx, ada.Actor(here), "c"))
	})
}
