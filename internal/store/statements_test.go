package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// Views and updates whose context ends in the middle leave their connections,
// and the statements compiled on them, as good as before.
func TestCancelledInTheMiddle(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		work := func(ctx context.Context, n int) error {
			if err := db.Update(ctx, func(tx *store.Tx) error {
				return tx.PutThrottle(store.Throttle{Name: fmt.Sprint(n), Count: n})
			}); err != nil {
				return err
			}
			return db.View(ctx, func(tx *store.Tx) error {
				for range 20 {
					if got, err := tx.FindThrottle(fmt.Sprint(n)); err != nil || got.Count != n {
						return errors.Join(fmt.Errorf("%d: got %+v", n, got), err)
					}
				}
				return nil
			})
		}
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 40 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(4000))*time.Microsecond)
					err := work(ctx, worker*1000+i)
					if err != nil && ctx.Err() == nil {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		wg.Wait()
		for n := range 50 {
			if err := work(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// More texts than are kept, among them the first again.
func TestManyStatements(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for _, view := range []bool{true, false} {
		run := db.Update
		if view {
			run = db.View
		}
		err := run(t.Context(), func(tx *store.Tx) error {
			for range 3 {
				ids := []string{}
				for range 300 {
					ids = append(ids, "x")
					if _, err := tx.ListSlots(ids...); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
