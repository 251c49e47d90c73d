package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Every setting of the table has its label in both languages.
func TestSettingsHaveLabels(t *testing.T) {
	t.Parallel()
	c, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "fr"} {
		for _, x := range policy.Table {
			if key := "po.s." + x.Name; c.Printer(lang, nil).T(key) == key {
				t.Errorf("%s: no %s", lang, key)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ana@example.org")
		at := account.SettingsOf(100042)
		changes := []account.Setting{{Name: "level", Value: "high"}, {Name: "online", Value: "false"}, {Name: "lease_days", Value: "3"}}
		if v := get[account.SettingsView](w)(w.Settings(w.Context(), w.root, at)); v.Stack.Settings() != policy.Effective(nil, nil, policy.Layer{"expiry_days": "0", "expiry_max": "0", "keep_days": "0"}) {
			w.Fatalf("%+v", v)
		}
		v := get[account.SettingsView](w)(w.SetSettings(w.Context(), w.root, at, changes))
		if s := v.Stack.Settings(); s.Level != policy.High || s.Online || s.LeaseDays != 3 {
			w.Fatalf("%+v", s)
		}
		for _, bad := range []account.Setting{{Name: "level", Value: "highest"}, {Name: "nothing", Value: "1"}, {Name: "nothing"}, {Name: "lease_days", Value: "-1"}, {Name: "quota_users", Value: "3"}} {
			_, err := w.SetSettings(w.Context(), w.root, at, []account.Setting{{Name: "reply", Value: "false"}, bad})
			want := "people.setting"
			if bad.Name == "nothing" {
				want = "people.nosetting"
			}
			w.fails(err, fault.Invalid, want)
		}
		again := get[account.SettingsView](w)(w.Settings(w.Context(), w.root, at))
		if again.Stack.Settings() != v.Stack.Settings() || again.Revision() != v.Revision() {
			w.Errorf("after a refusal: %+v", again)
		}
		if n := w.audit(100042, "account.settings", "done"); n != 3 {
			w.Errorf("%d records of 3 changes", n)
		}
		stale := w.root
		stale.IfMatch = "another"
		_, err := w.SetSettings(w.Context(), stale, at, []account.Setting{{Name: "lease_days"}})
		w.fails(err, fault.Stale, "api.stale")
		stale.IfMatch = again.Revision()
		v = get[account.SettingsView](w)(w.SetSettings(w.Context(), stale, at, []account.Setting{{Name: "lease_days"}}))
		if f := v.Stack.Find("lease_days"); f.Value != "0" || f.From != policy.FromDefault {
			w.Errorf("taken back: %+v", f)
		}
	})
}

// What operators say for all or for one account binds it, whoever changed it last.
func TestSettingsInLayers(t *testing.T) {
	each(t, func(w *world) {
		sess, _ := w.account(100042, "ana@example.org")
		ana := sess.Actor("192.0.2.1")
		own := account.SettingsOf(100042)
		set := func(at account.Place, by account.Actor, name, value string) error {
			_, err := w.SetSettings(w.Context(), by, at, []account.Setting{{Name: name, Value: value}})
			return err
		}
		w.ok(set(own, ana, "expiry_max", "90"))
		w.ok(set(account.OfSite(), w.root, "expiry_max", "60"))
		w.ok(set(account.LimitsOf(100042), w.root, "forward", "false"))
		v := get[account.SettingsView](w)(w.Settings(w.Context(), ana, own))
		if f := v.Stack.Find("expiry_max"); f.Value != "60" || f.From != policy.FromSite {
			w.Errorf("%+v", f)
		}
		for _, c := range []struct{ name, value, key string }{
			{"expiry_max", "61", "po.conflict.days.site"}, {"forward", "true", "po.conflict.word.limits"}, {"expiry_days", "61", "po.conflict.days.site"},
		} {
			err := set(own, ana, c.name, c.value)
			w.fails(err, fault.Invalid, c.key)
			if f := fault.Of(err).Fields; len(f) != 1 || f[0].Name != c.name {
				w.Errorf("%s: %+v", c.name, f)
			}
		}
		w.fails(set(account.LimitsOf(100042), w.root, "expiry_max", "61"), fault.Invalid, "po.conflict.days.site")
		// An old value that is beyond what is allowed by now hinders no other change.
		w.ok(set(own, ana, "lease_days", "2"))
		// Administrators change neither their limits nor the site.
		w.fails(set(account.LimitsOf(100042), ana, "forward", ""), fault.Denied, "err.forbidden")
		w.fails(set(account.OfSite(), ana, "expiry_max", ""), fault.Denied, "err.forbidden")
		if _, err := w.Settings(w.Context(), ana, account.OfSite()); !fault.Is(err, fault.Denied) {
			w.Error(err)
		}
		if n := w.audit(100042, "account.limits", "done"); n != 1 {
			w.Errorf("%d records", n)
		}
		if n := w.audit(0, "site.settings", "done"); n != 1 {
			w.Errorf("%d records of the site", n)
		}
	})
}

// Each change of a layer is in its history, and one that stands can be undone by who
// may change it; the undoing is a change like others.
func TestUndoSetting(t *testing.T) {
	each(t, func(w *world) {
		sess, _ := w.account(100042, "ana@example.org")
		ana, ctx := sess.Actor("192.0.2.1"), w.Context()
		ward := get[store.Group](w)(w.AddGroup(ctx, ana, 100042, "Ward"))
		aud := get[store.Group](w)(w.AddGroup(ctx, ana, 100042, "Auditors"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, ana, 100042, aud.ID, []store.Grant{{Right: store.RightAudit}}))
		w.user(100042, "ida@example.org")
		get[account.AddResult](w)(w.AddMembers(ctx, ana, 100042, aud.ID, "ida@example.org", time.Time{}))
		ida := w.signIn("ida@example.org", better).Actor(here)
		for _, c := range []struct {
			at account.Place
			by account.Actor
		}{{account.SettingsOfGroup(100042, ward.ID), ana}, {account.SettingsOf(100042), ana}, {account.LimitsOf(100042), w.root}, {account.OfSite(), w.root}} {
			name := c.at.Layer
			set := func(value string) {
				t.Helper()
				get[account.SettingsView](w)(w.SetSettings(ctx, c.by, c.at, []account.Setting{{Name: "expiry_max", Value: value}}))
			}
			set("90")
			set("60")
			set("45")
			list := get[account.SettingsHistoryPage](w)(w.SettingsHistory(ctx, c.by, c.at, "", 2))
			if len(list.Changes) != 2 || list.Next == "" || !list.Changes[0].Stands || list.Changes[1].Stands || list.Changes[0].Was != "60" || list.Changes[0].Value != "45" {
				t.Fatalf("%s: %+v", name, list)
			}
			first := get[account.SettingsHistoryPage](w)(w.SettingsHistory(ctx, c.by, c.at, list.Next, 2))
			if len(first.Changes) != 1 || first.Next != "" || first.Changes[0].Value != "90" {
				t.Fatalf("%s: %+v", name, first)
			}
			w.fails(second(w.UndoSetting(ctx, c.by, c.at, list.Changes[1].ID)), fault.Conflict, "po.moved")
			if c.by.UserID != "" {
				get[account.SettingsHistoryPage](w)(w.SettingsHistory(ctx, ida, c.at, "", 2))
			}
			w.fails(second(w.UndoSetting(ctx, ida, c.at, list.Changes[0].ID)), fault.Denied, "err.forbidden")
			v := get[account.SettingsView](w)(w.UndoSetting(ctx, c.by, c.at, list.Changes[0].ID))
			if v.Said()["expiry_max"] != "60" {
				t.Errorf("%s: undone: %v", name, v.Said())
			}
			for _, other := range []account.Place{account.SettingsOf(100042), account.LimitsOf(100042), account.OfSite()} {
				if other != c.at {
					w.fails(second(w.UndoSetting(ctx, w.root, other, list.Changes[0].ID)), fault.NotFound, "e404.h1")
				}
			}
			if list = get[account.SettingsHistoryPage](w)(w.SettingsHistory(ctx, c.by, c.at, "", 9)); len(list.Changes) != 4 || list.Changes[0].Value != "60" || !list.Changes[0].Stands {
				t.Errorf("%s: %+v", name, list)
			}
		}
	})
}

// The users of an account are bound by its quota and, where it takes no guests,
// by its domains, whichever way they come.
func TestWhoMayBeUser(t *testing.T) {
	each(t, func(w *world) {
		sess, _ := w.account(100042, "ana@example.org")
		ana := sess.Actor("192.0.2.1")
		if _, _, err := w.AddDomain(w.Context(), w.root, 100042, "example.org"); err != nil {
			w.Fatal(err)
		}
		set := func(at account.Place, by account.Actor, name, value string) {
			w.Helper()
			_, err := w.SetSettings(w.Context(), by, at, []account.Setting{{Name: name, Value: value}})
			w.ok(err)
		}
		add := func(address string) error {
			_, err := w.AddUser(w.Context(), ana, 100042, account.NewUser{Address: address, FirstName: "A", LastName: "B",
				Password: good, Confirm: good, EnforceExpiry: true})
			return err
		}
		set(account.SettingsOf(100042), ana, "guests", "false")
		w.fails(add("eve@elsewhere.test"), fault.Denied, "off.guests")
		_, err := w.Invite(w.Context(), ana, 100042, "", "eve@elsewhere.test", time.Time{})
		w.fails(err, fault.Denied, "off.guests")
		set(account.LimitsOf(100042), w.root, "quota_users", "2")
		w.ok(add("bob@example.org"))
		w.fails(add("carol@example.org"), fault.Closed, "quota.users")
		_, err = w.Invite(w.Context(), ana, 100042, "", "carol@example.org", time.Time{})
		w.fails(err, fault.Closed, "quota.users")
		u := get[account.UserView](w)(w.UserByAddress(w.Context(), ana, 100042, "bob@example.org"))
		if _, err := w.DeleteUser(w.Context(), ana, 100042, u.ID); err != nil {
			w.Fatal(err)
		}
		w.ok(add("carol@example.org"))
		v := get[account.SettingsView](w)(w.Settings(w.Context(), w.root, account.LimitsOf(100042)))
		if v.Usage.Users != 2 {
			w.Errorf("%+v", v.Usage)
		}
		var f *fault.Error
		if errors.As(err, &f) && f.Args["n"] != 2 {
			w.Errorf("%+v", f)
		}
	})
}

// Whoever has no account opens with a code where the site makes none.
func TestEnrolOff(t *testing.T) {
	each(t, func(w *world) {
		_, err := w.SetSettings(w.Context(), w.root, account.OfSite(), []account.Setting{{Name: "enrol", Value: "false"}})
		w.ok(err)
		_, err = w.Enrol(w.Context(), w.proven("lea@example.net"), account.Enrolment{FirstName: "Lea", LastName: "M", Password: better, Confirm: better})
		w.fails(err, fault.Denied, "off.enrol")
	})
}

// What a change would have meant is counted, and nothing changes.
func TestTrySettings(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ana@example.org")
		at := account.SettingsOf(100042)
		e, err := w.TrySettings(w.Context(), w.root, at, []account.Setting{{Name: "expiry_max", Value: "7"}})
		if err != nil || e.Sent != 0 || e.To.Sub(e.From) < 22*time.Hour {
			w.Errorf("%+v, %v", e, err)
		}
		w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
			for i, life := range []time.Duration{5, 30, 0} {
				m := store.Message{ID: strings.Repeat("0", 31) + string(rune('1'+i)), AccountID: 100042, SenderAddress: "ana@example.org", Carrier: store.CarrierMail, MH: []byte{1}, HH: []byte{1}, PH: []byte{1}, Seal: []byte{1}, Card: []byte{1}}
				if life > 0 {
					m.ExpiresAt = tx.Now.Add(life * 24 * time.Hour)
				}
				if i == 0 {
					m.Policy = policy.Permissions{Level: policy.High}.Encode()
				}
				if err := tx.InsertMessage(m); err != nil {
					return err
				}
			}
			return nil
		}))
		w.pass(24 * time.Hour)
		e, err = w.TrySettings(w.Context(), w.root, at, []account.Setting{{Name: "expiry_max", Value: "7"}, {Name: "level", Value: "high"}, {Name: "reply", Value: "false"}})
		if err != nil || e.Sent != 3 || e.Ends != 2 || e.Levels != 2 || e.Replies != 3 || e.Forwards != 0 {
			w.Errorf("%+v, %v", e, err)
		}
		if n := w.audit(100042, "account.settings", "done"); n != 0 {
			w.Errorf("%d records", n)
		}
	})
}
