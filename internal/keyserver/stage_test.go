package keyserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
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
	_, _, err = h.Stage(t.Context(), "192.0.2.8", bytes.NewReader(file), 1<<20)
	wantKey(t, "from the next address of that place", err, fault.TooMany, "e429.p")
	if _, _, err := h.Stage(t.Context(), "198.51.100.8", bytes.NewReader(file), 1<<20); err != nil {
		t.Errorf("from another: %v", err)
	}
	if n := h.staged(t); n.Count != 1 || n.Bytes != int64(len(file)) {
		t.Errorf("%+v staged", n)
	}
}

func (h *house) staged(t testing.TB) (all store.Staged) {
	t.Helper()
	if err := h.db.View(t.Context(), func(tx *store.Tx) (err error) { all, _, err = tx.CountStages(""); return err }); err != nil {
		t.Fatal(err)
	}
	return all
}

// One client fills neither the disk nor the way of everybody, from
// however many addresses of its network, nor by many posts at once; what was
// not fetched is counted until it is off the disk.
func TestStageLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		file := h.file(t, h.seal(t, "bob@x.example"), 0)
		size := int64(len(file))
		keyserver.SetStageLimits(h.Service, store.Staged{Count: 100, Bytes: 5*size + 1}, store.Staged{Count: 3, Bytes: 100 * size})
		post := func(origin string) error {
			_, _, err := h.Stage(t.Context(), origin, bytes.NewReader(file), 1<<20)
			return err
		}
		var good atomic.Int64
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				err := post(fmt.Sprintf("2001:db8::%d", i+1))
				if err == nil {
					good.Add(1)
				} else if !fault.HasKey(err, "e429.p") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if good.Load() != 3 || h.staged(t) != (store.Staged{Count: 3, Bytes: 3 * size}) {
			t.Fatalf("%d taken, %+v staged", good.Load(), h.staged(t))
		}
		for _, origin := range []string{"192.0.2.7", "198.51.100.7"} {
			if err := post(origin); err != nil {
				t.Errorf("another network: %v", err)
			}
		}
		wantKey(t, "over the bytes of all", post("203.0.113.7"), fault.TooMany, "e429.p")

		// A post that breaks off leaves nothing reserved.
		h.wait(10 * time.Minute)
		wantKey(t, "before the sweep", post("203.0.113.7"), fault.TooMany, "e429.p")
		if n, err := h.SweepStages(t.Context()); n != 5 || err != nil {
			t.Errorf("%d swept, %v", n, err)
		}
		_, _, err := h.Stage(t.Context(), "203.0.113.7", bytes.NewReader(file[:size-1]), 1<<20)
		wantKey(t, "cut", err, fault.Invalid, "stage.form")
		if n := h.staged(t); n != (store.Staged{}) {
			t.Errorf("%+v staged", n)
		}
		keyserver.SetStageLimits(h.Service, store.Staged{Count: 100, Bytes: 100 * size}, store.Staged{Count: 100, Bytes: 2 * size})
		for range 2 {
			if err := post("203.0.113.7"); err != nil {
				t.Error(err)
			}
		}
		wantKey(t, "over the bytes of a network", post("203.0.113.9"), fault.TooMany, "e429.p")
		if left := h.blobNames(t); len(left) != 3 {
			t.Errorf("blobs left: %v", left)
		}
	})
}

// A post that takes too long ends without a stage, and without its bytes.
func TestStageSlow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		file := h.file(t, h.seal(t, "bob@x.example"), 0)
		_, _, err := h.Stage(t.Context(), "192.0.2.7", io.MultiReader(bytes.NewReader(file[:len(file)-1]), reader(func(p []byte) (int, error) {
			if h.staged(t).Bytes != int64(len(file)) {
				t.Error("not counted while it comes")
			}
			h.wait(31 * time.Minute)
			if n, err := h.SweepStages(t.Context()); n != 1 || err != nil {
				t.Errorf("%d swept, %v", n, err)
			}
			return copy(p, file[len(file)-1:]), io.EOF
		})), 1<<20)
		if err == nil {
			t.Error("staged")
		}
		if left := h.blobNames(t); len(left) != 1 {
			t.Errorf("blobs left: %v", left)
		}
	})
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
