// Package portal is the recipients' pages: from a link, a file or a typed
// reference to the message, which the browser decrypts. The server hands over
// the pages, the service's half of the key and the ciphertext, and sees neither
// the other half nor the message, but where a reader without script asks it to
// open the envelope (online.go).
package portal

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/web"
)

//go:embed pages/*.html shared/*.html
var files embed.FS

// Config is what the portal is made of.
type Config struct {
	Kit     *web.Kit
	Keys    *keyserver.Service
	Spool   string   // directory of the encrypted scratch files, for what the server opens itself
	From    []string // the addresses that our messages come from, for the page that tells how to check one
	Signed  []string // the domains that our messages are signed for (DKIM), for the same page
	Open    string   // the open address, for the same page; "" for none
	SSO     []*sso.Provider
	Contact string // address of whoever runs the site, for the accessibility statement; may be empty
}

type portal struct {
	Config
	pages *web.Pages
}

// Register adds the recipients' pages to the kit.
func Register(c Config) error {
	pages, err := c.Kit.Parse(files)
	if err != nil {
		return err
	}
	p := &portal{c, pages}
	k := c.Kit
	k.Handle("GET /{$}", p.home, web.Public)
	k.Handle("POST /{$}", p.find, web.Public)
	p.registerEntries()
	k.Handle("GET /open", p.open, web.Public)
	k.Handle("GET /e/{ref}", p.landing, web.Public)
	k.Handle("POST /e/{ref}/code", p.sendCode, web.Visitor)
	k.Handle("GET /e/{ref}/code", p.code, web.Public)
	k.Handle("POST /e/{ref}/verify", p.verify, web.Public)
	k.Handle("GET /e/{ref}/message", p.message, web.Public)
	k.Handle("POST /e/{ref}/forget", p.forget, web.Public)
	k.Handle("POST /e/{ref}/online", p.online, web.Public, web.Body(maxEnvelope+1<<20))
	k.Handle("POST /e/{ref}/online/{part}", p.onlinePart, web.Public)
	k.Handle("GET /e/{ref}/report", p.report, web.Public)
	k.Handle("POST /e/{ref}/report", p.sendReport, web.Visitor)
	k.Handle("GET /device", p.device, web.Public)
	k.Handle("GET /inbox", p.inbox, web.SignedIn)
	k.Handle("GET /help/check", p.help, web.Public)
	k.Handle("GET /help/accessibility", p.accessibility, web.Public)
	k.Handle("GET /help/privacy", p.privacy, web.Public)
	return nil
}

type homePage struct{ web.Base }

func (p *portal) home(r *web.Request) error {
	return r.Render(p.pages, "home", &homePage{r.Base(r.T("home.title"))})
}

func (p *portal) find(r *web.Request) error {
	ref, ok := id.ParseReference(r.PostFormValue("ref"))
	if !ok {
		err := fault.New(fault.Invalid, "home.err").In("ref", "home.err", nil)
		return r.Again(p.pages, "home", &homePage{r.Base(r.T("home.title"))}, err)
	}
	return r.Redirect("/e/" + ref)
}

// landingPage is R2: the card of an envelope, or, to somebody who has not
// proved to hold the mail, a question that tells nothing.
type landingPage struct {
	web.Base
	keyserver.Landing
	Heading   string          // says that it waits, that it was opened before, or that it cannot be opened
	Reference string          // as people read it: 7KQ-42F
	Here      string          // the address of this session, when the envelope is for another one
	Providers []*sso.Provider // that may vouch for the address
	Closed    string          // why it cannot be opened: locked, expired, gone; "" while it can
}

// Path is the address of this envelope's pages.
func (p *landingPage) Path() string { return "/e/" + p.Ref }

// High reports whether the sender asks for an account and a second factor.
func (p *landingPage) High() bool { return p.Landing.Level == policy.High }

// MayRemember reports whether this browser may be remembered for the address.
func (p *landingPage) MayRemember() bool { return p.Possession && p.Landing.Level == policy.Low }

// Second is where the second factor is proved.
func (p *landingPage) Second() string { return keyserver.SecondPage(p.Ref) }

// Assistable says whether the page offers that the server opens it.
func (p *landingPage) Assistable() bool {
	return p.Online && p.Closed == "" && (p.Proven || !p.Possession)
}

// OnlineSender is whom the page says will see it: nobody knows yet who that is
// where the mail was not shown.
func (p *landingPage) OnlineSender() string {
	if p.Possession {
		return p.Sender.Name
	}
	return p.T("online.thesender")
}

// SenderDomain is what the service vouches for.
func (p *landingPage) SenderDomain() string {
	_, domain, _ := strings.Cut(p.Sender.Address, "@")
	return domain
}

func (p *portal) landingPage(r *web.Request) (*landingPage, error) {
	ref, err := r.Reference()
	if err != nil {
		return nil, err
	}
	card := keyserver.Landing{Ref: ref}
	if r.Session != nil {
		if card, err = p.Keys.Landing(r.Context(), r.Visitor(), ref); err != nil {
			return nil, err
		}
	}
	title, heading := r.T("portal.envelope", "ref", id.ShowReference(ref)), r.T("open.h1")
	closed := ""
	if (card.Possession || card.Listed) && card.State != keyserver.StateActive {
		closed, heading = card.State, r.T("portal.closed."+card.State)
	}
	if card.Opened {
		heading = r.T("portal.opened")
	}
	switch {
	case card.Possession && closed != "":
		title = heading
	case card.Possession:
		title = r.T("open.title", "sender", card.Sender.Name)
	}
	page := &landingPage{Base: r.Base(title), Landing: card, Reference: id.ShowReference(ref), Heading: heading, Closed: closed}
	page.Brand = card.Look // none before it is known whose envelope it is
	if card.Possession && !card.Proven {
		page.Here = elsewhere(r, card.Masked)
		_, domain, _ := strings.Cut(card.Masked, "@")
		if a, err := mailaddr.ParseDomain(domain); err == nil {
			for _, x := range p.SSO {
				if x.Vouches(a) {
					page.Providers = append(page.Providers, x)
				}
			}
		}
	}
	return page, nil
}

// elsewhere is the address that the visitor signed in with or has proved, ""
// if there is none, or if it may be the one that masked stands for.
func elsewhere(r *web.Request, masked string) string {
	typed := r.Session.Address
	if u := r.User(); u != nil {
		typed = u.DisplayAddress
	}
	a, err := mailaddr.Parse(typed)
	if err != nil || a.Masked() == masked {
		return ""
	}
	return a.String()
}

func (p *portal) landing(r *web.Request) error {
	page, err := p.landingPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "landing", page)
}

// sendCode mails a code to the envelope's address: to the only one there is for
// whoever holds the mail, or if it is the one typed for whoever does not. The
// answer is the same either way.
func (p *portal) sendCode(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	if err := p.Keys.SendCode(r.Context(), r.Visitor(), ref, r.PostFormValue("email")); err != nil {
		if !web.Mendable(err) {
			return err
		}
		r.Self = "/e/" + ref
		page, perr := p.landingPage(r)
		if perr != nil {
			return perr
		}
		if r.PostFormValue("again") != "" { // the code that was mailed may still be typed
			if fault.HasKey(err, "code.toomany") {
				err = fault.New(fault.TooMany, "portal.codewait").With("n", fault.Of(err).Args["n"])
			}
			page.Title = r.T("code.h1")
			return r.Again(p.pages, "code", page, err)
		}
		return r.Again(p.pages, "landing", page, err)
	}
	return r.Redirect("/e/" + ref + "/code")
}

func (p *portal) code(r *web.Request) error {
	page, err := p.landingPage(r)
	if err != nil {
		return err
	}
	if page.Proven || page.Listed || page.Closed != "" {
		return r.Redirect(page.Path())
	}
	page.Title = r.T("code.h1")
	return r.Render(p.pages, "code", page)
}

// verify checks the code. The session it was asked from ends, and the one that
// begins has proved the address (AT-43).
func (p *portal) verify(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	if r.Session == nil { // it has ended: perhaps by this form, sent twice, and then the card can be opened
		return r.Redirect("/e/" + ref)
	}
	token, err := p.Keys.VerifyCode(r.Context(), r.Visitor(), ref, r.PostFormValue("code"))
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		r.Self = "/e/" + ref + "/code"
		page, perr := p.landingPage(r)
		if perr != nil {
			return perr
		}
		page.Title = r.T("code.h1")
		return r.Again(p.pages, "code", page, err)
	}
	r.SetToken(token)
	if r.PostFormValue("remember") != "" {
		v := r.Visitor()
		v.Session = token.Hash()
		device := id.NewToken()
		if err := p.Keys.Remember(r.Context(), v, ref, device, r.UserAgent()); err != nil {
			return err
		}
		r.SetDevice(device)
	}
	return r.Redirect("/e/" + ref + "/message")
}

// forget ends that this browser is remembered, for every address.
func (p *portal) forget(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	if err := p.Keys.Forget(r.Context(), r.Visitor()); err != nil {
		return err
	}
	r.ForgetDevice()
	r.Flash("ok", "level.forgotten")
	return r.Redirect("/e/" + ref)
}

// messagePage is R5 before the script has filled it.
type messagePage struct {
	landingPage
	frame
	Release  string // address that releases the key
	Download string // address of the kept ciphertext, "" when it is not kept
	Offer    bool   // of an account
}

// frameStyle is the fixed style of the frame that shows a formatted message.
const frameStyle = `html{color-scheme:light}body{margin:0;padding:1rem;background:#fff;color:#16202c;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}blockquote{margin:0 0 0 .5rem;padding-left:.75rem;border-left:3px solid #c9d0d9}`

// frame is what a page's script needs to show a formatted message.
type frame struct{}

// FrameStyle and FrameHash are for the script, which writes the frame.
func (frame) FrameStyle() string { return frameStyle }

// FrameHash is what allows FrameStyle, and no other, in a policy.
func (frame) FrameHash() string {
	sum := sha256.Sum256([]byte(frameStyle))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p *portal) message(r *web.Request) error {
	card, err := p.landingPage(r)
	if err != nil {
		return err
	}
	// Where the address is proved and the mail is not, the page asks for the file.
	withoutMail := !card.Possession && r.Session != nil && r.Session.Address != ""
	if !withoutMail && (!card.Proven || card.Closed != "" || card.Step != "") {
		return r.Redirect(card.Path())
	}
	card.Title = r.T("portal.message")
	return r.Render(p.pages, "message", p.messageOf(r, card))
}

// allowMessage is what the frame of a message may load: pictures that are in the
// message, and its fixed style. It inherits the page's policy.
func allowMessage(r *web.Request) {
	r.AllowContent("img-src", "data:", "blob:")
	r.AllowContent("style-src", "'"+frame{}.FrameHash()+"'")
	r.AllowContent("trusted-types", "dompurify", "pli-message", "pli-thread", "pli-device")
}

func (p *portal) messageOf(r *web.Request, card *landingPage) *messagePage {
	allowMessage(r)
	page := &messagePage{landingPage: *card, Offer: r.User() == nil}
	if card.Possession {
		page.Release = "/api/v1/open/release"
		if card.Kept {
			page.Download = "/api/v1/open/envelope/" + card.Slot.String()
		}
	}
	return page
}

type helpPage struct {
	web.Base
	From    []string
	Signed  []string
	Open    string
	Contact string
}

func (p *portal) help(r *web.Request) error {
	return r.Render(p.pages, "help", &helpPage{Base: r.Base(r.T("help.h1")), From: p.From, Signed: p.Signed, Open: p.Open})
}

func (p *portal) accessibility(r *web.Request) error {
	return r.Render(p.pages, "accessibility", &helpPage{Base: r.Base(r.T("portal.a11y")), Contact: p.Contact})
}

// privacyPage is what the operators say of people's data.
type privacyPage struct {
	web.Base
	In         string // language
	Paragraphs []string
}

func (p *portal) privacy(r *web.Request) error {
	text, in := p.Kit.Legal(r.Context()).PrivacyIn(r.Printer.Lang)
	if text == "" {
		return fault.New(fault.NotFound, "e404.p")
	}
	page := &privacyPage{Base: r.Base(r.T("sl.privacy")), In: in}
	for _, s := range strings.Split(text, "\n\n") {
		if s = strings.TrimSpace(s); s != "" {
			page.Paragraphs = append(page.Paragraphs, s)
		}
	}
	return r.Render(p.pages, "privacy", page)
}
