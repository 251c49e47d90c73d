package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

const account = 100042

// stand is a database with its notary.
type stand struct {
	*testing.T
	db     *store.DB
	root   *masterkey.Root
	notary *audit.Notary
}

func newStand(t *testing.T, db *store.DB) *stand {
	root := masterkeytest.Root(t)
	return &stand{t, db, root, audit.New(audit.Config{DB: db, Root: root, Log: slog.New(slog.DiscardHandler)})}
}

func (s *stand) add(of int64, n int) {
	s.Helper()
	for i := range n {
		if err := s.db.Update(s.Context(), func(tx *store.Tx) error {
			return tx.InsertAudit(store.AuditRow{AccountID: of, Actor: "user:ana@example.org", Action: "group.add", Target: fmt.Sprint("G", i),
				Detail: map[string]string{"n": fmt.Sprint(i), "é": "<&>"}, Origin: "192.0.2.1"})
		}); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *stand) chain() int {
	s.Helper()
	n, err := s.notary.Chain(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *stand) verify(of int64) audit.Result {
	s.Helper()
	r, err := s.notary.Verify(s.Context(), of)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *stand) unchained() (n int) {
	s.Helper()
	if err := s.db.View(s.Context(), func(tx *store.Tx) (err error) { n, _, err = tx.CountUnchained(10000); return err }); err != nil {
		s.Fatal(err)
	}
	return n
}

// unguard takes the triggers away, as whoever owns the database can.
func (s *stand) unguard() {
	if s.db.Engine() == "postgres" {
		storetest.Exec(s, s.db, "ALTER TABLE audit DISABLE TRIGGER USER")
		return
	}
	for _, name := range []string{"audit_kept", "audit_fixed", "audit_placed"} {
		storetest.Exec(s, s.db, "DROP TRIGGER "+name)
	}
}

// Whatever two nodes do while many write, every committed record gets one place,
// and the chains verify.
func TestManyWritersTwoNotaries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		ctx, stop := context.WithCancel(t.Context())
		var notaries, writers sync.WaitGroup
		for range 2 {
			n := audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})
			notaries.Go(func() {
				for ctx.Err() == nil {
					if _, err := n.Chain(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
			})
		}
		const each, most = 40, 8
		for w := range most {
			writers.Go(func() {
				for i := range each {
					err := db.Update(t.Context(), func(tx *store.Tx) error {
						// One in ten is undone: it leaves no gap.
						if err := tx.InsertAudit(store.AuditRow{AccountID: int64(w % 3), Actor: "system", Action: "test.act", Target: fmt.Sprint(w, i)}); err != nil || i%10 != 9 {
							return err
						}
						return errors.New("undone")
					})
					if (err != nil) != (i%10 == 9) {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		stop()
		notaries.Wait()
		s.chain()
		if n := s.unchained(); n != 0 {
			t.Errorf("%d committed records have no place", n)
		}
		var total int64
		for of := range int64(3) {
			r := s.verify(of)
			total += r.Seq
			if r.Broken != nil {
				t.Errorf("account %d: %+v", of, *r.Broken)
			}
		}
		if total != most*each*9/10+2 { // and that two of the chains began
			t.Errorf("%d records in the chains", total)
		}
	})
}

// A record that is committed after younger ones gets its place after them.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.add(account, 3)
		s.chain()
		storetest.Exec(t, db, `INSERT INTO audit (id, account_id, at, actor, action, target, outcome, detail, origin)
			VALUES ('00000000-0000-7000-8000-000000000000', 100042, 1, 'system', 'test.late', '', 'done', '{}', '')`)
		if n := s.chain(); n != 1 {
			t.Fatalf("%d chained", n)
		}
		if r := s.verify(account); r.Broken != nil || r.Seq != 4 {
			t.Errorf("%+v %+v", r, r.Broken)
		}
	})
}

// A notary that is gone between two transactions is followed by another, and one
// whose transaction failed has done nothing.
func TestNotaryKilled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.add(account, 450) // three batches
		storetest.Exec(t, db, "CREATE TABLE kept AS SELECT * FROM audit_notary")
		storetest.Exec(t, db, "DROP TABLE audit_notary")
		if _, err := s.notary.Chain(t.Context()); err == nil || s.unchained() != 450 {
			t.Fatalf("%v, %d unchained", err, s.unchained())
		}
		storetest.Exec(t, db, "ALTER TABLE kept RENAME TO audit_notary")
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() { // somewhere in between
			defer close(watched)
			for ctx.Err() == nil && s.unchained() > 300 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		s.notary.Chain(ctx)
		cancel()
		<-watched
		s.notary = audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})
		s.chain()
		if r := s.verify(account); r.Broken != nil || r.Seq != 450 || s.unchained() != 0 {
			t.Errorf("%+v %+v", r, r.Broken)
		}
	})
}

// AT-39: whatever is changed behind the service's back is found, with its place.
func TestTampering(t *testing.T) {
	t.Parallel()
	set := func(assignment string) string {
		return "UPDATE audit SET " + assignment + " WHERE seq = 5 AND account_id = 100042"
	}
	const copied = `INSERT INTO audit (id, account_id, at, actor, action, target, outcome, detail, origin, pos, seq, hash)
		SELECT 'ffffffff-0000-7000-8000-000000100042', account_id, at, actor, action, 'forged', outcome, detail, origin, 100042, %s, hash FROM audit WHERE seq = 5 AND account_id = 100042`
	cases := []struct {
		name string
		do   []string
		seq  int64
		why  string
	}{
		{"id", []string{set("id = '01a217bb-c1d1-714e-8dde-40067ef5078b'")}, 5, audit.Changed},
		{"account", []string{set("account_id = 999999")}, 5, audit.Removed},
		{"no account", []string{set("account_id = NULL, seq = 5000")}, 5, audit.Removed},
		{"at", []string{set("at = at + 1")}, 5, audit.Changed},
		{"actor", []string{set("actor = 'user:eve@example.org'")}, 5, audit.Changed},
		{"action", []string{set("action = 'group.delete'")}, 5, audit.Changed},
		{"target", []string{set("target = ''")}, 5, audit.Changed},
		{"outcome", []string{set("outcome = 'refused'")}, 5, audit.Changed},
		{"detail", []string{set(`detail = '{"n":"5"}'`)}, 5, audit.Changed},
		{"a detail less", []string{set(`detail = '{}'`)}, 5, audit.Changed},
		{"origin", []string{set("origin = 'terminal'")}, 5, audit.Changed},
		{"seq", []string{set("seq = 50")}, 5, audit.Removed},
		{"hash", []string{set("hash = (SELECT a.hash FROM audit a WHERE a.seq = 4 AND a.account_id = 100042)")}, 5, audit.Changed},
		{"made new", []string{set("seq = 0, pos = 0, hash = NULL")}, 5, audit.Removed},
		{"removed", []string{"DELETE FROM audit WHERE seq = 5 AND account_id = 100042"}, 5, audit.Removed},
		{"the first removed", []string{"DELETE FROM audit WHERE seq = 1 AND account_id = 100042"}, 1, audit.Removed},
		{"the last removed", []string{"DELETE FROM audit WHERE seq = 10 AND account_id = 100042"}, 10, audit.Truncated},
		{"removed, and the gap closed", []string{"DELETE FROM audit WHERE seq = 10 AND account_id = 100042",
			"UPDATE audit SET seq = 10 WHERE seq = 11 AND account_id = 100042"}, 10, audit.Truncated},
		{"all removed", []string{"DELETE FROM audit WHERE account_id = 100042"}, 1, audit.Truncated},
		{"swapped", []string{set("seq = 60"), "UPDATE audit SET seq = 5 WHERE seq = 6 AND account_id = 100042", "UPDATE audit SET seq = 6 WHERE seq = 60 AND account_id = 100042"}, 5, audit.Changed},
		{"forged at the end", []string{fmt.Sprintf(copied, "11")}, 11, audit.Changed},
		{"forged in between", []string{"UPDATE audit SET seq = seq + 100 WHERE seq > 5 AND account_id = 100042", fmt.Sprintf(copied, "6")}, 6, audit.Changed},
		{"the head set back", []string{"DELETE FROM audit WHERE seq = 10 AND account_id = 100042",
			"UPDATE audit_heads SET seq = 9, hash = (SELECT a.hash FROM audit a WHERE a.seq = 9 AND a.account_id = 100042) WHERE account_id = 100042"}, 1, audit.Unsigned},
		{"the head removed", []string{"DELETE FROM audit_heads WHERE account_id = 100042"}, 1, audit.Unsigned},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		number := func(i int) int64 { return account + int64(i) } // an account for each case
		for i := range cases {
			s.add(number(i), 10)
		}
		s.chain()
		for i, c := range cases {
			if r := s.verify(number(i)); r.Broken != nil || r.Seq != 10 {
				t.Fatalf("%s: before: %+v", c.name, r)
			}
		}
		s.unguard()
		for i, c := range cases {
			for _, statement := range c.do {
				storetest.Exec(t, db, strings.ReplaceAll(statement, fmt.Sprint(account), fmt.Sprint(number(i))))
			}
			if c.name == "made new" {
				s.chain() // the notary takes it for a new one: it has no other way to know
			}
			r := s.verify(number(i))
			if r.Broken == nil || r.Broken.Seq != c.seq || r.Broken.Why != c.why {
				t.Errorf("%s: found %+v, want %d %s", c.name, r.Broken, c.seq, c.why)
			}
			// The chain goes on, and what is wrong stays wrong.
			s.add(number(i), 2)
			s.chain()
			if r := s.verify(number(i)); r.Broken == nil || r.Broken.Seq > c.seq {
				t.Errorf("%s: after more: %+v", c.name, r.Broken)
			}
		}
		if s.unchained() != 0 {
			t.Error("what was done since has no place")
		}
		s.notary = audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})
		if _, err := s.notary.CheckDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := s.verify(0); r.Broken == nil || r.Broken.Why != audit.Added { // one was moved there
			t.Errorf("the log of no account is blamed: %+v", r.Broken)
		}
	})
}

// A rewritten chain whose hashes agree again is found by the signature at its end
// and by the checkpoints in it.
func TestRewritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.add(account, 1010)
		s.chain()
		s.chain()
		r := s.verify(account)
		if r.Broken != nil || r.Seq != 1011 { // with the checkpoint after 1000
			t.Fatalf("%+v %+v", r, r.Broken)
		}
		s.unguard()
		var rows []store.AuditRow
		if err := db.View(t.Context(), func(tx *store.Tx) (err error) { rows, err = tx.ListChain(account, 0, 2000); return err }); err != nil {
			t.Fatal(err)
		}
		var prev []byte
		for i, row := range rows {
			if i == 699 {
				row.Actor = "user:eve@example.org"
			}
			prev = audit.Hash(prev, row)
			if i >= 699 {
				hash := fmt.Sprintf("X'%x'", prev)
				if db.Engine() == "postgres" {
					hash = fmt.Sprintf(`'\x%x'`, prev)
				}
				storetest.Exec(t, db, fmt.Sprintf("UPDATE audit SET actor = '%s', hash = %s WHERE id = '%s'", row.Actor, hash, row.ID))
			}
		}
		if r := s.verify(account); r.Broken == nil || r.Broken.Seq != 1 || r.Broken.Why != audit.Replaced {
			t.Errorf("%+v", r.Broken)
		}
		// What is done next does not sign it.
		s.add(account, 1)
		s.chain()
		if r, err := s.notary.Check(t.Context(), account); err != nil || r.Broken == nil || r.Broken.Seq != 1 {
			t.Errorf("%+v %v", r.Broken, err)
		}
	})
}

// I18: a database that was put back in time agrees with itself, and not with
// what is known of it elsewhere: in the running server, in the file beside it, in
// a checkpoint that was taken away.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const account = 0 // whose beginning no other event tells
		s := newStand(t, db)
		mark := filepath.Join(t.TempDir(), "audit.mark")
		marked := func() *audit.Notary {
			return audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler), Mark: mark})
		}
		s.notary = marked()
		s.add(account, 5)
		s.chain()
		storetest.Exec(t, db, "CREATE TABLE heads AS SELECT * FROM audit_heads")
		s.add(account, 5)
		s.chain()
		if err := s.notary.Mark(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := marked().CheckMark(t.Context()); err != nil {
			t.Fatal(err)
		}
		outside := s.verify(account).Head
		key, err := s.notary.Key(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		s.unguard()
		storetest.Exec(t, db, "DELETE FROM audit WHERE seq > 5")
		storetest.Exec(t, db, "DELETE FROM audit_heads")
		storetest.Exec(t, db, "INSERT INTO audit_heads SELECT * FROM heads")
		storetest.Exec(t, db, "UPDATE audit_notary SET pos = 5")

		if r := s.verify(account); r.Broken != nil {
			t.Errorf("it agrees with itself: %+v", r.Broken)
		}
		for _, kept := range [][]byte{outside.JSON(), audit.JSON(audit.Event(outside), func(store.AuditRow) string { return "" })} {
			if c, err := audit.ReadCheckpoint(kept); err != nil || !c.Signed(key) || c.Seq != 10 {
				t.Errorf("%s: %+v %v", kept, c, err)
			} else if r, err := s.notary.VerifyAgainst(t.Context(), c); err != nil || r.Broken == nil || r.Broken.Why != audit.Older {
				t.Errorf("%s: %+v %v", kept, r.Broken, err)
			}
		}
		if b := audit.Outside(outside, key, nil); b == nil || b.Why != audit.Older {
			t.Errorf("a checkpoint from elsewhere: %+v", b)
		}
		var back *audit.RolledBack
		if err := marked().CheckMark(t.Context()); !errors.As(err, &back) || back.Seen != 10 || back.Has != 5 {
			t.Errorf("the file beside it: %v", err)
		}
		if seen, has, err := marked().Accept(t.Context(), "operator:root", "terminal"); err != nil || seen != 10 || has != 5 {
			t.Errorf("accepted %d %d: %v", seen, has, err)
		}
		if err := marked().CheckMark(t.Context()); err != nil {
			t.Errorf("after it was accepted: %v", err)
		}
		s.add(account, 7) // longer than before
		s.chain()
		if r := s.verify(account); r.Broken == nil || r.Broken.Why != audit.Older || r.Broken.Seq != 6 {
			t.Errorf("the server that ran: %+v", r.Broken)
		}
		os.WriteFile(mark, []byte("half"), 0o600)
		if err := marked().CheckMark(t.Context()); err == nil || !strings.Contains(err.Error(), "not a number") {
			t.Errorf("a file of something else: %v", err)
		}
	})
}

// The file beside the database is never set back by the server itself.
func TestMarkStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		mark := filepath.Join(t.TempDir(), "audit.mark")
		marked := func() *audit.Notary {
			return audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler), Mark: mark})
		}
		s.notary = marked()
		s.add(0, 5)
		s.chain()
		was, err := os.ReadFile(mark)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Exec(t, db, "UPDATE audit_notary SET pos = 2")
		s.notary = marked()
		s.chain()
		if now, err := os.ReadFile(mark); err != nil || !bytes.Equal(now, was) {
			t.Errorf("%q became %q, %v", was, now, err)
		}
	})
}

// The database itself refuses to change what is recorded.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.add(account, 2)
		s.chain()
		s.add(account, 1)
		statements := []string{"DELETE FROM audit", "DELETE FROM audit WHERE pos = 0", "UPDATE audit SET actor = 'x'", "UPDATE audit SET detail = '{}' WHERE pos = 0", "UPDATE audit SET seq = 9 WHERE seq = 2", "UPDATE audit SET hash = NULL WHERE seq = 1"}
		if db.Engine() == "postgres" {
			statements = append(statements, "TRUNCATE audit")
		}
		for _, statement := range statements {
			if err := storetest.Try(t, db, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", statement, err)
			}
		}
		s.chain()
		if r := s.verify(account); r.Broken != nil || r.Seq != 3 {
			t.Errorf("%+v", r)
		}
	})
}

// A quiet day costs nothing, a busy one a checkpoint; each chain is checked once a day by one node.
func TestDays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now().UTC()
		db.Now = func() time.Time { return now }
		s := newStand(t, db)
		s.add(account, 1)
		s.add(0, 1)
		s.chain()
		check := func(want int) {
			t.Helper()
			other := audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})
			a, err1 := s.notary.CheckDue(t.Context())
			b, err2 := other.CheckDue(t.Context())
			if a+b != want || err1 != nil || err2 != nil {
				t.Errorf("%d and %d checked, want %d: %v %v", a, b, want, err1, err2)
			}
		}
		check(2)
		check(0)
		now = now.Add(25 * time.Hour)
		s.chain()
		check(2)
		if r := s.verify(account); r.Seq != 1 {
			t.Errorf("a quiet day: %+v", r)
		}
		s.add(account, 1)
		s.chain()
		if r := s.verify(account); r.Seq != 3 || r.Broken != nil { // with a checkpoint
			t.Errorf("%+v %+v", r, r.Broken)
		}
	})
}

// The example of docs/spec/audit-chain.md.
func TestVector(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1764190800123).UTC()
	first := store.AuditRow{ID: "019ac1f0-aaaa-7000-8000-000000000001", AccountID: account, At: at, Seq: 1, Actor: "operator:root", Action: "account.create",
		Target: "100042", Outcome: "done", Origin: "terminal"}
	first.Digest = audit.Hash(nil, first)
	second := store.AuditRow{ID: "019ac1f0-bbbb-7000-8000-000000000002", AccountID: account, At: at.Add(time.Second), Seq: 2, Actor: "user:ana@example.org", Action: "member.add",
		Target: "léa@example.org", Outcome: "done", Origin: "192.0.2.1", Detail: map[string]string{"group": "Account Administrators"}}
	second.Digest = audit.Hash(first.Digest, second)
	spec, err := os.ReadFile("../../docs/spec/audit-chain.md")
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	c := audit.Sign(audit.Checkpoint{Account: account, Seq: 2, Hash: second.Digest, At: at.Add(2 * time.Second)}, key)
	for _, want := range []string{fmt.Sprintf("%x", first.Digest), fmt.Sprintf("%x", second.Digest), fmt.Sprintf("%x", key.Public()), fmt.Sprintf("%x", c.Signature)} {
		if !bytes.Contains(spec, []byte(want)) {
			t.Errorf("the specification does not have %s", want)
		}
	}
}

// A chain whose end somebody wrote anew, with hashes that agree, is not signed as if
// nothing were: what the notary found stays in it, whatever is taken back beside it.
func TestRewrittenEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.unguard()
		s.add(account, 5)
		s.chain()
		rewrite := func() {
			var rows []store.AuditRow
			if err := db.View(t.Context(), func(tx *store.Tx) (err error) { rows, err = tx.ListChain(account, 0, 100); return err }); err != nil {
				t.Fatal(err)
			}
			var prev []byte
			for i, r := range rows {
				if i == 2 {
					r.Actor = "user:eve@example.org"
				}
				if r.Action == audit.BrokenAction {
					r.Action = "group.add"
				}
				prev = audit.Hash(prev, r)
				storetest.Exec(t, db, fmt.Sprintf("UPDATE audit SET actor = '%s', action = '%s', hash = %s WHERE id = '%s'", r.Actor, r.Action, blob(db, prev), r.ID))
			}
		}
		for range 2 { // and once more, to hide that it was found
			rewrite()
			for _, notary := range []*audit.Notary{s.notary, audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})} {
				s.notary = notary
				s.add(account, 1)
				s.chain()
				storetest.Exec(t, db, "UPDATE audit_heads SET broken_seq = 0, broken_id = '', broken_why = ''")
				if r := s.verify(account); r.Broken == nil {
					t.Error("the notary signed what was written anew")
				}
			}
		}
	})
}

// A chain that is gone as a whole, with its head, does not verify: not where its
// account is gone too, nor where another has begun in its place since.
func TestWholeChainRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.unguard()
		made := func(n int64) {
			t.Helper()
			if err := db.Update(t.Context(), func(tx *store.Tx) error {
				return tx.InsertAccount(store.Account{ID: n, Name: fmt.Sprint("A", n), NameKey: fmt.Sprint("a", n), Language: "en", TimeZone: "UTC", State: store.AccountActive})
			}); err != nil {
				t.Fatal(err)
			}
			s.add(n, 3)
		}
		for n := range int64(4) {
			made(account + n)
		}
		made(account + 9)
		if r := s.verify(account + 9); r.Broken != nil {
			t.Errorf("one that waits for the notary: %+v", r.Broken)
		}
		s.chain()
		gone := func(where string) {
			for _, table := range []string{"audit", "audit_heads"} {
				storetest.Exec(t, db, fmt.Sprintf("DELETE FROM %s WHERE %s", table, where))
			}
		}
		gone(fmt.Sprintf("account_id BETWEEN %d AND %d", account+1, account+3))
		storetest.Exec(t, db, fmt.Sprintf("DELETE FROM accounts WHERE id = %d", account+2))
		// Another process, which remembers nothing, chains what comes next.
		s.notary = audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})
		s.add(account+3, 1)
		s.chain()
		is := func(name string, of int64, why string) {
			t.Helper()
			r := s.verify(of)
			if (r.Broken == nil) != (why == "") || r.Broken != nil && (r.Broken.Seq != 1 || r.Broken.Why != why) {
				t.Errorf("%s: %+v", name, r.Broken)
			}
		}
		is("whole", account, "")
		is("gone", account+1, audit.Truncated)
		is("gone with its account", account+2, audit.Truncated)
		is("begun again", account+3, audit.Truncated)
		storetest.Exec(t, db, "UPDATE audit_heads SET broken_seq = 0")
		is("begun again, and what was found is taken back", account+3, audit.Removed)

		if of, err := s.notary.Accounts(t.Context()); err != nil || !slices.Equal(of, []int64{0, account, account + 3, account + 9, account + 1, account + 2}) {
			t.Errorf("to be verified: %v, %v", of, err)
		}
		if _, err := s.notary.CheckDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		var broken []int64
		if err := db.View(t.Context(), func(tx *store.Tx) error {
			heads, err := tx.ListBrokenAudit(10)
			broken = nil
			for _, h := range heads {
				broken = append(broken, h.AccountID)
			}
			return err
		}); err != nil || !slices.Equal(broken, []int64{account + 1, account + 2, account + 3}) {
			t.Errorf("found by the day's check: %v, %v", broken, err)
		}
		if s.add(account+1, 1); s.chain() != 1 {
			t.Error("what was done since has no record")
		}
		is("gone, and found before it went on", account+1, audit.Truncated)

		is("what belongs to none", 0, "")
		gone("COALESCE(account_id, 0) = 0")
		is("what belongs to none is gone", 0, audit.Truncated)
		s.notary = audit.New(audit.Config{DB: db, Root: s.root, Log: slog.New(slog.DiscardHandler)})
		s.add(0, 1)
		s.chain()
		storetest.Exec(t, db, "UPDATE audit_heads SET broken_seq = 0")
		is("what belongs to none, begun again", 0, audit.Removed)
	})
}

// blob is octets as the engine writes them.
func blob(db *store.DB, b []byte) string {
	if db.Engine() == "postgres" {
		return fmt.Sprintf("'\\x%x'", b)
	}
	return fmt.Sprintf("x'%x'", b)
}
