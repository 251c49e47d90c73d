package account_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
)

// Whose account is suspended hears so, by whichever way they prove who they
// are, but not before all is proved; whoever guesses hears what they always do.
func TestSuspendedIsTold(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		_, seed, _ := w.app(ada)
		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		in := func(address, password string) (*account.Session, error) {
			return w.SignIn(ctx, w.visit(), address, password, here, "Firefox")
		}

		_, err := in("lea@example.org", good)
		w.fails(err, fault.Unauthenticated, "si.bad")
		_, err = in("lea@example.org", better)
		w.fails(err, fault.Unauthenticated, "si.suspended")

		s := get[*account.Session](w)(in("ada@example.org", good)) // a thief of the password hears nothing
		if s.Scope != store.ScopeSecond {
			t.Fatalf("the password alone gives %s", s.Scope)
		}
		s.Origin = here
		w.pass(time.Minute)
		_, err = w.ProveSecond(ctx, s, w.code(seed))
		w.fails(err, fault.Unauthenticated, "si.suspended")
		if s, err := w.Session(ctx, s.Token); err == nil && s.SignedIn() {
			t.Error("a suspended account's person is in")
		}

		v := w.visit()
		w.ok(w.SendSignInCode(ctx, v, "lea@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		_, err = w.SignInWithCode(ctx, v, l.Code, here, "Firefox")
		w.fails(err, fault.Unauthenticated, "si.suspended")

		refused := slices.ContainsFunc(get[account.AuditPage](w)(w.Audit(ctx, w.root, 100042, "", 50)).Records, func(r store.AuditRow) bool {
			return r.Action == "session.signin" && r.Outcome == store.Refused && r.Detail["reason"] == "si.suspended" && r.Origin == here
		})
		if !refused {
			t.Error("it left no record")
		}
		w.ok(w.ResumeAccount(ctx, w.root, 100042))
		w.signIn("lea@example.org", better)
	})
}

func TestEditAccount(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		p := account.Profile{Name: " Clinic  East ", Language: "fr", TimeZone: "Pacific/Auckland", Contacts: account.Contacts{"security": {"Sec@example.org", "sec@example.org"}, "other": {"x@example.org"}}}
		a := get[store.Account](w)(w.EditAccount(ctx, ada.Actor(here), 100042, p))
		if a.Name != "Clinic East" || a.Language != "fr" || a.TimeZone != "Pacific/Auckland" {
			t.Errorf("%+v", a)
		}
		_, contacts, err := w.AccountProfile(ctx, ada.Actor(here), 100042)
		w.ok(err)
		if len(contacts) != 1 || len(contacts["security"]) == 0 {
			t.Errorf("contacts %v", contacts)
		}
		if u := w.user(100042, "new@example.org"); u.TimeZone != "Pacific/Auckland" || u.Language != "fr" {
			t.Errorf("a new user has %s, %s", u.TimeZone, u.Language)
		}
		_, err = w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: "x", Contacts: account.Contacts{"technical": {"no address"}}})
		w.fails(err, fault.Invalid, "err.email")
		_, err = w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{})
		w.fails(err, fault.Invalid, "people.noname")
		_, err = w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: "x", TimeZone: "Mars/Base"})
		w.fails(err, fault.Invalid, "people.badzone")
		_, err = w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: "x", Language: "de"})
		w.fails(err, fault.Invalid, "people.badlanguage")
		v, _, err := w.AccountProfile(ctx, ada.Actor(here), 100042)
		w.ok(err)
		if v.Name != "Clinic East" || v.Language != "fr" || v.TimeZone != "Pacific/Auckland" {
			t.Errorf("a refused change is kept: %+v", v)
		}
		a = get[store.Account](w)(w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: "Clinic East"}))
		if a.Language != "fr" || a.TimeZone != "Pacific/Auckland" {
			t.Errorf("what was not said has changed: %+v", a)
		}
	})
}

// An administrator calls the account by no name that its look may not have either:
// recipients read both at the same place.
func TestEditAccountTakesNoName(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		get[store.Account](w)(w.EditAccount(ctx, w.root, 100043, account.Profile{Name: "Other Clinic"}))
		for _, name := range []string{"other clinic", "Pli", "Pli support", "paypal.example", "P\u0430ypal"} {
			if _, err := w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: name}); !fault.HasKey(err, "b.problem") {
				w.Errorf("%q: %v", name, err)
			}
		}
		get[store.Account](w)(w.EditAccount(ctx, w.root, 100042, account.Profile{Name: "Pli support"})) // who runs the service may
		get[store.Account](w)(w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: "Pli support", Language: "fr"}))
	})
}

// Asking for a deletion and cancelling it over and over writes to nobody's mailbox without end.
func TestDeletionsAreFew(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		done := 0
		for range 10 {
			if _, err := w.DeleteAccount(ctx, ada.Actor(here), 100042, "100042"); err == nil {
				done++
				w.ok(w.KeepAccount(ctx, ada.Actor(here), 100042))
			} else if !fault.HasKey(err, "e429.p") {
				w.Fatal(err)
			}
		}
		if done != 5 {
			w.Errorf("%d deletions", done)
		}
	})
}

// A deletion is asked for by who administers the account, or runs the service,
// soon after a proof, with the number; it is cancelled as if it had never been.
func TestDeleteAccount(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		eve, _ := w.account(100043, "eve@example.com")
		w.user(100042, "lea@example.org")
		lea := w.signIn("lea@example.org", better)
		w.ok(second(w.EditAccount(ctx, ada.Actor(here), 100042, account.Profile{Name: "A", Contacts: account.Contacts{"privacy": {"dpo@example.org", "ada@example.org"}}})))

		_, err := w.DeleteAccount(ctx, eve.Actor(here), 100042, "100042")
		w.fails(err, fault.NotFound, "e404.h1")
		_, err = w.DeleteAccount(ctx, lea.Actor(here), 100042, "100042")
		w.fails(err, fault.Denied, "err.forbidden")
		_, err = w.DeleteAccount(ctx, ada.Actor(here), 100042, "100043")
		w.fails(err, fault.Invalid, "as2.mismatch")
		token, _, _ := w.token(ada.Actor(here), 100042, 5, store.RightSettings)
		w.pass(11 * time.Minute)
		ada = get[*account.Session](w)(w.Session(ctx, ada.Token))
		_, err = w.DeleteAccount(ctx, ada.Actor(here), 100042, "100042")
		w.fails(err, fault.Denied, "second.again")
		_, err = w.DeleteAccount(ctx, token, 100042, "100042")
		w.fails(err, fault.Denied, "tok.beyond")

		ada = w.signIn("ada@example.org", good)
		lea = w.signIn("lea@example.org", better)
		due := get[time.Time](w)(w.DeleteAccount(ctx, ada.Actor(here), 100042, " 100042 "))
		if want := w.db.Now().Add(7 * 24 * time.Hour); due.Sub(want).Abs() > time.Second {
			t.Errorf("due %v, not %v", due, want)
		}
		l, n := last[account.AccountLetter](w.mail)
		if n != 2 || l.What != account.NoticeDeletion || !l.Due.Equal(due) || l.To.Canonical() != "dpo@example.org" {
			t.Errorf("%d letters, the last %+v", n, l)
		}
		w.dead(lea)
		_, err = w.SignIn(ctx, w.visit(), "lea@example.org", better, here, "")
		w.fails(err, fault.Unauthenticated, "si.deleting")
		_, err = w.SignIn(ctx, w.visit(), "lea@example.org", "wrong", here, "")
		w.fails(err, fault.Unauthenticated, "si.bad")
		_, err = w.DeleteAccount(ctx, w.root, 100042, "100042")
		w.fails(err, fault.Conflict, "life.deleting")
		w.fails(w.ResumeAccount(ctx, w.root, 100042), fault.Conflict, "life.deleting")
		w.fails(second(w.AddGroup(ctx, ada.Actor(here), 100042, "Late")), fault.Denied, "err.forbidden")
		w.fails(w.KeepAccount(ctx, eve.Actor(here), 100042), fault.NotFound, "e404.h1")

		ada = w.signIn("ada@example.org", good) // an administrator still comes in
		w.ok(second(w.Account(ctx, ada.Actor(here), 100042)))
		w.ok(second(w.StartArchive(ctx, ada.Actor(here), 100042)))
		w.ok(w.KeepAccount(ctx, ada.Actor(here), 100042))
		w.fails(w.KeepAccount(ctx, ada.Actor(here), 100042), fault.Conflict, "life.notdeleting")
		w.signIn("lea@example.org", better)

		w.ok(w.SuspendAccount(ctx, w.root, 100042)) // what it was comes back, whatever that is
		w.ok(second(w.DeleteAccount(ctx, w.root, 100042, "100042")))
		if l, _ := last[account.AccountLetter](w.mail); !l.Shut || l.What != account.NoticeDeletion {
			t.Errorf("told %+v", l)
		}
		_, err = w.SignIn(ctx, w.visit(), "ada@example.org", good, here, "Firefox") // and until then it stays as closed
		w.fails(err, fault.Unauthenticated, "si.suspended")
		for _, err := range []error{w.KeepAccount(ctx, ada.Actor(here), 100042), second(w.StartArchive(ctx, ada.Actor(here), 100042)), second(w.Account(ctx, ada.Actor(here), 100042))} {
			w.fails(err, fault.Denied, "err.forbidden")
		}
		w.ok(w.KeepAccount(ctx, w.root, 100042))
		if a := get[account.AccountView](w)(w.Account(ctx, w.root, 100042)); a.State != store.AccountSuspended || !a.Deletion.At.IsZero() {
			t.Errorf("%s, %+v", a.State, a.Deletion)
		}
	})
}

// Of two operators at once one deletes, and the other hears that it is done.
func TestDeleteAccountAtOnce(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ada@example.org")
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.DeleteAccount(w.Context(), w.root, 100042, "100042") })
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else {
				w.fails(err, fault.Conflict, "life.deleting")
			}
		}
		// The bag is no part of the transaction, which SQLite's batch may run again when another of it has failed.
		if _, n := last[account.AccountLetter](w.mail); done != 1 || n < 1 {
			t.Errorf("%d of them did it, %d letters", done, n)
		}
	})
}

// An archive has all that it says, nothing that is secret, sums that are right, a log that verifies.
func TestArchive(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		eve, _ := w.account(100043, "eve@example.com")
		w.ok(second(w.AddUser(ctx, w.root, 100042, account.NewUser{Address: "lea@example.org", FirstName: "=cmd()", LastName: "Zoé", Password: better, Confirm: better, Own: true})))
		w.ok(second(w.SetRules(ctx, w.root, 100042, `default = "seal"`)))
		w.ok(second(w.SetLogo(ctx, w.root, 100042, []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path d="M0 0h4v4z"/></svg>`))))
		w.ok(w.RequestAccess(ctx, w.signIn("lea@example.org", better), 100042, store.RightAudit, "the inspection"))
		q := get[account.RequestsPage](w)(w.Requests(ctx, w.root, 100042, "", 50)).Requests
		get[account.Decision](w)(w.DecideRequest(ctx, w.root, q[0].ID, false, "", "=not()\nyet"))
		ada, seed, codes := w.app(ada)
		_, secret, err := w.MakeToken(ctx, ada.Actor(here), 100042, account.NewToken{Name: "robot", Scopes: []string{store.RightUsers}, Days: 5})
		w.ok(err)
		notary := audit.New(audit.Config{DB: w.db, Root: masterkeytest.Root(t), Log: slog.New(slog.DiscardHandler), Mark: filepath.Join(t.TempDir(), "mark")})
		get[int](w)(notary.Chain(ctx))

		v := get[account.ArchiveView](w)(w.StartArchive(ctx, ada.Actor(here), 100042))
		_, err = w.StartArchive(ctx, w.root, 100042)
		w.fails(err, fault.Conflict, "life.running")
		w.fails(second(w.Archive(ctx, eve.Actor(here), 100042, v.ID)), fault.NotFound, "e404.h1")
		w.fails(second(w.Archive(ctx, eve.Actor(here), 100043, v.ID)), fault.NotFound, "e404.h1")
		w.runJobs()
		v = get[account.ArchiveView](w)(w.Archive(ctx, ada.Actor(here), 100042, v.ID))
		if !v.Ready() {
			t.Fatalf("%+v", v)
		}
		in, size, err := w.FetchArchive(ctx, ada.Actor(here), 100042, v.ID)
		w.ok(err)
		raw := get[[]byte](w)(io.ReadAll(in))
		w.ok(in.Close())
		if sum := sha256.Sum256(raw); int64(len(raw)) != size || hex.EncodeToString(sum[:]) != v.Sum {
			t.Errorf("%d bytes of %d, or another sum", len(raw), size)
		}
		files := unzip(w, raw)
		for _, line := range strings.Split(strings.TrimSpace(files["MANIFEST.sha256"]), "\n") {
			sum, name, _ := strings.Cut(line, "  ")
			if got := sha256.Sum256([]byte(files[name])); hex.EncodeToString(got[:]) != sum {
				t.Errorf("%s has another sum", name)
			}
		}
		if n := len(files); n != 2*len(store.Extracts)+6 {
			t.Errorf("%d files", n)
		}
		if s := files["logo.svg"]; !strings.Contains(s, "M0 0h4v4z") {
			t.Errorf("logo.svg: %s", s)
		}
		if s := files["users.csv"]; !strings.Contains(s, "'=cmd()") || !strings.Contains(s, "Zoé") {
			t.Errorf("users.csv: %s", s)
		}
		if s := files["users.jsonl"]; !strings.Contains(s, `"first_name":"=cmd()"`) || strings.Count(s, "\n") != 2 {
			t.Errorf("users.jsonl: %s", s)
		}
		if s := files["requests.jsonl"]; !strings.Contains(s, `"word":"=not()\nyet"`) {
			t.Errorf("requests.jsonl: %s", s)
		}
		if s := files["requests.csv"]; !strings.Contains(s, "'=not()") {
			t.Errorf("requests.csv: %s", s)
		}
		for name, content := range files {
			for _, hidden := range []string{seed, codes[0], secret.Reveal(), "$argon2id$", "eve@example.com"} {
				if strings.Contains(content, hidden) {
					t.Errorf("%s has %q in it", name, hidden)
				}
			}
		}
		res, err := audit.VerifyFile(strings.NewReader(files["audit.jsonl"]), nil)
		if err != nil || res.Broken != nil || res.Account != 100042 || res.Seq == 0 {
			t.Errorf("the log: %+v, %v", res, err)
		}

		w.pass(11 * time.Minute)
		_, _, err = w.FetchArchive(ctx, ada.Actor(here), 100042, v.ID)
		w.fails(err, fault.Denied, "second.again")
		w.pass(7 * 24 * time.Hour)
		_, _, err = w.FetchArchive(ctx, w.root, 100042, v.ID)
		w.fails(err, fault.NotFound, "e404.h1")
		w.ok(w.SweepArchives(ctx))

		v = get[account.ArchiveView](w)(w.StartArchive(ctx, w.root, 100042)) // one that is stopped leaves nothing
		w.ok(w.StopArchive(ctx, w.root, 100042, v.ID))
		get[bool](w)(w.RunJobs(ctx))
		if v = get[account.ArchiveView](w)(w.Archive(ctx, w.root, 100042, v.ID)); v.Ready() || v.Running() {
			t.Errorf("%+v", v)
		}
	})
}

func unzip(w *world, raw []byte) map[string]string {
	w.Helper()
	z := get[*zip.Reader](w)(zip.NewReader(bytes.NewReader(raw), int64(len(raw))))
	out := map[string]string{}
	for _, f := range z.File {
		in := get[io.ReadCloser](w)(f.Open())
		out[f.Name] = string(get[[]byte](w)(io.ReadAll(in)))
		w.ok(in.Close())
	}
	return out
}

// Who may no more than they asked for gets no archive.
func TestArchiveOfWhoLostTheirRights(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, admins := w.account(100042, "ada@example.org")
		bo := w.user(100042, "bo@example.org")
		w.ok(second(w.AddMembers(ctx, ada.Actor(here), 100042, admins, "bo@example.org", time.Time{})))
		v := get[account.ArchiveView](w)(w.StartArchive(ctx, w.signIn("bo@example.org", better).Actor(here), 100042))
		_, _, err := w.RemoveMember(ctx, ada.Actor(here), 100042, admins, bo.ID)
		w.ok(err)
		get[bool](w)(w.RunJobs(ctx))
		if v = get[account.ArchiveView](w)(w.Archive(ctx, ada.Actor(here), 100042, v.ID)); v.State != store.JobStopped || v.Reason != "life.norights" {
			t.Errorf("%+v", v)
		}
	})
}

// Who suspends a suspended account, or resumes one that is not, changes and records nothing.
func TestStateThatIsSo(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.ok(w.ResumeAccount(ctx, w.root, 100042))
		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		if a, b := w.audit(100042, "account.resume", store.Done), w.audit(100042, "account.suspend", store.Done); a != 0 || b != 1 {
			t.Errorf("%d records of resuming, %d of suspending", a, b)
		}
	})
}
