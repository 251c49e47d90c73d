package account_test

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

func logoFile(t *testing.T, width int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, 10))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An account's look changes as a whole or not at all, each value leaves a record,
// and it takes nobody's name.
func TestBranding(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ana, _ := w.account(100042, "ana@example.org")
		w.account(200007, "clara@elsewhere.example")
		if _, _, err := w.AddDomain(ctx, w.root, 100042, "example.org"); err != nil {
			w.Fatal(err)
		}
		actor := ana.Actor(here)
		set := func(number int64, pairs ...string) (account.BrandView, error) {
			var changes []account.Setting
			for i := 0; i+1 < len(pairs); i += 2 {
				changes = append(changes, account.Setting{Name: pairs[i], Value: pairs[i+1]})
			}
			return w.SetBranding(ctx, actor, number, changes)
		}
		first := get[account.BrandView](w)(w.Branding(ctx, actor, 100042))
		if first.Set() || first.Account != "Example Health" {
			w.Fatalf("%+v", first)
		}
		v := get[account.BrandView](w)(set(100042, "name", "Clinic of example.org", "color", "#0B5D5B", "contact", "help@example.org"))
		if v.Name != "Clinic of example.org" || v.Color != "#0b5d5b" || v.Revision == first.Revision {
			w.Fatalf("%+v", v)
		}
		if n := w.audit(100042, "brand.set", "done"); n != 3 {
			w.Errorf("%d records of 3 changes", n)
		}
		for _, bad := range [][]string{
			{"name", "evil.example"}, {"name", "Pli"}, {"color", "#808080"}, {"intro_en", "see https://evil.example"}, {"footer", "\u202e"}, {"name", "elsewhere.example"},
		} {
			_, err := set(100042, append(bad, "contact", "other@example.org")...)
			w.fails(err, fault.Invalid, "b.problem")
		}
		_, err := set(100042, "nothing", "x")
		w.fails(err, fault.Invalid, "people.setting")
		if now := get[account.BrandView](w)(w.Branding(ctx, actor, 100042)); now != v {
			w.Errorf("after refusals: %+v", now)
		}

		// Neither another account's name nor the one that it shows.
		get[store.Account](w)(w.CreateAccount(ctx, w.root, account.NewAccount{Number: 300001, Name: "Bank of Lutry"}))
		_, err = set(100042, "name", "BANK of  lutry")
		w.fails(err, fault.Invalid, "b.problem")
		get[account.BrandView](w)(w.SetBranding(ctx, w.root, 300001, []account.Setting{{Name: "name", Value: "Lutry Savings"}}))
		_, err = set(100042, "name", "lutry savings")
		w.fails(err, fault.Invalid, "b.problem")
		get[account.BrandView](w)(w.SetBranding(ctx, w.root, 300001, []account.Setting{{Name: "name", Value: ""}}))
		get[account.BrandView](w)(set(100042, "name", "Lutry Savings"))

		// Another account's is not there.
		_, err = set(200007, "name", "Mine")
		w.fails(err, fault.NotFound, "e404.h1")

		// A preview changes nothing.
		tried, picture, err := w.TryBranding(ctx, actor, 100042, []account.Setting{{Name: "footer", Value: "Lutry"}})
		w.ok(err)
		if tried.Footer != "Lutry" || picture != nil || get[account.BrandView](w)(w.Branding(ctx, actor, 100042)).Footer != "" {
			w.Errorf("a preview: %+v", tried)
		}

		// Of two who saw the same, one acts.
		seen := get[account.BrandView](w)(w.Branding(ctx, actor, 100042))
		matching := actor
		matching.IfMatch = seen.Revision
		get[account.BrandView](w)(w.SetLogo(ctx, matching, 100042, logoFile(w.T, 20)))
		for _, err := range []error{
			failure(w.SetLogo(ctx, matching, 100042, logoFile(w.T, 30))), failure(w.RemoveLogo(ctx, matching, 100042)),
			failure(w.ResetBranding(ctx, matching, 100042)), failure(w.SetBranding(ctx, matching, 100042, nil)),
		} {
			w.fails(err, fault.Stale, "api.stale")
		}
	})
}

func failure(_ account.BrandView, err error) error { return err }

// A logo is served by its hash while an account has it, and mails carry its picture.
func TestLogo(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ana, _ := w.account(100042, "ana@example.org")
		clara, _ := w.account(200007, "clara@elsewhere.example")
		v := get[account.BrandView](w)(w.SetLogo(ctx, ana.Actor(here), 100042, logoFile(w.T, 20)))
		hash := strings.TrimPrefix(v.LogoPath(), brand.Path)
		l := get[store.Logo](w)(w.Logo(ctx, hash))
		if l.MediaType != brand.TypePNG || len(l.Body) == 0 || v.MailLogo() == "" {
			w.Fatalf("%+v", v)
		}
		if _, picture, err := w.TryBranding(ctx, ana.Actor(here), 100042, nil); err != nil || len(picture) == 0 {
			w.Errorf("no picture for mails: %v", err)
		}
		// Two may have the same; one who takes it away leaves the other's.
		get[account.BrandView](w)(w.SetLogo(ctx, clara.Actor(here), 200007, logoFile(w.T, 20)))
		get[account.BrandView](w)(w.RemoveLogo(ctx, ana.Actor(here), 100042))
		get[store.Logo](w)(w.Logo(ctx, hash))
		get[account.BrandView](w)(w.ResetBranding(ctx, clara.Actor(here), 200007))
		_, err := w.Logo(ctx, hash)
		w.fails(err, fault.NotFound, "e404.h1")

		svg := get[account.BrandView](w)(w.SetLogo(ctx, ana.Actor(here), 100042, []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`)))
		if svg.MailLogo() != "" || svg.Logo.Type != brand.TypeSVG {
			w.Errorf("%+v", svg)
		}
		_, err = w.SetLogo(ctx, ana.Actor(here), 100042, []byte("GIF89a"))
		w.fails(err, fault.Invalid, "b.logo.kind")
		for action, n := range map[string]int{"brand.logo": 2, "brand.remove_logo": 1} {
			if got := w.audit(100042, action, "done"); got != n {
				w.Errorf("%d records of %s, not %d", got, action, n)
			}
		}
	})
}

// Where the operators turn it off, nothing is set and nothing is seen; what was
// set stays, and can be removed.
func TestBrandingOff(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ana, _ := w.account(100042, "ana@example.org")
		actor := ana.Actor(here)
		get[account.BrandView](w)(w.SetBranding(ctx, actor, 100042, []account.Setting{{Name: "name", Value: "Clinic"}}))
		get[account.SettingsView](w)(w.SetSettings(ctx, w.root, account.LimitsOf(100042), []account.Setting{{Name: "branding", Value: "false"}}))
		_, err := w.SetBranding(ctx, actor, 100042, []account.Setting{{Name: "name", Value: "Other"}})
		w.fails(err, fault.Denied, "off.branding")
		_, err = w.SetLogo(ctx, actor, 100042, logoFile(w.T, 20))
		w.fails(err, fault.Denied, "off.branding")
		v := get[account.BrandView](w)(w.Branding(ctx, actor, 100042))
		if !v.Off || v.Name != "Clinic" {
			w.Errorf("%+v", v)
		}
		if (policy.Settings{}).Look(v.Encode(), "Example Health").Set() {
			w.Error("it is seen")
		}
		if n := w.audit(100042, "brand.set", "refused"); n != 1 {
			w.Errorf("%d records of a refusal", n)
		}
		get[account.BrandView](w)(w.ResetBranding(ctx, actor, 100042))
	})
}
