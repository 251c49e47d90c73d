package sealing_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

func (h *house) saving(d sealing.Draft, fields ...string) sealing.Saving {
	in := sealing.Saving{UserID: h.ana.UserID, AccountID: 100042, ID: d.ID, Version: d.Version, Fields: map[string]string{}}
	for i := 0; i+1 < len(fields); i += 2 {
		in.Fields[fields[i]] = fields[i+1]
	}
	for _, f := range d.Files {
		in.Keep = append(in.Keep, f.ID)
	}
	return in
}

// A draft with a large file, saved, sent, taken back and sent again: what opens
// is what was written, and nothing of it is readable at rest at any time.
func TestDraftAtRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	const inFile = "In the attached file: potassium 4.1 mmol/l."
	needles := []string{"everything is fine", inFile, "Your results of Monday", "results of the draft", "bob@x.test"}
	look := func(when string, most int) {
		t.Helper()
		h.each(t, func(name string, raw []byte) {
			for _, n := range needles[:most] {
				if bytes.Contains(raw, []byte(n)) {
					t.Errorf("%s: %q is readable in %s", when, n, name)
				}
			}
		})
	}
	in := h.saving(sealing.Draft{}, "subject", "Your results of Monday", "body", "everything is fine", "to", "bob@x.test")
	in.Files = files(file("results of the draft.txt", "text/plain", strings.Repeat(inFile+"\n", 8000)))
	d, err := h.seal.SaveDraft(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	look("as a draft", 5)
	if left := h.left(t, "spool"); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
	send := func(hold time.Duration) sealing.Result {
		t.Helper()
		if d, err = h.seal.Draft(t.Context(), h.ana.UserID, d.ID); err != nil {
			t.Fatal(err)
		}
		r := h.request("bob@x.test")
		r.Draft, r.Hold = &d, hold
		res, err := h.seal.Seal(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	h.start(t)
	res := send(time.Hour)
	look("while it can be undone", 4)
	if _, err := h.seal.Draft(t.Context(), h.ana.UserID, d.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a sent draft can be written on: %v", err)
	}
	if until, err := h.seal.UndoUntil(t.Context(), h.ana.UserID, res.MessageID.String()); err != nil || until.IsZero() {
		t.Errorf("undo until %v, %v", until, err)
	}
	if _, err := h.keys.Undo(t.Context(), keyserver.Actor{UserID: h.ana.UserID, Name: "user:ana@example.org"}, res.MessageID.String()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if n := len(h.peer.to("bob@x.test")); n != 0 {
		t.Fatalf("%d mails of what was undone", n)
	}
	send(0)
	eventually(t, "the mail", func() bool { return len(h.peer.to("bob@x.test")) == 1 })
	mail := openMail(t, h.peer.to("bob@x.test")[0])
	_, text := h.open(t, mail.file, "bob@x.test")
	if !bytes.Contains(text, []byte("results of the draft.txt")) {
		t.Errorf("the message lacks its file: %.300s", text)
	}
	look("after the opening", 4)
}

// What a database that has failed may name stays: the sweep finds out. And what is
// done is not called failed because of a file that does not go.
func TestDraftFilesAreNotLost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	storetest.Know(h.db, "sqlite:"+filepath.Join(h.dir, "db", "pli.db"))
	in := h.saving(sealing.Draft{}, "body", "first")
	in.Files = files(file("a.txt", "", "a"))
	storetest.Exec(t, h.db, "ALTER TABLE draft_files RENAME TO gone")
	if _, err := h.seal.SaveDraft(t.Context(), in); err == nil {
		t.Fatal("saved without its row")
	}
	if left := h.left(t, "blobs"); len(left) != 1 {
		t.Errorf("blobs %v, want the one that nobody knows of", left)
	}
	storetest.Exec(t, h.db, "ALTER TABLE gone RENAME TO draft_files")
	in.Files = files(file("b.txt", "", "b"))
	d, err := h.seal.SaveDraft(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	stuck := filepath.Join(h.dir, "blobs", d.Files[0].ID)
	if err := errors.Join(os.Remove(stuck), os.MkdirAll(filepath.Join(stuck, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := h.seal.DeleteDraft(t.Context(), h.ana.UserID, d.ID); err != nil {
		t.Errorf("deleted, and yet: %v", err)
	}
	if _, err := h.seal.Draft(t.Context(), h.ana.UserID, d.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("not deleted: %v", err)
	}
}

// Of two windows one saves, and of two sendings of one draft one goes through.
func TestStaleDraft(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	in := h.saving(sealing.Draft{}, "body", "first")
	in.Files = files(file("a.txt", "", "a"), file("b.txt", "", "b"))
	d, err := h.seal.SaveDraft(t.Context(), in)
	if err != nil || d.Version != 1 || len(d.Files) != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	one := h.saving(d, "body", "here")
	one.Keep = one.Keep[:1]
	two := h.saving(d, "body", "there")
	two.Files = files(file("c.txt", "", "c"))
	kept, err := h.seal.SaveDraft(t.Context(), one)
	if err != nil || kept.Version != 2 || len(kept.Files) != 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if _, err = h.seal.SaveDraft(t.Context(), two); !fault.HasKey(err, "err.stale") {
		t.Errorf("the second window: %v", err)
	}
	if left := h.left(t, "blobs"); len(left) != 1 {
		t.Errorf("blobs %v, want the one of the file that is kept", left)
	}
	foreign := h.saving(kept, "body", "theirs")
	foreign.UserID = h.user(t, "eve@example.org", "en")
	if _, err = h.seal.SaveDraft(t.Context(), foreign); !fault.HasKey(err, "err.stale") {
		t.Errorf("another user saves: %v", err)
	}
	if _, err = h.seal.Draft(t.Context(), foreign.UserID, d.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another user reads: %v", err)
	}
	if err = h.seal.DeleteDraft(t.Context(), foreign.UserID, d.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another user deletes: %v", err)
	}

	var wg sync.WaitGroup
	results := make([]error, 4)
	for i := range results {
		wg.Go(func() {
			r := h.request("bob@x.test")
			mine := kept
			r.Draft, r.Hold = &mine, time.Hour
			_, results[i] = h.seal.Seal(t.Context(), r)
		})
	}
	wg.Wait()
	went := 0
	for _, err := range results {
		if err == nil {
			went++
		} else if !fault.HasKey(err, "err.stale") {
			t.Error(err)
		}
	}
	if went != 1 || len(h.waiting(t)) != 1 {
		t.Errorf("%d went through, %d mails", went, len(h.waiting(t)))
	}
}

// The limits hold for all files of a draft together, and what is refused leaves nothing.
func TestDraftLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *sealing.Config) { c.MaxFiles = 1 << 20 })
	in := h.saving(sealing.Draft{})
	in.Files = files(file("half.bin", "", strings.Repeat("x", 1<<19)))
	d, err := h.seal.SaveDraft(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	more := h.saving(d)
	more.Files = files(file("ok.bin", "", "x"), file("big.bin", "", strings.Repeat("x", 1<<19)))
	_, err = h.seal.SaveDraft(t.Context(), more)
	if f := fault.Of(err); !fault.Is(err, fault.TooLarge) || f.Args["file"] != "big.bin" {
		t.Errorf("%v %v", err, f.Args)
	}
	broken := h.saving(d)
	lost := errors.New("the connection broke off")
	broken.Files = func() (*sealing.File, error) { return nil, lost }
	if _, err = h.seal.SaveDraft(t.Context(), broken); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
	if left := h.left(t, "blobs"); len(left) != 1 {
		t.Errorf("blobs %v", left)
	}
	if err := h.seal.DeleteDraft(t.Context(), h.ana.UserID, d.ID); err != nil {
		t.Fatal(err)
	}
	h.nothingLeft(t)
	for i := range sealing.MaxDrafts {
		if _, err := h.seal.SaveDraft(t.Context(), h.saving(sealing.Draft{}, "body", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.seal.SaveDraft(t.Context(), h.saving(sealing.Draft{})); !fault.HasKey(err, "draft.many") {
		t.Errorf("one more than fits: %v", err)
	}
	last := h.saving(sealing.Draft{})
	last.ToSend = true
	for i := range sealing.Unsent + 1 {
		if _, err := h.seal.SaveDraft(t.Context(), last); (i < sealing.Unsent) != (err == nil) || err != nil && !fault.HasKey(err, "draft.many") {
			t.Errorf("%d that were about to be sent: %v", i+1, err)
		}
	}
	if list, err := h.seal.Drafts(t.Context(), h.ana.UserID); err != nil || len(list) != sealing.MaxDrafts+sealing.Unsent {
		t.Errorf("%d are listed, %v", len(list), err)
	}
}

// Whom a user has sent to becomes their contact; the copies are named as such.
func TestContacts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.start(t)
	r := h.request("bob@x.test", "carol@x.test")
	r.Cc = append(r.Cc, r.To[1])
	r.To = r.To[:1]
	r.Names = map[string]string{"bob@x.test": "Bob Roy"}
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mail", func() bool { return len(h.peer.to("bob@x.test")) == 1 })
	mail := openMail(t, h.peer.to("bob@x.test")[0])
	_, text := h.open(t, mail.file, "bob@x.test")
	if !bytes.Contains(text, []byte("To: bob@x.test")) || !bytes.Contains(text, []byte("Cc: carol@x.test")) {
		t.Errorf("%.500s", text)
	}
	r.Names = nil
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	contacts := h.contacts(t)
	if len(contacts) != 2 || contacts[0].Address != "bob@x.test" || contacts[0].Name != "Bob Roy" || contacts[1].Name != "" {
		t.Errorf("%+v", contacts)
	}
	// What no name has is left out, and what is too long for one.
	r.Names = map[string]string{"bob@x.test": "Bob\x00\xff\u202e Roy", "carol@x.test": strings.Repeat("é", 1<<20)}
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if contacts = h.contacts(t); contacts[0].Name != "Bob Roy" || contacts[1].Name != strings.Repeat("é", 150) {
		t.Errorf("%q, and a name of %d bytes", contacts[0].Name, len(contacts[1].Name))
	}
}

func (h *house) contacts(t *testing.T) (out []store.Contact) {
	t.Helper()
	err := h.db.View(t.Context(), func(tx *store.Tx) (err error) {
		out, err = tx.ListContacts(h.ana.UserID, 10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
