package keyserver_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// AT-75, as the key server sees it: what was forwarded is kept for a day, its
// own recipient is written to once in ten minutes, and nobody who lacks the
// mail's half causes anything.
func TestForward(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "eve@x.example")
		file, part := h.file(t, m, 0), envelope.KeyPart{E: m.e[0]}
		forward := func(file []byte, part envelope.KeyPart) (bool, error) {
			_, told, err := h.Forward(t.Context(), "192.0.2.7", bytes.NewReader(file), part, 1<<20)
			return told, err
		}
		for name, c := range map[string]struct {
			file []byte
			part envelope.KeyPart
			kind fault.Kind
			key  string
		}{
			"the half of another": {file, envelope.KeyPart{E: m.e[1]}, fault.NotFound, "e404.h1"},
			"of another service":  {newFile(t), part, fault.NotFound, "e404.h1"},
			"no envelope":         {[]byte("hello"), part, fault.Invalid, "stage.form"},
			"one that was cut":    {file[:len(file)-1], part, fault.Invalid, "stage.form"},
			"one with more":       {append(bytes.Clone(file), 0), part, fault.Invalid, "stage.form"},
		} {
			told, err := forward(c.file, c.part)
			wantKey(t, name, err, c.kind, c.key)
			if told {
				t.Errorf("%s: told", name)
			}
		}
		if n := storetest.Count(t, db, "stages"); n != 0 || len(h.post.forwarded) != 0 || len(h.blobNames(t)) != 1 {
			t.Fatalf("left behind: %d stages, %d letters", n, len(h.post.forwarded))
		}

		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := forward(file, part); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(h.post.forwarded) != 1 {
			t.Fatalf("%d letters", len(h.post.forwarded))
		}
		l := h.post.forwarded[0]
		if l.To.String() != "bob@x.example" || l.Part.E != m.e[0] || l.Ref != m.ref(0) || !l.Until.Equal(h.clock().Add(24*time.Hour)) {
			t.Errorf("%+v", l)
		}
		rows := h.audit(t, m, "envelope.assisted_upload")
		if len(rows) != 1 || rows[0].Actor != "visitor" || rows[0].Detail["recipient"] != "bob@x.example" || rows[0].Origin != "192.0.2.7" {
			t.Errorf("%+v", rows)
		}
		if n := storetest.Count(t, db, "stages"); n != 1 || len(h.blobNames(t)) != 2 {
			t.Errorf("%d stages, blobs %v", n, h.blobNames(t))
		}
		for range 2 { // a program that looks at the link takes nothing away
			f, size, err := h.ReadForwarded(t.Context(), l.Stage)
			if err != nil || size != int64(len(file)) {
				t.Fatal(size, err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, file) || bytes.Contains(got, m.e[0][:]) {
				t.Errorf("read: %v", err)
			}
			f.Close()
		}
		_, _, err := h.ReadForwarded(t.Context(), id.New())
		wantKey(t, "another id", err, fault.NotFound, "e404.h1")
		_, _, err = h.TakeStage(t.Context(), l.Stage, id.Token{})
		wantKey(t, "as a form's", err, fault.NotFound, "e404.h1")
		s, _, err := h.Stage(t.Context(), "192.0.2.7", bytes.NewReader(file), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = h.ReadForwarded(t.Context(), s)
		wantKey(t, "a form's stage", err, fault.NotFound, "e404.h1")

		// A masked half proves nothing and is handed on as it is. A lock does not
		// hinder: the link leads to the card that says so.
		h.act(t, keyserver.Act{Kind: keyserver.ActLock}, m, -1)
		h.wait(10 * time.Minute)
		masked := envelope.KeyPart{E: envelope.Secret(random(32)), Salt: random(16)}
		if told, err := forward(file, masked); err != nil || !told || h.post.forwarded[1].Part.Text() != masked.Text() {
			t.Errorf("masked: %v, %v", told, err)
		}
		h.wait(24 * time.Hour)
		_, _, err = h.ReadForwarded(t.Context(), l.Stage)
		wantKey(t, "a day later", err, fault.NotFound, "e404.h1")
		if _, err := h.Sweep(t.Context()); err != nil || storetest.Count(t, db, "stages") != 0 || len(h.blobNames(t)) != 1 {
			t.Errorf("after the sweep: %v, %v", h.blobNames(t), err)
		}
	})
}

// newFile is an envelope of a service that this one knows nothing of.
func newFile(t *testing.T) []byte {
	t.Helper()
	other := newHouse(t, storetest.Open(t))
	return other.file(t, other.seal(t, "bob@x.example"), 0)
}

// What is forwarded has a limit of its own, which leaves room for the form's.
func TestForwardLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	keyserver.SetStageLimits(h.Service, store.Staged{Count: 100, Bytes: 1 << 30}, store.Staged{Count: 1, Bytes: 1 << 20})
	m := h.seal(t, "bob@x.example", "eve@x.example")
	for i, want := range []string{"", "e429.p"} {
		_, told, err := h.Forward(t.Context(), "192.0.2.7", bytes.NewReader(h.file(t, m, i)), envelope.KeyPart{E: m.e[i]}, 1<<20)
		if want != "" {
			wantKey(t, "one more", err, fault.TooMany, want)
		} else if err != nil || !told {
			t.Error(told, err)
		}
	}
	if _, _, err := h.Stage(t.Context(), "192.0.2.7", bytes.NewReader(h.file(t, m, 0)), 1<<20); err != nil {
		t.Errorf("a form's: %v", err)
	}
}
