package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// zone is a DNS that knows what it was told.
type zone struct {
	mu     sync.Mutex
	texts  map[string][]string
	broken bool
	asked  int
}

func (z *zone) TXT(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	if z.broken {
		return nil, errors.New("SERVFAIL")
	}
	return z.texts[name], nil
}

func (z *zone) set(r account.DNSRecord, more ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.texts[r.Name] = append([]string{r.Value}, more...)
}

func (w *world) zone() *zone {
	z := &zone{texts: map[string][]string{}}
	account.SetDNS(w.Service, z, "include:_spf.pli.example")
	return z
}

func TestClaimDomain(t *testing.T) {
	each(t, func(w *world) {
		ctx, z := w.Context(), w.zone()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		lea := w.user(100042, "lea@example.org")
		a, b := ada.Actor(here), bo.Actor(here)

		d := get[account.DomainView](w)(w.ClaimDomain(ctx, a, 100042, "Example.org"))
		if !d.Claimed || d.Name != "example.org" || d.Expects.Proof.Name != "_pli.example.org" || !strings.HasPrefix(d.Expects.Proof.Value, "pli-domain=") {
			t.Fatalf("%+v", d)
		}
		_, err := w.ClaimDomain(ctx, a, 100042, "example.org")
		w.fails(err, fault.Conflict, "dom.already")
		// Another account may say the same, and learns nothing; its record is another.
		other := get[account.DomainView](w)(w.ClaimDomain(ctx, b, 100043, "example.org"))
		if other.Expects.Proof == d.Expects.Proof {
			t.Error("two accounts prove with one record")
		}
		_, err = w.ClaimDomain(ctx, b, 100042, "example.net")
		w.fails(err, fault.NotFound, "e404.h1")
		_, err = w.CheckDomain(ctx, b, 100042, "example.org")
		w.fails(err, fault.NotFound, "e404.h1")

		verified := func() bool {
			return get[bool](w)(w.Verified(ctx, 100042, lea.ID, mailaddr.MustParse("lea@example.org")))
		}
		if d = get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "example.org")); !d.Claimed || verified() {
			t.Error("proved by nothing")
		}
		z.texts["_pli.example.org"] = []string{"pli-domain=somethingelse"}
		if d = get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "example.org")); !d.Claimed || d.Found != "pli-domain=somethingelse" {
			t.Errorf("%+v", d)
		}
		z.broken = true
		_, err = w.CheckDomain(ctx, a, 100042, "example.org")
		w.fails(err, fault.Invalid, "dom.dnsfailed")
		z.broken = false
		z.set(d.Expects.Proof, "something beside")
		if d = get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "example.org")); d.Claimed || !verified() || d.Checks.Proof.State != store.CheckOK {
			t.Errorf("%+v", d)
		}
		if n := w.audit(100042, "domain.verify", store.Done); n != 1 {
			t.Errorf("%d records of the proof", n)
		}
		// Whoever owns the domain may give it to one account only, until that one lets go (I17).
		z.texts["_pli.example.org"] = append(z.texts["_pli.example.org"], other.Expects.Proof.Value)
		_, err = w.CheckDomain(ctx, b, 100043, "example.org")
		w.fails(err, fault.Conflict, "people.domaintaken")
		w.ok(w.RemoveDomain(ctx, a, 100042, "example.org"))
		if verified() {
			t.Error("verified in a domain that was removed")
		}
		if d = get[account.DomainView](w)(w.CheckDomain(ctx, b, 100043, "example.org")); d.Claimed {
			t.Error("not the other's")
		}
	})
}

func TestDomainRecords(t *testing.T) {
	each(t, func(w *world) {
		ctx, z := w.Context(), w.zone()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		_, _, err := w.AddDomain(ctx, w.root, 100042, "mail.example.org")
		w.ok(err)
		check := func() store.DomainChecks {
			w.Helper()
			return get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "mail.example.org")).Checks
		}
		if c := check(); c.Proof.State != store.CheckNone || c.SPF.State != store.CheckMissing || c.DKIM.State != store.CheckNone || c.DMARC.State != store.CheckMissing {
			t.Errorf("nothing there: %+v", c)
		}
		for _, s := range []struct {
			record string
			more   map[string]string
			want   string
		}{
			{"v=spf1 mx -all", nil, store.CheckWrong},
			{"v=spf1 include:_spf.pli.example -all", nil, store.CheckOK},
			{"v=spf1 include:a.example -all", map[string]string{"a.example": "v=spf1 +include:_SPF.pli.example ?all"}, store.CheckOK},
			{"v=spf1 redirect=b.example", map[string]string{"b.example": "v=spf1 include:_spf.pli.example"}, store.CheckOK},
			{"v=spf1 include:mail.example.org", nil, store.CheckWrong}, // itself
			{"v=spf10 include:_spf.pli.example", nil, store.CheckMissing},
		} {
			for name, text := range s.more {
				z.texts[name] = []string{text}
			}
			z.texts["mail.example.org"] = []string{"google-site-verification=x", s.record}
			if c := check(); c.SPF.State != s.want {
				t.Errorf("%s: %+v", s.record, c.SPF)
			}
			advised := get[account.DomainView](w)(w.Domain(ctx, a, 100042, "mail.example.org")).Expects.SPF.Value
			want := map[string]string{store.CheckOK: s.record, store.CheckMissing: "v=spf1 mx include:_spf.pli.example ~all",
				store.CheckWrong: "v=spf1 include:_spf.pli.example" + strings.TrimPrefix(s.record, "v=spf1")}[s.want]
			if advised != want {
				t.Errorf("beside %s: %s", s.record, advised)
			}
		}
		z.texts["_dmarc.example.org"] = []string{"v=DMARC1; p=none"}
		if c := check(); c.DMARC.State != store.CheckWeak {
			t.Errorf("%+v", c.DMARC)
		}
		if v := get[account.DomainView](w)(w.Domain(ctx, a, 100042, "mail.example.org")).Expects.DMARC.Value; v != "v=DMARC1; p=none; rua=mailto:postmaster@mail.example.org" { // that of the domain above is not repeated
			t.Errorf("after reports: %s", v)
		}
		z.texts["_dmarc.mail.example.org"] = []string{"v=DMARC1;p=reject"}
		if c := check(); c.DMARC.State != store.CheckOK {
			t.Errorf("%+v", c.DMARC)
		}
	})
}

// A key signs once DNS shows it, and takes over from the one before, whose record stays for a week.
func TestDKIMKeys(t *testing.T) {
	each(t, func(w *world) {
		ctx, z := w.Context(), w.zone()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		_, err := w.MakeDKIMKey(ctx, a, 100042, "example.org")
		w.fails(err, fault.NotFound, "e404.h1")
		_, _, err = w.AddDomain(ctx, w.root, 100042, "example.org")
		w.ok(err)
		d := get[account.DomainView](w)(w.MakeDKIMKey(ctx, a, 100042, "example.org"))
		if len(d.Keys) != 1 || d.Keys[0].State != store.KeyWaiting || d.Keys[0].Selector != "pli-202611" || len(d.Expects.DKIM) != 1 {
			t.Fatalf("%+v", d)
		}
		_, err = w.MakeDKIMKey(ctx, a, 100042, "example.org")
		w.fails(err, fault.Conflict, "dom.keywaits")
		signing := func() (out []string) {
			w.Helper()
			for _, k := range get[[]account.SigningKey](w)(w.SigningKeys(ctx)) {
				out = append(out, k.Selector+"._domainkey."+k.Domain)
			}
			return out
		}
		w.ok(w.SweepDomains(ctx))
		if s := signing(); len(s) != 0 {
			t.Errorf("%v sign", s)
		}
		z.set(account.DNSRecord{Name: d.Expects.DKIM[0].Name, Value: strings.ReplaceAll(d.Expects.DKIM[0].Value, "; ", ";")})
		w.pass(11 * time.Minute)
		w.ok(w.SweepDomains(ctx))
		if s := signing(); len(s) != 1 || s[0] != "pli-202611._domainkey.example.org" {
			t.Errorf("%v sign", s)
		}
		d = get[account.DomainView](w)(w.MakeDKIMKey(ctx, a, 100042, "example.org"))
		if d.Keys[0].Selector != "pli-202611b" || signing()[0] != "pli-202611._domainkey.example.org" {
			t.Errorf("%+v", d.Keys)
		}
		state := func(i int) string { return d.KeyCheck(d.Expects.DKIM[i]).State }
		if len(d.Expects.DKIM) != 2 || state(0) != "" || state(1) != store.CheckOK {
			t.Errorf("before a look: %+v", d)
		}
		w.pass(time.Minute)
		d = get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "example.org"))
		if state(0) != store.CheckMissing || state(1) != store.CheckOK || d.Checks.DKIM.State != store.CheckMissing {
			t.Errorf("each record has its state: %+v", d.Checks)
		}
		d.Checks.Keys = nil // of a look before they were kept
		if state(1) != store.CheckMissing {
			t.Errorf("%+v", d.Checks)
		}
		z.set(d.Expects.DKIM[0])
		d = get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "example.org"))
		if s := signing(); len(s) != 1 || s[0] != "pli-202611b._domainkey.example.org" || d.Keys[1].State != store.KeyRetired || d.Checks.DKIM.State != store.CheckOK {
			t.Errorf("%v %+v", s, d.Keys)
		}
		w.pass(8 * 24 * time.Hour)
		w.ok(w.SweepDomains(ctx))
		if d = get[account.DomainView](w)(w.Domain(ctx, w.root, 100042, "example.org")); len(d.Keys) != 1 { // a's session has ended
			t.Errorf("%+v", d.Keys)
		}
		w.ok(w.RemoveDomain(ctx, w.root, 100042, "example.org"))
		if s := signing(); len(s) != 0 {
			t.Errorf("%v sign for a domain that is gone", s)
		}
	})
}

// Only members of the group that a domain names send under it.
func TestDomainSenders(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		other := w.admins(100043)
		a := ada.Actor(here)
		_, _, err := w.AddDomain(ctx, w.root, 100042, "example.org")
		w.ok(err)
		lea := w.user(100042, "lea@example.org")
		g := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Press"))
		verified := func() bool {
			return get[bool](w)(w.Verified(ctx, 100042, lea.ID, mailaddr.MustParse("lea@example.org")))
		}
		w.ok(w.SetDomainSenders(ctx, a, 100042, "example.org", g.ID))
		if verified() {
			t.Error("sends without being in the group")
		}
		_, err = w.AddMembers(ctx, a, 100042, g.ID, "lea@example.org", time.Time{})
		w.ok(err)
		if !verified() {
			t.Error("does not send in the group")
		}
		w.fails(w.SetDomainSenders(ctx, a, 100042, "example.org", other.ID), fault.NotFound, "e404.h1")
		w.ok(w.SetDomainSenders(ctx, a, 100042, "example.org", ""))
	})
}

// Nobody has the service ask DNS, or make a key, without the right to; nor ask
// without end, by one name or by many checks.
func TestDNSIsAskedWithMeasure(t *testing.T) {
	each(t, func(w *world) {
		ctx, z := w.Context(), w.zone()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		deep := strings.Repeat("a.", 100) + "example.org"
		for _, name := range []string{"example.org", deep} {
			_, _, err := w.AddDomain(ctx, w.root, 100042, name)
			w.ok(err)
		}
		auditors := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Auditors"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, auditors.ID, []store.Grant{{Right: store.RightAudit}}))
		lea := w.user(100042, "lea@example.org")
		get[account.AddResult](w)(w.AddMembers(ctx, a, 100042, auditors.ID, "lea@example.org", time.Time{}))
		l := account.Actor{Kind: account.KindUser, UserID: lea.ID, Address: lea.Address, Name: "Lea", Origin: here}
		get[account.DomainView](w)(w.Domain(ctx, l, 100042, "example.org"))
		_, err := w.CheckDomain(ctx, l, 100042, "example.org")
		w.fails(err, fault.Denied, "err.forbidden")
		_, err = w.MakeDKIMKey(ctx, l, 100042, "example.org")
		w.fails(err, fault.Denied, "err.forbidden")
		if z.asked != 0 || w.audit(100042, "domain.check", store.Refused) != 1 || w.audit(100042, "dkim.make", store.Refused) != 1 {
			w.Errorf("asked DNS %d times for who may not", z.asked)
		}
		z.texts["_dmarc.example.org"] = []string{"v=DMARC1; p=reject"}
		d := get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, deep))
		if z.asked > 10 || d.Checks.DMARC.State != store.CheckOK {
			w.Errorf("%d questions for one name, DMARC %+v", z.asked, d.Checks.DMARC)
		}
		checks := 0
		for ; checks < 500 && err != nil && !fault.Is(err, fault.TooMany); checks++ {
			if _, err = w.CheckDomain(ctx, a, 100042, "example.org"); err == nil {
				err = fault.New(fault.Denied, "go on")
			}
		}
		w.fails(err, fault.TooMany, "e429.p")
		w.pass(time.Hour)
		get[account.DomainView](w)(w.CheckDomain(ctx, a, 100042, "example.org"))
	})
}
