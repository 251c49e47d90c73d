package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// token makes an API token of the actor, and returns who acts by it.
func (w *world) token(by account.Actor, number int64, days int, scopes ...string) (account.Actor, account.TokenView, id.Token) {
	w.Helper()
	v, secret, err := w.MakeToken(w.Context(), by, number, account.NewToken{Name: "a program", Scopes: scopes, Days: days})
	w.ok(err)
	return w.bearer(secret), v, secret
}

func (w *world) bearer(secret id.Token) account.Actor {
	w.Helper()
	s := get[*account.Session](w)(w.TokenSession(w.Context(), secret))
	return s.Actor(here)
}

// What a token began, an invitation or a merge, gives no more than the token has when
// it takes effect: not what its maker has, and nothing after its end (AT-56).
func TestWhatATokenBegan(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		token, v, _ := w.token(ada.Actor(here), 100042, 5, store.RightUsers)
		plain, staff := w.group(ada, "Plain"), w.group(ada, "Staff")
		asked := func(group, address string) account.InvitationLetter {
			get[account.Pending](w)(w.Invite(ctx, token, 100042, group, address, time.Time{}))
			letter, _ := last[account.InvitationLetter](w.mail)
			return letter
		}
		early, late := asked(staff.ID, "early@example.net"), asked(plain.ID, "late@example.net")
		keep, gone := w.user(100042, "lea@example.org"), w.user(100042, "lea.old@example.org")
		get[account.Merge](w)(w.ProposeMerge(ctx, token, 100042, keep.ID, gone.Address))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, ada.Actor(here), 100042, staff.ID, []store.Grant{{Right: store.RightAudit}}))
		w.into(ada, staff, gone.Address)

		accept := func(letter account.InvitationLetter) account.UserView {
			get[*account.Session](w)(w.AcceptInvitation(ctx, w.visit(), letter.Token, account.Enrolment{FirstName: "X", Password: better, Confirm: better}))
			return get[account.UserView](w)(w.UserByAddress(ctx, w.root, 100042, letter.To.Canonical()))
		}
		if u := accept(early); len(u.Groups) != 0 || len(u.Rights) != 0 {
			w.Errorf("by an invitation of a token without that right: %+v", u.Groups)
		}
		s := w.signIn("lea@example.org", better)
		codeKeep, codeGone := w.mergeCodes(s)
		w.fails(second(w.ConfirmMerge(ctx, s, codeKeep, codeGone)), fault.Conflict, "merge.stale")

		get[account.GroupRights](w)(w.SetGroupRights(ctx, ada.Actor(here), 100042, plain.ID, []store.Grant{{Right: store.RightUsers}}))
		w.ok(second(w.RevokeToken(ctx, ada.Actor(here), 100042, v.ID)))
		if u := accept(late); len(u.Groups) != 0 {
			w.Errorf("by an invitation of a token that has ended: %+v", u.Groups)
		}
	})
}

// A token does what its scopes name and its maker may do at that moment, and
// nothing else (AT-56).
func TestTokenScopes(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		users, v, _ := w.token(h.ada, 100042, 30, store.RightUsers)
		if !slices.Equal(v.Scopes, []string{store.RightUsers}) {
			t.Errorf("made %+v", v)
		}
		get[account.UsersPage](w)(w.Users(ctx, users, 100042, "", "", "", 5))
		g := get[store.Group](w)(w.AddGroup(ctx, users, 100042, "By a program"))
		for name, err := range map[string]error{
			"reads the log":                    second(w.Audit(ctx, users, 100042, "", 5)),
			"sets a rule":                      second(w.SetRules(ctx, users, 100042, `default = "seal"`)),
			"lists tokens":                     second(w.Tokens(ctx, users, 100042, "", 5)),
			"makes a token":                    second2(w.MakeToken(ctx, users, 100042, account.NewToken{Name: "x", Scopes: []string{store.RightUsers}, Days: 1})),
			"revokes itself":                   second(w.RevokeToken(ctx, users, 100042, v.ID)),
			"blocks an administrator":          second(w.BlockUser(ctx, users, 100042, h.ada.UserID)),
			"adds to the administrators":       second(w.AddMembers(ctx, users, 100042, h.admins, "otto@example.org", time.Time{})),
			"gives a right that it has not":    second(w.SetGroupRights(ctx, users, 100042, g.ID, []store.Grant{{Right: store.RightAudit}})),
			"resets who reads the log":         second(w.ResetPassword(ctx, users, 100042, h.log.UserID, temp, temp)),
			"claims a domain":                  second(w.ClaimDomain(ctx, users, 100042, "new.example")),
			"acts by a scope that is no right": second(w.Users(ctx, first(w.token(h.ada, 100042, 30, store.ScopeSend)), 100042, "", "", "", 5)),
		} {
			if !fault.Is(err, fault.Denied) {
				t.Errorf("a token over people %s: %v", name, err)
			}
		}
		if w.audit(100042, "token.make", store.Refused) == 0 {
			t.Error("no record of a refusal")
		}
		r := get[account.AuditPage](w)(w.Audit(ctx, h.ada, 100042, "", 100))
		if !slices.ContainsFunc(r.Records, func(x store.AuditRow) bool { return x.Action == "group.add" && x.Detail["token"] == v.ID }) {
			t.Error("the log does not say by which token")
		}
	})
}

func first(a account.Actor, _ account.TokenView, _ id.Token) account.Actor { return a }
func second2(_ account.TokenView, _ id.Token, err error) error             { return err }

// A token ends with its time, with its maker's right, with its maker, with its
// account, and when it is revoked; in the middle of an act too.
func TestTokenEnds(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		integrators := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, "Integrators"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, integrators.ID, []store.Grant{{Right: store.RightIntegrations}, {Right: store.RightUsers}}))
		ivan := w.user(100042, "ivan@example.org")
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, integrators.ID, "ivan@example.org", time.Time{}))
		by := func() account.Actor { return w.signIn("ivan@example.org", better).Actor(here) }
		try := func(a account.Actor) error { return second(w.Users(ctx, a, 100042, "", "", "", 5)) }
		gone := func(name string, a account.Actor, secret id.Token) {
			t.Helper()
			if err := try(a); !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: acts: %v", name, err)
			}
			if _, err := w.TokenSession(ctx, secret); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: comes in: %v", name, err)
			}
		}
		a, _, secret := w.token(by(), 100042, 1, store.RightUsers)
		w.ok(try(a))

		_, _, err := w.RemoveMember(ctx, h.ada, 100042, integrators.ID, ivan.ID) // demoted: it comes in, and may nothing
		w.ok(err)
		if err := try(a); !fault.Is(err, fault.Denied) {
			t.Errorf("demoted: %v", err)
		}
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, integrators.ID, "ivan@example.org", time.Time{}))
		w.ok(try(a))

		get[store.User](w)(w.BlockUser(ctx, h.ada, 100042, ivan.ID))
		gone("blocked", a, secret)
		get[store.User](w)(w.UnblockUser(ctx, h.ada, 100042, ivan.ID))
		gone("unblocked", a, secret)
		a, _, secret = w.token(by(), 100042, 1, store.RightUsers)
		w.ok(try(a))

		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		gone("suspended", a, secret)
		w.ok(w.ResumeAccount(ctx, w.root, 100042))
		h.ada = w.signIn("ada@example.org", good).Actor(here)

		get[store.User](w)(w.ResetPassword(ctx, h.ada, 100042, ivan.ID, temp, temp))
		gone("temporary password", a, secret)

		w.pass(25 * time.Hour)
		gone("expired", a, secret)
		h.ada = w.signIn("ada@example.org", good).Actor(here)
		b, v2, secret2 := w.token(h.ada, 100042, 1, store.RightUsers, store.RightIntegrations)
		w.ok(try(b))
		get[store.APIToken](w)(w.RevokeToken(ctx, h.ada, 100042, v2.ID))
		gone("revoked", b, secret2)
		if p := get[account.TokensPage](w)(w.Tokens(ctx, h.ada, 100042, "", 5)); len(p.Tokens) != 0 {
			t.Errorf("left %+v", p.Tokens)
		}
		c, _, secret3 := w.token(by2(w, h), 100042, 1, store.RightUsers)
		w.ok(try(c))
		get[store.User](w)(w.DeleteUser(ctx, w.root, 100042, c.UserID))
		gone("deleted", c, secret3)
	})
}

// by2 is another administrator.
func by2(w *world, h *ward) account.Actor {
	w.user(100042, "bea@example.org")
	get[account.AddResult](w)(w.AddMembers(w.Context(), h.ada, 100042, h.admins, "bea@example.org", time.Time{}))
	return w.signIn("bea@example.org", better).Actor(here)
}

// Nobody gives a token more than they have, nor a token another more than itself;
// and none is anything in another account.
func TestTokenGivesNoMore(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		bo, _ := w.account(100043, "bo@example.com")
		make := func(a account.Actor, days int, scopes ...string) error {
			return second2(w.MakeToken(ctx, a, 100042, account.NewToken{Name: "x", Scopes: scopes, Days: days}))
		}
		by, v, _ := w.token(h.ada, 100042, 10, store.RightIntegrations, store.RightUsers)
		w.ok(make(by, 10, store.RightUsers))
		for name, err := range map[string]error{
			"a right that the token has not": make(by, 10, store.RightAudit),
			"to send":                        make(by, 10, store.ScopeSend),
			"longer than itself":             make(by, 11, store.RightUsers),
			"no right to integrations":       make(h.desk, 10, store.RightUsers),
		} {
			if !fault.Is(err, fault.Denied) {
				t.Errorf("a token %s: %v", name, err)
			}
		}
		w.fails(make(h.ada, 10), fault.Invalid, "tok.noscope")
		w.fails(make(h.ada, 10, "all"), fault.Invalid, "tok.scope")
		w.fails(make(h.ada, 0, store.RightUsers), fault.Invalid, "tok.days")
		w.fails(make(h.ada, 366, store.RightUsers), fault.Invalid, "tok.days")
		integrators := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, "Integrators"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, integrators.ID, []store.Grant{{Right: store.RightIntegrations}}))
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, integrators.ID, "otto@example.org", time.Time{}))
		otto := w.signIn("otto@example.org", better).Actor(here)
		w.fails(make(otto, 10, store.RightUsers), fault.Denied, "rt.beyond")
		w.ok(make(otto, 10, store.ScopeSend, store.RightIntegrations))
		_, _, err := w.MakeToken(ctx, otto, 100042, account.NewToken{UserID: h.ada.UserID, Name: "x", Scopes: []string{store.RightUsers}, Days: 1})
		w.fails(err, fault.NotFound, "e404.h1")
		// AT-59: another account's.
		w.fails(second(w.Users(ctx, by, 100043, "", "", "", 5)), fault.NotFound, "e404.h1")
		for _, a := range []account.Actor{bo.Actor(here), first(w.token(bo.Actor(here), 100043, 5, store.RightIntegrations))} {
			w.fails(second(w.RevokeToken(ctx, a, 100042, v.ID)), fault.NotFound, "e404.h1")
			w.fails(second(w.RevokeToken(ctx, a, 100043, v.ID)), fault.NotFound, "e404.h1")
		}
		// Who takes another's token's name is not it.
		forged := bo.Actor(here)
		forged.TokenID = v.ID
		w.fails(second(w.Users(ctx, forged, 100043, "", "", "", 5)), fault.Denied, "tok.beyond")
		get[account.UsersPage](w)(w.Users(ctx, by, 100042, "", "", "", 5))
	})
}

// All tokens are listed, page by page, each once.
func TestTokenPages(t *testing.T) {
	each(t, func(w *world) {
		ada, _ := w.account(100042, "ada@example.org")
		seen := map[string]bool{}
		for range 7 {
			w.token(ada.Actor(here), 100042, 5, store.ScopeSend)
		}
		for after := ""; ; {
			p := get[account.TokensPage](w)(w.Tokens(w.Context(), ada.Actor(here), 100042, after, 3))
			for _, x := range p.Tokens {
				if seen[x.ID] || x.Maker.ID != ada.UserID {
					t.Errorf("twice, or of somebody else: %+v", x)
				}
				seen[x.ID] = true
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if len(seen) != 7 {
			t.Errorf("%d of 7", len(seen))
		}
	})
}

// The answer of a first call is not given again to who has lost the right to make it.
func TestOnceAsksForTheRight(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		call := get[account.Once](w)(w.Once(ctx, h.desk, "addUser", "k", []byte("{}")))
		w.ok(w.Answered(ctx, call, 201, []byte("a secret")))
		mine := get[account.Once](w)(w.Once(ctx, h.lead, "send", "k", []byte("{}")))
		w.ok(w.Answered(ctx, mine, 201, []byte("sent")))
		if again := get[account.Once](w)(w.Once(ctx, h.desk, "addUser", "k", []byte("{}"))); string(again.Answer) != "a secret" {
			w.Errorf("with the right: %+v", again)
		}
		desk := get[account.UserView](w)(w.UserByAddress(ctx, h.ada, 100042, "desk@example.org"))
		_, _, err := w.RemoveMember(ctx, h.ada, 100042, h.desks.ID, desk.ID)
		w.ok(err)
		w.fails(second(w.Once(ctx, h.desk, "addUser", "k", []byte("{}"))), fault.Denied, "api.retry.rights")
		// Who has got more meanwhile is answered.
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.logs.ID, "lead@example.org", time.Time{}))
		if again := get[account.Once](w)(w.Once(ctx, h.lead, "send", "k", []byte("{}"))); string(again.Answer) != "sent" {
			w.Errorf("with one right more: %+v", again)
		}
	})
}
