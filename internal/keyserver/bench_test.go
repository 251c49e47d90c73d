package keyserver_test

import (
	"testing"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// BenchmarkRelease is the whole of a release, checked, audited and durable, with
// as many readers at once as -cpu times 16 (performance.md P8). Beside it, in
// the same run: its floor, one durable audit record; and the same in a view, the
// check without any write.
func BenchmarkRelease(b *testing.B) {
	h := newHouse(b, storetest.Open(b))
	const messages = 64
	readers := make(chan func() error, messages)
	opening := make(chan func(*store.Tx) error, messages)
	for range messages {
		m := h.seal(b, "bob@x.example")
		v := h.reader(b, m, 0)
		readers <- func() error { _, err := h.Release(b.Context(), v, m.slot(0)); return err }
		opening <- func(tx *store.Tx) error { _, err := tx.FindOpening(m.slot(0).String(), v.Session); return err }
	}
	run := func(b *testing.B, one func() error) {
		b.SetParallelism(16)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	}
	b.Run("release", func(b *testing.B) {
		run(b, func() error {
			release := <-readers
			defer func() { readers <- release }()
			return release()
		})
	})
	b.Run("floor-audit", func(b *testing.B) {
		run(b, func() error {
			return h.db.Update(b.Context(), func(tx *store.Tx) error {
				return tx.InsertAudit(store.AuditRow{AccountID: account, Actor: "recipient:bob@x.example", Action: "envelope.release", Target: "x", Origin: "192.0.2.7"})
			})
		})
	})
	b.Run("check-only", func(b *testing.B) {
		run(b, func() error {
			check := <-opening
			defer func() { opening <- check }()
			return h.db.View(b.Context(), check)
		})
	})
}
