package keyserver_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// fill registers n messages, to three of n/10 recipients each.
func (h *house) fill(b *testing.B, n int) []sealed {
	all := make([]sealed, n)
	var next sync.Mutex
	i := 0
	var wg sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				next.Lock()
				k := i
				i++
				next.Unlock()
				if k >= n || b.Failed() {
					return
				}
				m, err := h.small(k, n/10)
				if err == nil {
					m.Registered, err = h.Register(b.Context(), m.NewMessage)
				}
				if err != nil {
					b.Error(err)
				}
				all[k] = m
				h.wait(time.Second)
			}
		})
	}
	wg.Wait()
	return all
}

// small is a message whose payload is a row.
func (h *house) small(k, recipients int) (sealed, error) {
	s, err := envelope.NewSealer(envelope.Header{ID: envelope.MessageID(random(16)), Origin: origin, SealedAt: h.clock()})
	if err != nil {
		return sealed{}, err
	}
	var body bytes.Buffer
	p, err := s.Seal(&body, &envelope.Manifest{Length: 5, Subject: subject}, strings.NewReader("Hello"))
	if err != nil {
		return sealed{}, err
	}
	m := sealed{NewMessage: keyserver.NewMessage{
		AccountID: account, Sender: h.ana, Subject: fmt.Sprint(subject, " ", k), Note: note, MH: s.MH(), HH: s.HH(), PH: p.Hash,
		PayloadSize: p.Size, Body: body.Bytes(), KeepUntil: h.clock().AddDate(0, 0, 14), ExpiresAt: h.clock().AddDate(0, 0, 30),
		Carrier: keyserver.CarrierMail, Actor: h.actor(),
	}}
	for i := range 3 {
		a := mailaddr.MustParse(fmt.Sprintf("r%d@x%d.example", (k*7+i)%recipients, i))
		slot, err := s.NewSlot(a.ASCIIMasked())
		if err != nil {
			return sealed{}, err
		}
		m.NewMessage.Slots = append(m.NewMessage.Slots, keyserver.NewSlot{ID: slot.ID, Address: a, RH: slot.RH, Wrap: slot.Wrap, S: slot.S, Pop: slot.Pop})
	}
	return m, nil
}

// sending is somebody who has sent n messages.
type sending struct {
	keyserver.Sender
	n   int
	all []sealed
	ids []string // of the newest fifty
	far string   // cursor of the page in the middle
}

// BenchmarkSent is what a sender of 100 and of 10,000 envelopes to three
// recipients each waits for: the first page, a page far on, what one recipient
// got, by whole address and by its beginning, a reference, days, each state, a
// word of a subject, a word that is nowhere, a lock with its audit record, and
// a lock of fifty at once, which many are done by (performance.md). Every second
// is locked; the fifty oldest are opened, and have ended. The two senders take
// turns; of each it tells the 99th percentile, and how the second's is to the first's.
func BenchmarkSent(b *testing.B) {
	for engine, db := range storetest.Engines(b) {
		h := newHouse(b, db)
		var both []*sending
		for _, n := range []int{100, 10_000} {
			address := fmt.Sprintf("sender%d@health.example", n)
			w := &sending{Sender: keyserver.Sender{UserID: h.user(b, account, address), Address: address, Name: "Ana Silva", Verified: true}, n: n}
			h.ana = w.Sender
			w.all = h.fill(b, n)
			for k := 0; k < n; k += 2 {
				h.act(b, keyserver.Act{Kind: keyserver.ActLock}, w.all[k], -1)
			}
			for k := range 50 {
				storetest.Exec(b, db, "UPDATE messages SET opened = 1 WHERE id = '"+w.all[k].id()+"'")
				h.act(b, keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock().Add(time.Hour)}, w.all[k], -1)
				w.ids = append(w.ids, w.all[n-1-k].id())
			}
			both = append(both, w)
		}
		h.wait(2 * time.Hour)
		if _, err := h.Sweep(b.Context()); err != nil {
			b.Fatal(err)
		}
		for _, w := range both {
			for range w.n / 50 / 2 {
				_, next, err := h.Sent(b.Context(), w.UserID, keyserver.SentSearch{}, w.far, 50)
				if err != nil {
					b.Fatal(err)
				}
				w.far = next
			}
		}
		list := func(want int, find func(w *sending, i int) keyserver.SentSearch) func(*sending, int) error {
			return func(w *sending, i int) error {
				rows, _, err := h.Sent(b.Context(), w.UserID, find(w, i), "", 50)
				if err == nil && len(rows) < want {
					err = fmt.Errorf("%d rows, want %d", len(rows), want)
				}
				return err
			}
		}
		always := func(find keyserver.SentSearch) func(*sending, int) keyserver.SentSearch {
			return func(*sending, int) keyserver.SentSearch { return find }
		}
		kind := func(i int) keyserver.Act {
			return keyserver.Act{Kind: [2]string{keyserver.ActLock, keyserver.ActUnlock}[i%2]}
		}
		for _, op := range []struct {
			name string
			do   func(w *sending, i int) error
		}{
			{"first-page", list(50, always(keyserver.SentSearch{}))},
			{"far-page", func(w *sending, i int) error {
				rows, _, err := h.Sent(b.Context(), w.UserID, keyserver.SentSearch{}, w.far, 50)
				if err == nil && len(rows) != 50 {
					err = fmt.Errorf("%d rows, want 50", len(rows))
				}
				return err
			}},
			{"opened", list(50, always(keyserver.SentSearch{Filter: keyserver.FilterOpened}))},
			{"not-opened", list(50, always(keyserver.SentSearch{Filter: keyserver.FilterNotOpened}))},
			{"locked", list(50, always(keyserver.SentSearch{Filter: keyserver.FilterLocked}))},
			{"ended", list(50, always(keyserver.SentSearch{Filter: keyserver.FilterExpired}))},
			{"days", list(50, always(keyserver.SentSearch{From: h.clock().AddDate(0, 0, -1), Until: h.clock().AddDate(0, 0, 1)}))},
			{"recipient", list(1, func(w *sending, i int) keyserver.SentSearch {
				return keyserver.SentSearch{Text: w.all[i*37%w.n].address(i % 3).Canonical()}
			})},
			{"beginning", list(1, func(w *sending, i int) keyserver.SentSearch {
				text, _, _ := strings.Cut(w.all[i*37%w.n].address(i%3).Canonical(), ".")
				return keyserver.SentSearch{Text: text}
			})},
			{"reference", list(1, func(w *sending, i int) keyserver.SentSearch {
				return keyserver.SentSearch{Text: id.ShowReference(w.all[i*37%w.n].ref(i % 3))}
			})},
			{"subject", list(50, always(keyserver.SentSearch{Text: subject}))},
			{"nowhere", list(0, always(keyserver.SentSearch{Text: "nowhere"}))},
			{"lock", func(w *sending, i int) error {
				_, err := h.Act(b.Context(), keyserver.Actor{UserID: w.UserID, Name: "user:" + w.Address}, kind(i/w.n), w.all[i%w.n].id(), "")
				return err
			}},
			{"many", func(w *sending, i int) error {
				_, err := h.ActOnMany(b.Context(), keyserver.Actor{UserID: w.UserID, Name: "user:" + w.Address}, kind(i), w.ids)
				return err
			}},
		} {
			b.Run(engine+"/"+op.name, func(b *testing.B) {
				var took [2][]time.Duration
				i := 0
				for b.Loop() {
					for k := range both {
						which := (k + i) % 2 // neither is always the first
						begun := time.Now()
						if err := op.do(both[which], i); err != nil {
							b.Fatal(err)
						}
						took[which] = append(took[which], time.Since(begun))
					}
					i++
				}
				var p99 [2]float64
				for k, w := range both {
					slices.Sort(took[k])
					p99[k] = float64(took[k][len(took[k])*99/100].Microseconds()) / 1000
					b.ReportMetric(p99[k], fmt.Sprintf("p99-ms/%d", w.n))
					b.ReportMetric(float64(took[k][len(took[k])/2].Microseconds())/1000, fmt.Sprintf("p50-ms/%d", w.n))
				}
				b.ReportMetric(p99[1]/p99[0], "times")
			})
		}
	}
}
