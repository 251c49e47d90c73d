package account_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// An operator who signed in may do what the command line may, but make
// operators; while they are one, with a second factor that was proved of late.
func TestOperators(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		w.user(100042, "opal@example.org")
		opal := w.signIn("opal@example.org", better)

		_, _, err := w.AddOperator(ctx, w.root, "opal@example.org")
		w.fails(err, fault.Conflict, "opr.nosecond")
		_, _, err = w.AddOperator(ctx, w.root, "nobody@example.org")
		w.fails(err, fault.NotFound, "e404.h1")
		opal, seed, _ := w.app(opal)
		_, already, err := w.AddOperator(ctx, w.root, "Opal@example.org")
		if err != nil || already {
			t.Fatal(already, err)
		}
		if _, already, err := w.AddOperator(ctx, w.root, "opal@example.org"); err != nil || !already {
			t.Error(already, err)
		}
		w.pass(time.Minute)
		opal = get[*account.Session](w)(w.ProveSecond(ctx, opal, w.code(seed)))
		if !opal.Operator || !opal.Factors {
			t.Fatalf("%+v", opal)
		}
		op := opal.OperatorActor(here)
		if op.String() != "operator:opal@example.org" {
			t.Error(op)
		}
		w.fails(w.SuspendAccount(ctx, op, 100042), fault.Conflict, "life.own")

		// The same acts as the command line's: whatever it is refused, they are too.
		all := calls(w, 100043, w.admins(100043).ID, w.user(100043, "dee@example.com").ID, "none", "none")
		for name, call := range onlyOperators(w, 100043) {
			all["only "+name] = call
		}
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if err := all[name](op); fault.Is(err, fault.Denied) != strings.HasPrefix(name, "token.make") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.ResumeAccount(ctx, op, 100043); err != nil {
			t.Error(err)
		}
		// But on the host only: who is an operator, and a token that acts as somebody.
		w.fails(func() error { _, _, err := w.AddOperator(ctx, op, "ada@example.org"); return err }(), fault.Denied, "err.forbidden")
		w.fails(func() error { _, err := w.RemoveOperator(ctx, op, "opal@example.org"); return err }(), fault.Denied, "err.forbidden")
		// As a user they are as before.
		_, err = w.Account(ctx, opal.Actor(here), 100043)
		w.fails(err, fault.NotFound, "e404.h1")
		// Who claims to be one, is refused.
		_, err = w.Account(ctx, ada.OperatorActor(here), 100043)
		w.fails(err, fault.Denied, "err.forbidden")
		log := get[account.AuditPage](w)(w.Audit(ctx, w.root, 0, "", 1)).Records
		if len(log) != 1 || log[0].Action != "account.view" || log[0].Outcome != store.Refused || log[0].Target != "100043" {
			t.Errorf("the record of it: %+v", log)
		}

		// Their account's administrators do not get into their login.
		_, err = w.ResetPassword(ctx, ada.Actor(here), 100042, opal.UserID, temp, temp)
		w.fails(err, fault.Denied, "rt.above")
		_, err = w.DeleteUser(ctx, ada.Actor(here), 100042, opal.UserID)
		w.fails(err, fault.Denied, "rt.above")

		w.pass(account.OperatorLimit)
		_, err = w.Account(ctx, op, 100043)
		w.fails(err, fault.Denied, "err.forbidden") // the session has ended
		opal = get[*account.Session](w)(w.ProveSecond(ctx, w.half("opal@example.org", better), w.code(seed)))
		get[account.AccountView](w)(w.Account(ctx, opal.OperatorActor(here), 100043))
		if _, err := w.RemoveOperator(ctx, w.root, "opal@example.org"); err != nil {
			t.Fatal(err)
		}
		_, err = w.Account(ctx, opal.OperatorActor(here), 100043)
		w.fails(err, fault.Denied, "err.forbidden")
		if s := get[*account.Session](w)(w.Session(ctx, opal.Token)); s.Operator || !s.SignedIn() {
			t.Errorf("%+v", s)
		}
	})
}

func TestOpenAccount(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		open := func(name, domain, admin string) (store.Account, error) {
			return w.OpenAccount(ctx, w.root, account.NewAccount{Name: name, Language: "fr", TimeZone: "Europe/Paris", Domains: strings.Fields(domain)}, admin)
		}
		a := get[store.Account](w)(open("Élan", "elan.example", "lea@elan.example"))
		if l, n := last[account.InvitationLetter](w.mail); n != 1 || l.AccountID != a.ID || l.Language != "fr" {
			t.Errorf("%d letters, %+v", n, l)
		}
		_, err := open("Other", "elan.example", "max@other.example")
		w.fails(err, fault.Conflict, "accn.dup")
		_, err = open("", "no domain", "nobody")
		w.fails(err, fault.Invalid, "people.noname")
		_, err = w.CreateAccount(ctx, w.root, account.NewAccount{Name: "Other", Domains: []string{"other.example", "no domain"}})
		w.fails(err, fault.Invalid, "people.domain")
		if bad := fault.Of(err).Fields[0]; bad.Args["domain"] != "no domain" {
			t.Errorf("the domain that was typed is called %v", bad.Args)
		}
		_, err = w.CreateAccount(ctx, w.root, account.NewAccount{Name: "Other", Language: "de"})
		w.fails(err, fault.Invalid, "people.badlanguage")
		_, err = w.CreateAccount(ctx, w.root, account.NewAccount{Name: "Other", TimeZone: "Local"})
		w.fails(err, fault.Invalid, "people.badzone")
		_, err = w.CreateAccount(ctx, w.root, account.NewAccount{Name: "Other", Domains: []string{"other.example", "elan.example"}})
		w.fails(err, fault.Conflict, "accn.dup")
		if p := get[account.AccountsPage](w)(w.Accounts(ctx, w.root, "", 50)); len(p.Accounts) != 1 {
			t.Errorf("%d accounts: one was made without its domain", len(p.Accounts))
		}
		w.account(100042, "ada@example.org")
		_, err = open("Other", "", "ada@example.org")
		w.fails(err, fault.Conflict, "people.elsewhere")

		for text, want := range map[string]int{"": 2, "éL": 1, "elan.example": 1, "100042": 1, "an": 0, "%": 0} {
			p := get[account.AccountsPage](w)(w.FindAccounts(ctx, w.root, account.AccountQuery{Text: text}, 50))
			if len(p.Accounts) != want {
				t.Errorf("%q finds %d", text, len(p.Accounts))
			}
		}
		w.ok(w.SuspendAccount(ctx, w.root, a.ID))
		p := get[account.AccountsPage](w)(w.FindAccounts(ctx, w.root, account.AccountQuery{State: store.AccountSuspended}, 50))
		if len(p.Accounts) != 1 || p.Accounts[0].ID != a.ID {
			t.Errorf("%+v", p)
		}
	})
}
