package console

import (
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/web"
)

// brandingPage is A15.
type brandingPage struct {
	head
	View      account.BrandView
	Langs     []web.Option // of the preview
	Themes    []web.Option
	Contrast  string // what is said of the colour, "" without one
	Style     string // address of the colour's style sheet, "" for none
	Preview   string // addresses of the previews, without what; "" before there is one
	Texts     []brandText
	MaxLogo   int // KB
	MaxSide   int
	MailPlain bool // the logo is none that mails can carry
}

// brandText is one value, for who may only read.
type brandText struct{ Label, Value string }

// Limit is how many characters a field may have.
func (p *brandingPage) Limit(name string) int { return brand.Limit(name) }

func (c *Console) brandingPage(r *web.Request) (*brandingPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	v, err := c.accounts.Branding(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	page := &brandingPage{head: headOf(r, a, r.T("b.h1")), View: v, MaxLogo: brand.MaxLogo >> 10, MaxSide: brand.MaxSide,
		MailPlain: v.LogoPath() != "" && v.MailLogo() == ""}
	page.Path = accountPath(a.ID) + "/branding"
	for _, name := range brand.Fields {
		page.Texts = append(page.Texts, brandText{r.T("b." + name), *v.Field(name)})
	}
	page.Langs = []web.Option{{Value: "en", Text: "English", Selected: r.Printer.Lang != "fr"}, {Value: "fr", Text: "Français", Selected: r.Printer.Lang == "fr"}}
	page.Themes = []web.Option{{Value: "light", Text: r.T("b.light"), Selected: true}, {Value: "dark", Text: r.T("b.dark")}}
	page.weigh(r, v.Color)
	return page, nil
}

// weigh says whether text on a colour can be read.
func (p *brandingPage) weigh(r *web.Request, color string) {
	p.Contrast, p.Style = contrast(r, color)
}

func contrast(r *web.Request, color string) (text, style string) {
	c, ok := brand.ParseColor(strings.TrimSpace(color))
	switch {
	case strings.TrimSpace(color) == "":
		return "", ""
	case !ok:
		return r.T("b.bad.color"), ""
	case c.Ratio() < brand.Readable:
		return r.T("b.contrast", "ratio", brand.ShowRatio(c.Ratio()), "hex", c.Closest().String()), ""
	}
	return r.T("b.contrast.ok", "ratio", brand.ShowRatio(c.Ratio())), c.StylePath()
}

func (c *Console) branding(r *web.Request) error {
	page, err := c.brandingPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "branding", page)
}

// brandForm are the typed values.
func brandForm(values url.Values) (out []account.Setting) {
	for _, name := range brand.Fields {
		if v, ok := values[name]; ok {
			out = append(out, account.Setting{Name: name, Value: v[0]})
		}
	}
	return out
}

// setBranding saves the texts and the colour, or shows how they would look.
func (c *Console) setBranding(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "e404.p").Because(err)
	}
	changes := brandForm(r.PostForm)
	if r.PostFormValue("do") == "preview" {
		_, _, err = c.accounts.TryBranding(r.Context(), r.Actor(), n, changes)
	} else {
		_, err = c.accounts.SetBranding(r.Context(), asSeen(r), n, changes)
	}
	if err == nil && r.PostFormValue("do") != "preview" {
		r.Flash("ok", "b.saved")
		return r.Redirect(accountPath(n) + "/branding")
	}
	if err != nil && !web.Mendable(err) {
		return err
	}
	page, failed := c.brandingPage(r)
	if failed != nil {
		return failed
	}
	page.Input = r.PostForm
	page.weigh(r, r.PostFormValue("color"))
	if err != nil {
		return r.Again(c.pages, "branding", page, err)
	}
	q := url.Values{"in": {r.PostFormValue("plang")}, "theme": {r.PostFormValue("ptheme")}}
	for _, x := range changes {
		q.Set(x.Name, x.Value)
	}
	page.Preview = page.Path + "/preview?" + q.Encode()
	return r.Render(c.pages, "branding", page)
}

// brandContrast says while one types whether text on a colour can be read.
func (c *Console) brandContrast(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if _, err := c.accounts.Branding(r.Context(), r.Actor(), n); err != nil {
		return err
	}
	text, style := contrast(r, r.URL.Query().Get("color"))
	return r.JSON(struct {
		Text  string `json:"text"`
		Style string `json:"style"`
	}{text, style})
}

func (c *Console) setLogo(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	_, file, err := upload(r)
	var raw []byte
	if err == nil && file != nil {
		raw, err = io.ReadAll(io.LimitReader(file, brand.MaxLogo+1))
	}
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		raw, err = make([]byte, brand.MaxLogo+1), nil
	}
	if err == nil || fault.HasKey(err, "im.nofile") {
		_, err = c.accounts.SetLogo(r.Context(), r.Actor(), n, raw)
	}
	if err != nil {
		return web.Retry(r, c.pages, "branding", c.brandingPage, err)
	}
	r.Flash("ok", "b.logo.saved")
	return r.Redirect(accountPath(n) + "/branding")
}

func (c *Console) removeLogo(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if _, err := c.accounts.RemoveLogo(r.Context(), r.Actor(), n); err != nil {
		return err
	}
	r.Flash("ok", "b.logo.removed")
	return r.Redirect(accountPath(n) + "/branding")
}

func (c *Console) resetBranding(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if _, err := c.accounts.ResetBranding(r.Context(), r.Actor(), n); err != nil {
		return err
	}
	r.Flash("ok", "b.reset.done")
	return r.Redirect(accountPath(n) + "/branding")
}

// brandPreview is the opening page, with an envelope that there is not.
type brandPreview struct {
	web.Base
	Sender, Address, Domain string
	Until                   time.Time
}

// previewBranding is how the opening page or the mail (what=mail) looks with the
// values in the query, in a frame of the branding page: without script, and
// with nothing that leads on.
func (c *Console) previewBranding(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	v, picture, err := c.accounts.TryBranding(r.Context(), r.Actor(), n, brandForm(q))
	if err != nil {
		return err
	}
	lang, dark := "en", q.Get("theme") == "dark"
	if q.Get("in") == "fr" {
		lang = "fr"
	}
	look := v.Of(v.Account)
	if picture == nil {
		look.Logo.Width = 0
	}
	sender, domain, until := r.T("b.sample"), "example.org", c.accounts.Now().AddDate(0, 0, 30)
	own, err := c.accounts.Domains(r.Context(), r.Actor(), n)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		domain = own[0].Name
	}
	address := "claire.roux@" + domain
	h := r.W.Header()
	h.Set("X-Frame-Options", "SAMEORIGIN")
	if q.Get("what") == "mail" {
		mail, err := c.words.Envelope(notice.Languages{Order: []string{lang}}, notice.Envelope{
			Sender: sender, SenderAddress: address, Organisation: look.Organisation(v.Account), Look: look, To: "jean.martin@example.net",
			Ref: "7KQ42F", ExpiresAt: until, KeptUntil: until, File: "securedoc_20261123T135800.html"})
		if err != nil {
			return err
		}
		// What a mail program does by the reader's appearance is done by the form's.
		scheme := "(max-width:0)"
		if dark {
			scheme = "all"
		}
		html := strings.ReplaceAll(mail.HTML, "(prefers-color-scheme:dark)", scheme)
		html = strings.ReplaceAll(html, "cid:"+look.MailLogo(), "data:image/png;base64,"+base64.StdEncoding.EncodeToString(picture))
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox")
		return r.Raw("text/html; charset=utf-8", []byte(html))
	}
	// In a sandbox 'self' is nobody, so the address is spelled out.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+c.origin+"; img-src "+c.origin+"; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox")
	page := &brandPreview{Base: r.Base(), Sender: sender, Address: address, Domain: domain, Until: until}
	page.Printer = c.catalogue.Printer(lang, r.Printer.Zone)
	page.Self, page.Title, page.Plain, page.Nav, page.Base.Address, page.Demo, page.Version = "", page.T("open.h1"), true, nil, "", "", ""
	page.Theme, page.Brand = "light", look
	if dark {
		page.Theme = "dark"
	}
	return r.Render(c.pages, "branding-preview", page)
}

// PreviewURL is the address of one preview.
func (p *brandingPage) PreviewURL(what string) template.URL {
	return template.URL(p.Preview + "&what=" + what)
}
