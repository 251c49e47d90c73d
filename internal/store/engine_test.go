package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// A schema newer than the program is refused, in words that say what to do.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "pli.db")
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Raw(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), url); !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "backup") {
		t.Fatalf("got %v", err)
	}
}

// AT-74: the database is its owner's to read, whatever the umask lets through,
// and so is the journal that stands beside it.
func TestFilesAreTheOwners(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pli.db")
	for range 2 { // when it is made, and when it is opened again
		db, err := store.Open(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Fatal(err)
		}
		for _, more := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + more)
			if err != nil {
				t.Error(err)
			} else if info.Mode().Perm() != 0o600 {
				t.Errorf("pli.db%s has mode %v", more, info.Mode())
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A second start finds nothing to do, and both are at the newest number.
func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		current, known, err := db.Schema(t.Context())
		if err != nil || current != known || known == 0 {
			t.Fatalf("schema %d of %d: %v", current, known, err)
		}
	})
}

// The pragmas are in the DSN, so every connection of the pool has them.
func TestEveryConnectionHasThePragmas(t *testing.T) {
	t.Parallel()
	conns, err := storetest.Open(t).Readers(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range conns {
		defer c.Close()
		for pragma, want := range map[string]string{"foreign_keys": "1", "journal_mode": "wal", "secure_delete": "1", "synchronous": "2", "query_only": "1"} {
			var got string
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("connection %d: %s is %q, want %q (%v)", i, pragma, got, want, err)
			}
		}
	}
}

// Commits are gathered: what one function undoes, its neighbours do not notice.
func TestOneFailureUndoesOnlyItself(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		boom := errors.New("boom")
		var wg sync.WaitGroup
		errs := make([]error, 60)
		for i := range errs {
			wg.Go(func() {
				errs[i] = db.Update(context.Background(), func(tx *store.Tx) error {
					if err := tx.InsertAudit(store.AuditRow{Actor: "system", Action: "test.act", Target: fmt.Sprint(i), Outcome: "done"}); err != nil {
						return err
					}
					switch i % 3 {
					case 1:
						return boom
					case 2:
						if db.Engine() == "sqlite" {
							panic("a mistake in one act")
						}
						return boom
					}
					return nil
				})
			})
		}
		wg.Wait()
		for i, err := range errs {
			if (i%3 == 0) != (err == nil) {
				t.Errorf("%d: %v", i, err)
			}
		}
		n := 0
		err := db.View(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.ListAudit(0, "", 1000)
			for _, r := range rows {
				if i, _ := strconv.Atoi(r.Target); i%3 != 0 {
					t.Errorf("%d was undone and is there", i)
				}
			}
			n = len(rows)
			if err != nil {
				return err
			}
			return nil
		})
		if err != nil || n != 20 {
			t.Errorf("%d records, want 20 (%v)", n, err)
		}
	})
}

func TestUpdateAfterCancel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Update(ctx, func(*store.Tx) error { return nil }); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := db.Update(t.Context(), func(*store.Tx) error { return nil }); err != nil {
			t.Errorf("the database does not go on after a cancelled act: %v", err)
		}
	})
}

// BenchmarkUpdate is a durable commit, by one and by many at once.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := storetest.Open(b)
			b.SetParallelism(max(1, writers/2))
			start := time.Now()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					err := db.Update(context.Background(), func(tx *store.Tx) error {
						return tx.InsertAudit(store.AuditRow{Actor: "system", Action: "bench.act", Outcome: "done"})
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "commits/s")
		})
	}
}
