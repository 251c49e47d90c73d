package portal

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/web"
)

// maxEnvelope is the largest file that the entry pages take, in bytes.
const maxEnvelope = 150 << 20

var errNoEnvelope = errors.New("the form has no envelope")

// entryPage is a page that takes an envelope, or what leads to one, into the
// browser's own storage and goes on to /open (envelope-v1.md 6). Which of them
// it is, its script reads from Way.
type entryPage struct {
	web.Base
	Way   string // receive, link, stage, mail, drop, open
	Ref   string
	Stage string // address of the staged ciphertext
}

// The entry pages are blind and have no Cross-Origin-Opener-Policy: with one,
// the file's page could not hand over its ciphertext (AT-15). They have no
// session and keep nothing but ciphertext in the browser.
func (p *portal) registerEntries() {
	k := p.Kit
	k.Handle("GET /r", p.entry("receive"), web.Entry)
	k.Handle("GET /l", p.entry("link"), web.Entry)
	k.Handle("GET /m/{ref}", p.mail, web.Entry)
	k.Handle("POST /u", p.upload, web.Entry, web.Body(maxEnvelope), web.CrossSite())
	k.Handle("GET /s/{id}", p.staged, web.Entry)
	k.Handle("POST /s/{id}/data", p.stagedData, web.Entry)
	k.Handle("GET /up", p.drop, web.Public)
}

func (p *portal) show(r *web.Request, page *entryPage) error {
	page.Base = r.Base(r.T("portal.entry." + page.Way))
	page.Plain = page.Way != "drop" && page.Way != "open"
	return r.Render(p.pages, "entry", page)
}

func (p *portal) entry(way string) web.Handler {
	return func(r *web.Request) error { return p.show(r, &entryPage{Way: way}) }
}

func (p *portal) drop(r *web.Request) error { return p.show(r, &entryPage{Way: "drop"}) }

// open is where every way meets: its script reads the envelope's head, checks
// that it is this service's, and proves possession. Without an envelope it asks
// for the file.
func (p *portal) open(r *web.Request) error {
	if r.URL.Query().Get("id") == "" {
		return p.show(r, &entryPage{Way: "drop"})
	}
	return p.show(r, &entryPage{Way: "open"})
}

// mail is the link of the mail. The server is not asked anything here: a link
// scanner learns and changes nothing (AT-49).
func (p *portal) mail(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	return p.show(r, &entryPage{Way: "mail", Ref: ref})
}

// upload stages what a form in the envelope's file posts, where that file may
// not run scripts. Other sites may post here, so it reads no cookie, and the
// envelope waits for the one page of this browser. The recipient's half of the
// key is in the fragment of the form's address, which no browser sends (AT-22).
func (p *portal) upload(r *web.Request) error {
	body, err := uploaded(r)
	if err != nil {
		return err
	}
	stage, token, err := p.Keys.Stage(r.Context(), r.Client(), body, maxEnvelope)
	if err != nil {
		return err
	}
	p.setStageCookie(r, token)
	return r.Redirect("/s/" + url.PathEscape(stage))
}

// uploaded finds the field "envelope" without reading the form into memory.
func uploaded(r *web.Request) (io.Reader, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fault.New(fault.Invalid, "portal.say.damaged").Because(err)
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Invalid, "portal.say.damaged").Because(errNoEnvelope)
		}
		if err != nil {
			return nil, broken(err)
		}
		if part.FormName() == "envelope" {
			// A person who chose the whole file by hand posted its key part too: only
			// what is in the armor is read.
			bytes, _, err := envelope.FindArmor(part)
			if err != nil {
				return nil, broken(err)
			}
			return bytes, nil
		}
	}
}

// broken is a body that ends too early, or goes on too long.
func broken(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return err
	}
	return fault.New(fault.Invalid, "portal.say.damaged").Because(err)
}

func (p *portal) staged(r *web.Request) error {
	return p.show(r, &entryPage{Way: "stage", Stage: "/s/" + url.PathEscape(r.PathValue("id")) + "/data"})
}

// stagedData gives a staged envelope to the browser that posted it, once (AT-23),
// and what was forwarded to the open address to whoever has the link. Taking
// may remove it, so this is a POST.
func (p *portal) stagedData(r *web.Request) error {
	file, size, err := p.takeStage(r)
	if fault.Is(err, fault.NotFound) {
		file, size, err = p.Keys.ReadForwarded(r.Context(), r.PathValue("id"))
	}
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "portal.say.unstaged").Because(err)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return r.Stream(file, size)
}

func (p *portal) takeStage(r *web.Request) (io.ReadCloser, int64, error) {
	missing := fault.New(fault.NotFound, "portal.say.unstaged")
	c, err := r.Cookie(p.stageCookie())
	if err != nil {
		return nil, 0, missing
	}
	token, err := id.ParseToken(c.Value)
	if err != nil {
		return nil, 0, missing
	}
	return p.Keys.TakeStage(r.Context(), r.PathValue("id"), token)
}

// setStageCookie keeps a staged envelope for the browser that posted it.
func (p *portal) setStageCookie(r *web.Request, token id.Token) {
	http.SetCookie(r.W, &http.Cookie{
		Name: p.stageCookie(), Value: token.Reveal(), Path: "/", MaxAge: int(10 * time.Minute / time.Second),
		Secure: p.Kit.Secure(), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

func (p *portal) stageCookie() string {
	if p.Kit.Secure() {
		return "__Host-stage"
	}
	return "stage"
}
