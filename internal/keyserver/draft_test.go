package keyserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// draft keeps a sealed draft with one file, and returns its id and the file's blob.
func (h *house) draft(t *testing.T, text string) (draftID, blob string) {
	t.Helper()
	w, err := h.blobs.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if blob, err = w.Commit(); err != nil {
		t.Fatal(err)
	}
	draftID = id.New()
	h.update(t, func(tx *store.Tx) error {
		d := store.Draft{ID: draftID, UserID: h.ana.UserID, AccountID: account, KeptUntil: tx.Now.AddDate(0, 0, 30)}
		var err error
		if d.Epoch, d.Box, err = h.SealDraft(tx, account, d.ID, d.KeptUntil, []byte(text)); err != nil {
			return err
		}
		if err := tx.InsertDraft(d); err != nil {
			return err
		}
		return tx.InsertDraftFile(d.ID, blob)
	})
	return draftID, blob
}

// sendHeld registers a message whose letters wait, as one sent from a draft.
func (h *house) sendHeld(t *testing.T, draftID string, hold time.Duration, to ...string) sealed {
	t.Helper()
	m := h.prepare(t, to...)
	m.Then = func(tx *store.Tx, r keyserver.Registered) error {
		for _, slot := range r.Slots {
			err := tx.InsertOutbox(store.OutboxRow{ID: id.New(), AccountID: account, Kind: "envelope", SlotID: slot.SlotID.String(), Recipient: "x@x.example",
				Letter: []byte("letter"), NextAt: tx.Now.Add(hold), GiveUpAt: tx.Now.Add(96 * time.Hour), CreatedAt: tx.Now})
			if err != nil {
				return err
			}
			if err := tx.TouchContact(h.ana.UserID, store.Contact{Address: slot.SlotID.String(), DisplayAddress: "x"}, r.MessageID.String()); err != nil {
				return err
			}
		}
		ours, err := tx.SendDraft(h.ana.UserID, draftID, 1, r.MessageID.String(), tx.Now.Add(hold))
		if err == nil && !ours {
			err = fmt.Errorf("the draft was not there")
		}
		return err
	}
	return h.register(t, m)
}

// What a draft holds is sealed, and opens to nobody who has the database alone.
func TestSealDraft(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		draftID, _ := h.draft(t, "The whole draft.")
		h.update(t, func(tx *store.Tx) error {
			d, err := tx.FindDraft(h.ana.UserID, draftID)
			if err != nil {
				return err
			}
			if bytes.Contains(d.Box, []byte("draft")) {
				t.Error("the box can be read")
			}
			plain, err := h.OpenDraft(tx, d)
			if err != nil || string(plain) != "The whole draft." {
				t.Errorf("%q, %v", plain, err)
			}
			other := d
			other.ID = id.New()
			if _, err := h.OpenDraft(tx, other); err == nil {
				t.Error("the box of one draft opens as another's")
			}
			_, again, err := h.SealDraft(tx, account, d.ID, d.KeptUntil, plain)
			if bytes.Equal(again, d.Box) {
				t.Error("the same nonce twice")
			}
			return err
		})
	})
}

// S2: undone, a message leaves nothing behind but the record of it, and its
// draft is back; too late, everything is as it was.
func TestUndo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		draftID, file := h.draft(t, "text")
		m := h.sendHeld(t, draftID, 30*time.Second, "bob@x.example", "eve@x.example")
		if _, err := db.Payload(t.Context(), m.Payload); err == nil {
			t.Fatal("this message should have a blob")
		}
		stranger := keyserver.Actor{UserID: h.user(t, account, "other@health.example"), Name: "user:other"}
		_, err := h.Undo(t.Context(), stranger, m.id())
		wantKey(t, "another user", err, fault.NotFound, "e404.h1")
		_, err = h.Undo(t.Context(), keyserver.Actor{AdminOf: []int64{account}}, m.id())
		wantKey(t, "nobody", err, fault.NotFound, "e404.h1")

		back, err := h.Undo(t.Context(), h.actor(), m.id())
		if err != nil || back != draftID {
			t.Fatalf("%q, %v", back, err)
		}
		h.update(t, func(tx *store.Tx) error {
			waiting, _, _, err := tx.CountOutbox()
			if err != nil || waiting != 0 {
				t.Errorf("%d letters, %v", waiting, err)
			}
			contacts, err := tx.ListContacts(h.ana.UserID, 9)
			if err != nil || len(contacts) != 0 {
				t.Errorf("contacts %v, %v", contacts, err)
			}
			_, err = tx.FindDraft(h.ana.UserID, draftID)
			return err
		})
		if names := h.blobNames(t); !slices.Equal(names, []string{file}) {
			t.Errorf("blobs %v, want the draft's %s", names, file)
		}
		if got := h.audit(t, m, "envelope.undo"); len(got) != 1 || got[0].Actor != h.actor().Name {
			t.Errorf("audit %v", got)
		}
		_, err = h.Undo(t.Context(), h.actor(), m.id())
		wantKey(t, "twice", err, fault.NotFound, "e404.h1")

		// One of two letters has been claimed.
		draftID, _ = h.draft(t, "text")
		m = h.sendHeld(t, draftID, 0, "bob@x.example", "eve@x.example")
		h.update(t, func(tx *store.Tx) error {
			_, err := tx.ClaimOutbox("", 1, tx.Now.Add(time.Minute))
			return err
		})
		_, err = h.Undo(t.Context(), h.actor(), m.id())
		wantKey(t, "claimed", err, fault.Closed, "undo.late")
		h.update(t, func(tx *store.Tx) error {
			if waiting, _, _, err := tx.CountOutbox(); err != nil || waiting != 2 {
				t.Errorf("%d letters, %v", waiting, err)
			}
			_, err := tx.FindMessage(m.id())
			return err
		})
	})
}

// What was done is not called failed because a file does not go: the sweep finds it.
func TestFilesThatStay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	stick := func(m sealed) {
		t.Helper()
		name := filepath.Join(h.dir, m.Payload)
		if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "x"), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	draftID, _ := h.draft(t, "text")
	m := h.sendHeld(t, draftID, 30*time.Second, "bob@x.example")
	stick(m)
	if back, err := h.Undo(t.Context(), h.actor(), m.id()); err != nil || back != draftID {
		t.Errorf("undone, and yet: %q, %v", back, err)
	}
	p := h.prepare(t, "bob@x.example")
	p.Carrier = keyserver.CarrierThrough
	m = h.register(t, p)
	stick(m)
	told := false
	err := h.Withdraw(t.Context(), m.id(), "refused", func(*store.Tx) error { told = true; return nil })
	if err != nil || !told {
		t.Errorf("withdrawn, and yet: %v, %v", told, err)
	}
	if n := strings.Count(h.log.String(), "a blob that nothing needs stays"); n != 2 {
		t.Errorf("%d are logged", n)
	}
}

// Whatever the outbox does meanwhile: a message is taken back whole, or leaves whole.
func TestUndoRacingClaim(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		undone, sent := 0, 0
		for i := range 40 {
			draftID, _ := h.draft(t, "text")
			m := h.sendHeld(t, draftID, 0, "a@x.example", "b@x.example", "c@x.example")
			var claimed []store.OutboxRow
			var undo error
			var wg sync.WaitGroup
			wg.Go(func() {
				time.Sleep(time.Duration(i%20) * 100 * time.Microsecond) // now before the claims, now after them
				_, undo = h.Undo(t.Context(), h.actor(), m.id())
			})
			for range 2 {
				wg.Go(func() {
					time.Sleep(time.Millisecond)
					err := db.Update(t.Context(), func(tx *store.Tx) error {
						rows, err := tx.ClaimOutbox("", 2, tx.Now.Add(time.Minute))
						if err == nil {
							h.mu.Lock()
							defer h.mu.Unlock()
							claimed = append(claimed, rows...)
						}
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			var left int64
			var found error
			h.update(t, func(tx *store.Tx) (err error) {
				_, found = tx.FindMessage(m.id())
				left, _, _, err = tx.CountOutbox()
				if err != nil {
					return err
				}
				for _, c := range claimed { // as if they had been sent
					if _, err := tx.FinishOutbox(c.ID, c.Attempts); err != nil {
						return err
					}
				}
				rows, err := tx.ClaimOutbox("", 9, tx.Now.Add(time.Minute))
				for _, c := range rows {
					if _, err := tx.FinishOutbox(c.ID, c.Attempts); err != nil {
						return err
					}
				}
				return err
			})
			switch {
			case undo == nil && (found == nil || left != 0 || len(claimed) != 0):
				t.Fatalf("undone, and yet: message %v, %d letters, %d claimed", found, left, len(claimed))
			case undo != nil && (!fault.HasKey(undo, "undo.late") || found != nil || left != 3):
				t.Fatalf("not undone (%v), and yet: message %v, %d letters", undo, found, left)
			case undo == nil:
				undone++
			default:
				sent++
			}
		}
		t.Logf("%d undone, %d sent", undone, sent)
	})
}

// Drafts end by time, and once a sending cannot be undone; their blobs with
// them, and not before.
func TestSweepDrafts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		kept, keptFile := h.draft(t, "kept")
		gone, goneFile := h.draft(t, "sent")
		h.sendHeld(t, gone, 30*time.Second, "bob@x.example")
		yesterday := time.Now().Add(-25 * time.Hour)
		for _, name := range []string{keptFile, goneFile} {
			if err := os.Chtimes(filepath.Join(h.dir, name), yesterday, yesterday); err != nil {
				t.Fatal(err)
			}
		}
		sweep := func(want int, there ...string) {
			t.Helper()
			out, err := h.Sweep(t.Context())
			if err != nil || out.Drafts != want {
				t.Errorf("%+v, %v, want %d drafts swept", out, err, want)
			}
			for _, name := range []string{keptFile, goneFile} {
				if slices.Contains(h.blobNames(t), name) != slices.Contains(there, name) {
					t.Errorf("blobs %v, want %v", h.blobNames(t), there)
				}
			}
		}
		h.wait(29 * time.Second)
		sweep(0, keptFile, goneFile) // the search for orphans knows both
		h.wait(2 * time.Second)
		sweep(1, keptFile)
		h.wait(30*24*time.Hour - time.Minute)
		sweep(0, keptFile)
		h.wait(time.Minute)
		sweep(1)
		h.update(t, func(tx *store.Tx) error {
			if n, err := tx.CountDrafts(h.ana.UserID); err != nil || n != 0 {
				t.Errorf("%d drafts, %v (%s)", n, err, kept)
			}
			return nil
		})
	})
}

// Only who opened signed in, as a person who proved the address, is known to
// the sender to have an account.
func TestReleaseMarksContacts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "code@x.example", "own@x.example")
		own := h.user(t, account, "own@x.example")
		h.update(t, func(tx *store.Tx) error {
			for _, a := range []string{"code@x.example", "own@x.example"} {
				if err := tx.TouchContact(h.ana.UserID, store.Contact{Address: a, DisplayAddress: a}, m.id()); err != nil {
					return err
				}
			}
			return nil
		})
		v := h.visitor(t, as(own, store.ScopeFull))
		h.prove(t, v, m, 1)
		for i, v := range []keyserver.Visitor{h.reader(t, m, 0), v} {
			if _, err := h.Release(t.Context(), v, m.slot(i)); err != nil {
				t.Fatal(err)
			}
		}
		h.update(t, func(tx *store.Tx) error {
			for a, want := range map[string]bool{"code@x.example": false, "own@x.example": true} {
				if got, err := tx.HasEnrolledContact(h.ana.UserID, a); err != nil || got != want {
					t.Errorf("%s: %v, %v", a, got, err)
				}
			}
			return nil
		})
	})
}
