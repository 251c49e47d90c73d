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

// BenchmarkSent is what a sender of 100 and of 10,000 envelopes to three
// recipients each waits for: the first page, a page further on, what one
// recipient got, a reference, a state, and a lock with its audit record
// (performance.md). Of each it tells the 99th percentile of one after the other.
func BenchmarkSent(b *testing.B) {
	for engine, db := range storetest.Engines(b) {
		h := newHouse(b, db)
		for _, n := range []int{100, 10_000} {
			// A sender of each size, on one database.
			user := h.user(b, account, fmt.Sprintf("sender%d@health.example", n))
			h.ana = keyserver.Sender{UserID: user, Address: fmt.Sprintf("sender%d@health.example", n), Name: "Ana Silva", Verified: true}
			all := h.fill(b, n)
			for k := 0; k < n; k += 2 { // every second is locked
				h.act(b, keyserver.Act{Kind: keyserver.ActLock}, all[k], -1)
			}
			list := func(find keyserver.SentSearch, want int) func(int) error {
				return func(int) error {
					rows, _, err := h.Sent(b.Context(), user, find, "", 50)
					if err == nil && len(rows) < want {
						err = fmt.Errorf("%d rows, want %d", len(rows), want)
					}
					return err
				}
			}
			for _, op := range []struct {
				name string
				do   func(i int) error
			}{
				{"first page", list(keyserver.SentSearch{}, 50)},
				{"locked", list(keyserver.SentSearch{Filter: keyserver.FilterLocked}, 50)},
				{"recipient", func(i int) error {
					return list(keyserver.SentSearch{Text: all[i*37%n].address(i % 3).Canonical()}, 1)(i)
				}},
				{"reference", func(i int) error {
					return list(keyserver.SentSearch{Text: id.ShowReference(all[i*37%n].ref(i % 3))}, 1)(i)
				}},
				{"days", list(keyserver.SentSearch{From: h.clock().AddDate(0, 0, -1), Until: h.clock().AddDate(0, 0, 1)}, 50)},
				{"lock", func(i int) error {
					kind := keyserver.ActLock
					if i/n%2 == 1 {
						kind = keyserver.ActUnlock
					}
					_, err := h.Act(b.Context(), h.actor(), keyserver.Act{Kind: kind}, all[i%n].id(), "")
					return err
				}},
			} {
				b.Run(fmt.Sprintf("%s/%s/%d", engine, strings.ReplaceAll(op.name, " ", "-"), n), func(b *testing.B) {
					var took []time.Duration
					i := 0
					for b.Loop() {
						begun := time.Now()
						if err := op.do(i); err != nil {
							b.Fatal(err)
						}
						took = append(took, time.Since(begun))
						i++
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				})
			}
		}
	}
}
