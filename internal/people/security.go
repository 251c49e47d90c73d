package people

import (
	"fmt"
	"image/color"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

const security = "/profile/security"

// securityPage is the tab of R13 with what proves who a person is, and where they are signed in.
type securityPage struct {
	web.Base
	Tabs     []web.Link
	Factors  account.Factors
	Passkeys bool   // this service takes passkeys
	Device   string // a first name for a new one
	Devices  []device
	Rule     string
}

type device struct {
	ID, Name    string
	Since, Seen time.Time
	Current     bool
}

func (p *People) securityPage(r *web.Request) (*securityPage, error) {
	page := &securityPage{Base: r.Base(r.T("sec.h1"), r.T("pr.h1")), Tabs: tabs(r), Passkeys: p.accounts.Passkeys(), Device: deviceName(r.Printer, r.UserAgent())}
	var err error
	if page.Rule, err = p.rule(r, r.User().AccountID); err != nil {
		return nil, err
	}
	if page.Factors, err = p.accounts.Factors(r.Context(), r.Session); err != nil {
		return nil, err
	}
	list, err := p.accounts.Sessions(r.Context(), r.Session)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		page.Devices = append(page.Devices, device{d.ID, deviceName(r.Printer, d.Client), d.CreatedAt, d.SeenAt, d.Current})
	}
	return page, nil
}

func (p *People) security(r *web.Request) error {
	page, err := p.securityPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "security", page)
}

func (p *People) changeSecurity(r *web.Request) (err error) {
	switch r.PostFormValue("do") {
	case "password":
		page, err := p.securityPage(r)
		if err != nil {
			return err
		}
		return p.changePassword(r, "security", page, security)
	case "signout-others":
		if _, err = p.accounts.SignOutOthers(r.Context(), r.Session); err == nil {
			r.Flash("ok", "me.outothers")
		}
	case "signout":
		if err = p.accounts.SignOutDevice(r.Context(), r.Session, r.PostFormValue("device")); err == nil {
			r.Flash("ok", "sec.signedout")
		}
	case "authenticator":
		if err = p.accounts.SetUpAuthenticator(r.Context(), r.Session); err == nil {
			return r.Redirect(security + "/authenticator")
		}
	case "remove-authenticator":
		if err = p.accounts.RemoveAuthenticator(r.Context(), r.Session); err == nil {
			r.Flash("ok", "totp.removed")
		}
	case "recovery":
		var codes []string
		if err = r.Once(func() (err error) {
			codes, err = p.accounts.NewRecoveryCodes(r.Context(), r.Session)
			return err
		}); err == nil {
			return p.showCodes(r, codes)
		}
		if fault.HasKey(err, "web.once") {
			return web.Retry(r, p.pages, "security", p.securityPage, err)
		}
	}
	if err != nil {
		return again(r, err, security)
	}
	return r.Redirect(security)
}

// again leads to the page that asks once more who this is, and then to next, if
// that is what err is about.
func again(r *web.Request, err error, next string) error {
	switch {
	case fault.HasKey(err, "second.again"):
		return r.Redirect("/second?next=" + next)
	case fault.HasKey(err, "proof.again"):
		return r.Redirect("/mailbox?next=" + next)
	}
	return err
}

// asksAgain reports whether err is what again leads somewhere for.
func asksAgain(err error) bool {
	return fault.HasKey(err, "second.again") || fault.HasKey(err, "proof.again")
}

// codesPage shows recovery codes, once.
type codesPage struct {
	web.Base
	Codes []string
}

func (p *People) showCodes(r *web.Request, codes []string) error {
	r.Self = security // the language link must not make others
	return r.Render(p.pages, "codes", &codesPage{r.Base(r.T("recovery.h1"), r.T("pr.h1")), codes})
}

// factorAdded goes on in the session that a new factor gave.
func (p *People) factorAdded(r *web.Request, s *account.Session, codes []string, key string) error {
	r.SetSession(s)
	if len(codes) > 0 {
		return p.showCodes(r, codes)
	}
	r.Flash("ok", key)
	return r.Redirect(security)
}

func (p *People) addPasskey(r *web.Request) error {
	r.Self = security
	s, codes, err := p.accounts.AddPasskey(r.Context(), r.Session, r.PostFormValue("name"), []byte(r.PostFormValue("answer")))
	if err == nil {
		return p.factorAdded(r, s, codes, "passkey.added")
	}
	if asksAgain(err) || !web.Mendable(err) {
		return again(r, err, security)
	}
	page, perr := p.securityPage(r)
	if perr != nil {
		return perr
	}
	return r.Again(p.pages, "security", page, err)
}

// passkeyPage is one passkey: to rename, or to remove.
type passkeyPage struct {
	web.Base
	account.Passkey
	Last bool // nothing else is left for a second factor
}

func (p *People) passkeyPage(r *web.Request) (*passkeyPage, error) {
	f, err := p.accounts.Factors(r.Context(), r.Session)
	if err != nil {
		return nil, err
	}
	for _, k := range f.Passkeys {
		if k.ID == r.PathValue("id") {
			return &passkeyPage{r.Base(k.Name, r.T("pr.h1")), k, len(f.Passkeys) == 1 && f.Authenticator == nil}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "e404.p")
}

func (p *People) passkey(r *web.Request) error {
	page, err := p.passkeyPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "passkey", page)
}

func (p *People) changePasskey(r *web.Request) error {
	page, err := p.passkeyPage(r)
	if err != nil {
		return err
	}
	if r.PostFormValue("do") == "remove" {
		if err := p.accounts.RemovePasskey(r.Context(), r.Session, page.ID); err != nil {
			return again(r, err, security)
		}
		r.Flash("ok", "passkey.removed", "name", page.Name)
		return r.Redirect(security)
	}
	if err := p.accounts.RenamePasskey(r.Context(), r.Session, page.ID, r.PostFormValue("name")); err != nil {
		return r.Again(p.pages, "passkey", page, err)
	}
	r.Flash("ok", "c.saved")
	return r.Redirect(security)
}

// authenticatorPage shows the seed of an authenticator app that is being set up.
type authenticatorPage struct {
	web.Base
	Seed string // in groups of four
	QR   qrCode
}

func (p *People) authenticatorPage(r *web.Request) (*authenticatorPage, error) {
	setUp, err := p.accounts.SettingUp(r.Context(), r.Session)
	if err != nil {
		return nil, err
	}
	page := &authenticatorPage{Base: r.Base(r.T("totp.h1"), r.T("pr.h1"))}
	for i := 0; i < len(setUp.Seed); i += 4 {
		page.Seed += " " + setUp.Seed[i:min(i+4, len(setUp.Seed))]
	}
	page.Seed = strings.TrimSpace(page.Seed)
	page.QR, err = drawQR(setUp.URI)
	return page, err
}

func (p *People) authenticator(r *web.Request) error {
	page, err := p.authenticatorPage(r)
	if fault.HasKey(err, "totp.none") {
		return r.Redirect(security)
	}
	if err != nil {
		return err
	}
	return r.Render(p.pages, "authenticator", page)
}

func (p *People) confirmAuthenticator(r *web.Request) error {
	s, codes, err := p.accounts.ConfirmAuthenticator(r.Context(), r.Session, r.PostFormValue("code"))
	if err == nil {
		return p.factorAdded(r, s, codes, "totp.added")
	}
	if !web.Mendable(err) {
		return again(r, err, security)
	}
	page, perr := p.authenticatorPage(r)
	if fault.HasKey(perr, "totp.none") {
		return r.Redirect(security)
	}
	if perr != nil {
		return perr
	}
	return r.Again(p.pages, "authenticator", page, err)
}

// qrCode is a QR code as the path of an SVG picture of Size units, with its quiet zone.
type qrCode struct {
	Size int
	Path string
}

func drawQR(text string) (qrCode, error) {
	const quiet = 4
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return qrCode{}, err
	}
	n := code.Bounds().Dx()
	var path strings.Builder
	for y := range n {
		for x := range n {
			if code.At(x, y) == color.Black {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return qrCode{n + 2*quiet, path.String()}, nil
}
