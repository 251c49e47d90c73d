package keyserver_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// file is the envelope of slot i as it travels.
func (h *house) file(t testing.TB, m sealed, i int) []byte {
	t.Helper()
	f, _, err := h.blobs.Open(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := m.NewMessage.Slots[i]
	out := bytes.NewBuffer(envelope.Head(m.MH, s.RH, s.Wrap, m.Seal, m.PayloadSize))
	if _, err := out.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// AT-23: what was staged is read once, by the browser that staged it, in ten minutes.
func TestStage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		file := h.file(t, h.seal(t, "bob@x.example"), 0)
		stage := func() (string, id.Token) {
			t.Helper()
			s, token, err := h.Stage(t.Context(), "192.0.2.7", bytes.NewReader(file), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			return s, token
		}
		refused := func(what, s string, token id.Token) {
			t.Helper()
			_, _, err := h.TakeStage(t.Context(), s, token)
			wantKey(t, what, err, fault.NotFound, "e404.h1")
		}
		s, token := stage()
		refused("another browser", s, id.NewToken())
		refused("no cookie", s, id.Token{})
		refused("another id", id.New(), token)
		f, size, err := h.TakeStage(t.Context(), s, token)
		if err != nil || size != int64(len(file)) {
			t.Fatalf("%d bytes, %v", size, err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, file) {
			t.Errorf("read: %v", err)
		}
		refused("a second time", s, token)

		s, token = stage()
		h.wait(10 * time.Minute)
		refused("after ten minutes", s, token)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Stages != 1 {
			t.Errorf("%+v, %v", swept, err)
		}

		s, token = stage()
		var good atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if f, _, err := h.TakeStage(t.Context(), s, token); err == nil {
					good.Add(1)
					f.Close()
				}
			})
		}
		wg.Wait()
		if good.Load() != 1 {
			t.Errorf("taken %d times", good.Load())
		}
		if left := h.blobNames(t); len(left) != 1 {
			t.Errorf("blobs left: %v", left)
		}
	})
}

func TestStageRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	file := h.file(t, h.seal(t, "bob@x.example"), 0)
	for name, c := range map[string]struct {
		body  []byte
		limit int64
		kind  fault.Kind
		key   string
	}{
		"nothing":             {nil, 1 << 20, fault.Invalid, "stage.form"},
		"something else":      {bytes.Repeat([]byte("<html>"), 100), 1 << 20, fault.Invalid, "stage.form"},
		"one that was cut":    {file[:len(file)-1], 1 << 20, fault.Invalid, "stage.form"},
		"one with more":       {append(bytes.Clone(file), 0), 1 << 20, fault.Invalid, "stage.form"},
		"one that is large":   {file, 1000, fault.TooLarge, "stage.size"},
		"one cut in its head": {file[:60], 1 << 20, fault.Invalid, "stage.form"},
	} {
		_, _, err := h.Stage(t.Context(), "192.0.2.7", bytes.NewReader(c.body), c.limit)
		wantKey(t, name, err, c.kind, c.key)
	}
	if left := h.blobNames(t); len(left) != 1 {
		t.Errorf("blobs left: %v", left)
	}
	storetest.Exec(t, h.db, `UPDATE throttles SET count = 120 WHERE name LIKE 'stage:%'`)
	_, _, err := h.Stage(t.Context(), "192.0.2.7", bytes.NewReader(file), 1<<20)
	wantKey(t, "too many from one place", err, fault.TooMany, "e429.p")
	if _, _, err := h.Stage(t.Context(), "192.0.2.8", bytes.NewReader(file), 1<<20); err != nil {
		t.Errorf("from another: %v", err)
	}
	if n := 0; h.db.View(t.Context(), func(tx *store.Tx) error { m, err := tx.CountStages(); n = int(m); return err }) != nil || n != 1 {
		t.Errorf("%d stages", n)
	}
}
