package web

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

//go:embed layout/*.html pages/*.html
var files embed.FS

// Pages are the parsed templates of one package of pages, by the name of their file.
type Pages struct{ named map[string]*template.Template }

// Parse reads the pages/*.html of a package, each with the kit's layout and
// partials, and with the package's own shared/*.html if it has any. A template
// that does not parse stops the program's start.
func (k *Kit) Parse(fsys fs.FS) (*Pages, error) {
	base, err := template.New("").Funcs(template.FuncMap{
		// Only what is the same for every visitor may be here.
		"static": k.static.url,
		"icon":   icon,
		"refs":   refs,
	}).ParseFS(files, "layout/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	names, err := fs.Glob(fsys, "pages/*.html")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("parse pages: there are none")
	}
	shared, err := fs.Glob(fsys, "shared/*.html")
	if err != nil {
		return nil, err
	}
	if len(shared) > 0 {
		if base, err = base.ParseFS(fsys, shared...); err != nil {
			return nil, fmt.Errorf("parse shared parts: %w", err)
		}
		for _, n := range shared {
			if err := checkQuotes(fsys, n); err != nil {
				return nil, err
			}
		}
	}
	p := &Pages{named: map[string]*template.Template{}}
	for _, n := range names {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if _, err := t.ParseFS(fsys, n); err != nil {
			return nil, fmt.Errorf("parse page %s: %w", n, err)
		}
		if err := checkQuotes(fsys, n); err != nil {
			return nil, err
		}
		if t.Lookup("main") == nil {
			return nil, fmt.Errorf("parse page %s: it does not define main", n)
		}
		p.named[strings.TrimSuffix(path.Base(n), ".html")] = t
	}
	return p, nil
}

var reference = regexp.MustCompile(`\b[2-9A-Z]{3}-[2-9A-Z]{3}\b`)

// refs writes a sentence as HTML in which no reference breaks at its hyphen. It
// stays a plain hyphen, so that what is copied can be typed.
func refs(sentence string) template.HTML {
	return template.HTML(reference.ReplaceAllString(template.HTMLEscapeString(sentence), `<span class="nowrap">$0</span>`))
}

var loose = regexp.MustCompile(`\s[a-zA-Z-]+=('|\{\{)`)

// checkQuotes refuses an attribute that is not in double quotes: render writes
// apostrophes as they are.
func checkQuotes(fsys fs.FS, name string) error {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if m := loose.Find(raw); m != nil {
		return fmt.Errorf("parse page %s: put the attribute at %q in double quotes", name, m)
	}
	return nil
}

// Page is a page's data: a pointer to a struct that embeds Base.
type Page interface{ base() *Base }

// Base is what every page carries. Handlers get one from Request.Base.
type Base struct {
	i18n.Printer // T, Date, Time, Bytes: in this visitor's language

	Title   string // parts joined by a dash, without the site's name
	Site    string
	Host    string // of the public address
	Origin  string
	Theme   string // light, dark, or "" for the system's
	Self    string // the page's own address; "": there is no other language of it
	Plain   bool   // no navigation, no scripts of the layout: the entry pages
	Nav     []Link
	Address string // of the person who signed in, "" for nobody
	Sends   bool   // they belong to an account
	Version string // for administrators, "" for others
	Level   string // of accessibility
	A11yURL string // the operators' own accessibility statement, "" = none
	Privacy bool   // there is a privacy text
	Demo    string // catalogue key of the demonstration's banner, "" for none
	Mailbox string // address of the demonstration's mailbox

	Composes bool // they may send from here

	Brand brand.Brand // of the account whose page a recipient sees; zero: the service's own look

	Flash   *Flash
	Problem *fault.Error // what is wrong with the form
	Input   url.Values   // what was typed

	kit *Kit
}

// Pager leads to the neighbouring pages of a list, for the partial "pager".
type Pager struct {
	i18n.Printer
	Prev, Next string // addresses, "" at an end
	Timed      bool   // newer and older, instead of previous and next
}

// Link is one entry of a navigation.
type Link struct {
	URL, Text string
	Current   bool // where the page stands: the page itself, or the section that it is in
	Below     bool // the page is below it; only where Current is set
}

func (b *Base) base() *Base { return b }

// Once names a form as it is shown, for one that does something only once.
func (b *Base) Once() string { return id.New() }

// Shell is what the layout shows of a page, also where the page has a field of
// its own with the same name.
func (b *Base) Shell() *Base { return b }

// banner is the sentence of the demonstration: what becomes of its data differs.
func (k *Kit) banner() string {
	switch {
	case !k.conf.Demo:
		return ""
	case k.conf.DemoKept:
		return "web.demokept"
	}
	return "demo.banner"
}

// Base begins a page with its title: the page, then what it belongs to.
func (r *Request) Base(title ...string) Base {
	k := r.kit
	b := Base{
		Printer: r.Printer, Title: strings.Join(title, " – "), Site: k.conf.SiteName, Host: k.host, Origin: k.conf.Origin,
		Theme: theme(r.Request), Self: r.self(), Level: k.conf.Level, Demo: k.banner(), Mailbox: k.conf.MailboxURL, kit: k,
	}
	legal := k.Legal(r.Context())
	text, _ := legal.PrivacyIn(r.Printer.Lang)
	if b.A11yURL, b.Privacy = legal.URL, text != ""; legal.Level != "" {
		b.Level = legal.Level
	}
	u := r.User()
	if u == nil {
		return b
	}
	b.Address = u.DisplayAddress
	if r.Session.Scope != store.ScopeFull {
		return b
	}
	add := func(url, key string) {
		b.Nav = append(b.Nav, Link{URL: url, Text: r.T(key), Current: strings.HasPrefix(r.URL.Path, url)})
	}
	compose, requests := false, false // what cannot be read is off
	if r.Session.Account != nil {
		if s, err := r.Session.Settings(); err == nil {
			compose, requests = s.Compose, s.Requests
		}
	}
	if b.Composes = compose; compose {
		add("/compose", "new.h1")
		add("/drafts", "dr.h1")
	}
	if u.AccountID != 0 {
		add("/sent", "web.sent")
	}
	add("/inbox", "web.received")
	if requests {
		add("/requests", "intake.nav")
	}
	b.Sends = u.AccountID != 0
	if len(r.Session.AdminOf) > 0 || r.Session.Operator {
		add("/admin/accounts", "seed.accounts")
		b.Nav[len(b.Nav)-1].Current = strings.HasPrefix(r.URL.Path, "/admin") // the operators' pages are beside the list
		b.Version = k.conf.Version
	}
	return b
}

// Legal is what the operators say on every page.
func (k *Kit) Legal(ctx context.Context) account.Legal {
	if k.conf.Accounts == nil {
		return account.Legal{}
	}
	return k.conf.Accounts.Legal(ctx)
}

// self is where the language link leads: this page, or where its form is.
func (r *Request) self() string {
	if r.Self != "" {
		return r.Self
	}
	if safe(r.Method) {
		return r.URL.RequestURI()
	}
	get := r.Clone(r.Context())
	get.Method = "GET"
	if _, pattern := r.kit.mux.Handler(get); pattern != "" {
		return r.URL.RequestURI()
	}
	return "/"
}

// HeadTitle is the text of <title>: a problem comes first, so that it is heard first.
func (b *Base) HeadTitle() string {
	s := b.Title + " – " + b.Site
	if b.Title == "" {
		s = b.Site
	}
	if b.Problem != nil {
		s = b.T("err.prefix") + " " + s
	}
	return s
}

// Other is the language that this page is not in, and OtherURL the same page in it.
func (b *Base) Other() string {
	if b.Lang == "fr" {
		return "en"
	}
	return "fr"
}

// OtherURL is this page in the other language.
func (b *Base) OtherURL() string {
	u, err := url.Parse(b.Self)
	if err != nil {
		return "/?lang=" + b.Other()
	}
	q := u.Query()
	q.Set("lang", b.Other())
	u.RawQuery = q.Encode()
	return LocalPath(u.RequestURI(), "/")
}

// When is a time for people and machines; nothing for the zero time.
func (b *Base) When(t time.Time) template.HTML { return b.stamp(t, b.zoned(t)) }

// Day is the day of a time for people and machines; nothing for the zero time.
func (b *Base) Day(t time.Time) template.HTML { return b.stamp(t, b.Date(t)) }

// zoned names the zone where nobody has said which one is theirs.
func (b *Base) zoned(t time.Time) string {
	if b.Zone == time.UTC {
		return b.Time(t) + " UTC"
	}
	return b.Time(t)
}

func (b *Base) stamp(t time.Time, text string) template.HTML {
	if t.IsZero() || t.UnixMilli() == 0 {
		return "–"
	}
	utc := ""
	if b.Zone == time.UTC {
		utc = ` data-utc` // page.js says it in the browser's zone, which the service does not know
	}
	return template.HTML(`<time` + utc + ` datetime="` + t.UTC().Format(time.RFC3339) + `" title="` +
		template.HTMLEscapeString(b.ago(t)) + `">` + template.HTMLEscapeString(text) + `</time>`)
}

func (b *Base) ago(t time.Time) string {
	d := time.Since(t)
	key := "web.ago."
	if d < 0 {
		d, key = -d, "web.in."
	}
	switch {
	case d < time.Minute:
		return b.T("web.now")
	case d < time.Hour:
		return b.T(key+"minutes", "n", int(d/time.Minute))
	case d < 48*time.Hour:
		return b.T(key+"hours", "n", int(d/time.Hour))
	default:
		return b.T(key+"days", "n", int(d/(24*time.Hour)))
	}
}

// FlashText is the message that a redirect left.
func (b *Base) FlashText() string { return b.Say(b.Flash.Key, b.Flash.Args) }

// icon is one of the fixed pictures, hidden from screen readers: the text beside it speaks.
func icon(name string) (template.HTML, error) {
	p, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", name)
	}
	return template.HTML(`<svg viewBox="0 0 24 24" aria-hidden="true">` + p + `</svg>`), nil
}

var icons = map[string]string{
	"envelope":   `<rect x="3" y="5" width="18" height="14" rx="2"/><path d="m3 7 9 6 9-6"/>`,
	"warning":    `<path d="M12 3 2 20h20zM12 10v4M12 17v.5"/>`,
	"ok":         `<circle cx="12" cy="12" r="9"/><path d="m8 12.5 3 3 5-6"/>`,
	"info":       `<circle cx="12" cy="12" r="9"/><path d="M12 11v5M12 8v.5"/>`,
	"lock":       `<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>`,
	"unlock":     `<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 7.5-2"/>`,
	"file":       `<path d="M6 3h8l4 4v14H6zM14 3v4h4"/>`,
	"download":   `<path d="M12 4v11M7 11l5 5 5-5M4 20h16"/>`,
	"add-member": `<circle cx="9" cy="8" r="4"/><path d="M2 21c0-4 3-6 7-6s7 2 7 6M19 8v6M16 11h6"/>`,
	"members":    `<circle cx="9" cy="8" r="4"/><path d="M2 21c0-4 3-6 7-6s7 2 7 6M16 4a4 4 0 0 1 0 8M18 15c3 .5 4 3 4 6"/>`,
	"edit":       `<path d="M4 20h4L19 9l-4-4L4 16zM13 7l4 4"/>`,
	"delete":     `<path d="M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5"/>`,
	"key":        `<circle cx="8" cy="15" r="4"/><path d="m11 12 8-8M16 7l3 3"/>`,
	"print":      `<path d="M7 8V3h10v5M7 17H4v-7h16v7h-3M7 14h10v7H7z"/>`,
	"search":     `<circle cx="11" cy="11" r="6"/><path d="m20 20-4.5-4.5"/>`,
	"clock":      `<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3 3"/>`,
}
