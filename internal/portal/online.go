package portal

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/web"
)

// Open online: the last resort for a browser without script (security.md 1.6).
// The reader hands over their half of the key, in the mail's file or its link;
// the server opens the envelope, shows its text and gives its files, and keeps
// nothing of it: the plain text is in a scratch file under a key in memory for
// the time of one answer, and E goes back to the reader, sealed, in a cookie.

// mostShown is how much text the server shows, in bytes.
const mostShown = 1 << 20

// onlinePage is a message that the server opened.
type onlinePage struct {
	landingPage
	Subject      string
	From, To, Cc string // as the message says; From where it is not the sender
	Date         time.Time
	Text         string
	Formatted    bool // it is what is left of a formatted text
	Long         bool
	Files        []onlineFile
}

type onlineFile struct {
	N     int // of the manifest's parts
	Name  string
	Size  string
	Risky bool // a system may run it
}

// handedOver is what the form brought: E, and the envelope where the reader
// chose the file.
type handedOver struct {
	half envelope.Secret
	file io.Reader // nil: the link was pasted
}

// readHandedOver reads the form up to the envelope in the file, which streams.
// Nothing that it read is in an error: E may be.
func readHandedOver(r *web.Request) (handedOver, error) {
	wrong := func(field, key string) error { return fault.New(fault.Invalid, key).In(field, key, nil) }
	parts, err := r.MultipartReader()
	if err != nil {
		return handedOver{}, wrong("file", "online.none")
	}
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return handedOver{}, wrong("file", "online.none")
		case err != nil:
			return handedOver{}, broken(err)
		case part.FormName() == "link":
			text, err := io.ReadAll(io.LimitReader(part, 64<<10))
			if err != nil {
				return handedOver{}, broken(err)
			}
			link := strings.TrimSpace(string(text))
			if link == "" {
				continue
			}
			_, fragment, _ := strings.Cut(link, "#")
			half, err := envelope.ParseKeyPart(strings.TrimSpace(fragment))
			if err != nil {
				return handedOver{}, wrong("link", "online.badlink")
			}
			if half.Masked() { // by a passphrase, which this service never learns
				return handedOver{}, wrong("link", "online.passphrase")
			}
			return handedOver{half: half.E}, nil
		case part.FormName() == "file" && part.FileName() != "":
			file, half, err := envelope.FindArmor(part)
			var big *http.MaxBytesError
			if errors.As(err, &big) {
				return handedOver{}, err
			}
			if err != nil || half == nil {
				return handedOver{}, wrong("file", "online.badfile")
			}
			if half.Masked() {
				return handedOver{}, wrong("file", "online.passphrase")
			}
			return handedOver{half.E, file}, nil
		}
	}
}

// online opens the envelope at the reader's request and answers with its text.
// Every showing is a release with its record, so this is the answer to a POST
// and no page to come back to.
func (p *portal) online(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	if r.Session == nil {
		return r.Redirect("/e/" + ref)
	}
	held, rel, file, err := p.takeOver(r, ref)
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		r.Self = "/e/" + ref
		page, perr := p.landingPage(r)
		if perr != nil {
			return perr
		}
		if !page.Possession { // the address is proved: it is not asked for again
			return r.Again(p.pages, "message", p.messageOf(r, page), err)
		}
		return r.Again(p.pages, "landing", page, err)
	}
	defer file.Close()
	page, err := p.landingPage(r)
	if err != nil {
		return err
	}
	out := &onlinePage{landingPage: *page}
	err = p.decrypt(file, rel, held.Half, func(m *envelope.Manifest, plain *spool.File) error { return out.fill(r, m, plain) })
	if err != nil {
		return err
	}
	cookie, err := p.Keys.Hold(r.Visitor(), ref, held)
	if err != nil {
		return err
	}
	http.SetCookie(r.W, &http.Cookie{Name: p.onlineCookie(), Value: cookie, Path: "/", MaxAge: int(10 * time.Minute / time.Second),
		Secure: p.Kit.Secure(), HttpOnly: true, SameSite: http.SameSiteStrictMode})
	out.Title = r.T("portal.message")
	return r.Render(p.pages, "online", out)
}

// takeOver takes the release first, which is refused or recorded, and only then
// reads what the reader's file holds beyond its key.
func (p *portal) takeOver(r *web.Request, ref string) (held keyserver.Held, rel keyserver.Release, file io.ReadCloser, err error) {
	given, err := readHandedOver(r)
	if err != nil {
		return held, rel, nil, err
	}
	held.Half = given.half
	if rel, file, err = p.Keys.Assist(r.Context(), r.Visitor(), ref, held.Half); err != nil || file != nil {
		return held, rel, file, err
	}
	if given.file == nil {
		return held, rel, nil, fault.New(fault.Invalid, "online.needfile").In("file", "online.needfile", nil)
	}
	stage, token, err := p.Keys.Stage(r.Context(), r.Client(), given.file, maxEnvelope)
	if fault.Is(err, fault.Invalid) {
		err = fault.New(fault.Invalid, "online.badfile").In("file", "online.badfile", nil).Because(err)
	}
	if err != nil {
		return held, rel, nil, err
	}
	held.Stage, held.Token = stage, token.Reveal()
	file, err = p.waiting(r, held)
	return held, rel, file, err
}

// waiting is the reader's own file, where the service keeps none.
func (p *portal) waiting(r *web.Request, held keyserver.Held) (io.ReadCloser, error) {
	over := fault.New(fault.Gone, "online.over")
	token, err := id.ParseToken(held.Token)
	if err != nil {
		return nil, over.Because(err)
	}
	f, _, err := p.Keys.ReadStage(r.Context(), held.Stage, token)
	if fault.Is(err, fault.NotFound) {
		return nil, over.Because(err)
	}
	return f, err
}

// decrypt opens the envelope into a scratch file and, once all of it is checked,
// gives it to use.
func (p *portal) decrypt(file io.Reader, rel keyserver.Release, half envelope.Secret, use func(*envelope.Manifest, *spool.File) error) error {
	plain := spool.New(p.Spool)
	defer plain.Close()
	manifest, err := openInto(plain, file, rel, half)
	if err != nil {
		if altered(err) {
			return fault.New(fault.Closed, "portal.altered").Because(err)
		}
		return err
	}
	return use(manifest, plain)
}

func openInto(plain *spool.File, file io.Reader, rel keyserver.Release, half envelope.Secret) (*envelope.Manifest, error) {
	e, err := envelope.Parse(file, maxEnvelope)
	if err != nil {
		return nil, err
	}
	content, err := e.Open(rel.S, half, &envelope.Record{HH: rel.HH, PH: rel.PH})
	if err != nil {
		return nil, err
	}
	if err := content.WriteMessage(plain); err != nil {
		return nil, err
	}
	return content.Manifest, plain.Finish()
}

func altered(err error) bool {
	for _, is := range []error{envelope.ErrAltered, envelope.ErrFormat, envelope.ErrWrongKey, envelope.ErrVersion, envelope.ErrTooLarge} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// fill reads the text of an opened message and lists its files.
func (p *onlinePage) fill(r *web.Request, m *envelope.Manifest, plain *spool.File) error {
	p.Subject = cmp.Or(m.Subject, r.T("portal.nosubject"))
	p.Date, _ = time.Parse(time.RFC3339, m.Date) // zero where the message has none
	p.From, p.To, p.Cc = mailboxes(m.From), mailboxes(m.To), mailboxes(m.Cc)
	if len(m.From) == 1 && strings.EqualFold(m.From[0].Address, p.Sender.Address) {
		p.From = "" // it is above, as the service vouches for it
	}
	var text strings.Builder
	plainText, err := message.Shown(&text, m, plain.Reader, mostShown)
	if err != nil {
		return err
	}
	p.Text, p.Formatted, p.Long = text.String(), !plainText, text.Len() >= mostShown
	for i, part := range m.Parts {
		if part.Role != "attachment" && part.Role != "inline" {
			continue
		}
		p.Files = append(p.Files, onlineFile{i, fileName(part), size(r, part.Size), risky(fileName(part), part.Type)})
	}
	return nil
}

func mailboxes(list []envelope.Mailbox) string {
	var out []string
	for _, m := range list {
		if m.Name == "" {
			out = append(out, m.Address)
		} else {
			out = append(out, m.Name+" <"+m.Address+">")
		}
	}
	return strings.Join(out, ", ")
}

// fileName is the name of a part as it is saved.
func fileName(p envelope.Part) string {
	if s := message.SafeName(p.Name); s != "" {
		return s
	}
	return "attachment"
}

// dangerous are the extensions that files.js warns of, and no others.
var dangerous = strings.Fields(`ade adp apk app appref-ms appx bat chm cmd com cpl dll dmg docm dotm exe gadget hlp hta htm html img inf ins iso
	jar js jse lnk mde mht mhtml msc msi msix msp mst ocx one pif pkg ppam pptm ps1 psm1 py pyw reg scf scr sct settingcontent-ms sh shs
	sldm svg svgz swf url vb vbe vbs vhd vhdx webarchive wsc wsf wsh xhtml xht xlam xlsm xltm xll xml xsl xslt`)

// risky says whether a system may run such a file (AT-78).
func risky(name, kind string) bool {
	if slices.Contains(dangerous, strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))) {
		return true
	}
	for _, active := range []string{"text/html", "image/svg", "application/xhtml", "application/xml", "application/javascript", "application/x-ms",
		"application/x-sh", "application/hta", "application/java", "text/xml", "text/javascript"} {
		if strings.HasPrefix(kind, active) {
			return true
		}
	}
	return false
}

// size is a number of bytes for people.
func size(r *web.Request, n int64) string {
	units := strings.Fields(r.T("web.units"))
	f, u := float64(n), 0
	for f >= 1000 && u < len(units)-1 {
		f, u = f/1000, u+1
	}
	digits := 0
	if u > 0 && f < 10 {
		digits = 1
	}
	s := strings.TrimSuffix(strconv.FormatFloat(f, 'f', digits, 64), ".0")
	if r.Printer.Lang == "fr" {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s + "\u00a0" + units[u]
}

// onlinePart gives one file of a message that the server opened before: by the
// same rules, with a record of its own. The type is never the file's own (AT-78).
func (p *portal) onlinePart(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.PathValue("part"))
	if err != nil {
		return fault.New(fault.NotFound, "e404.h1")
	}
	c, err := r.Cookie(p.onlineCookie())
	if err != nil || r.Session == nil {
		return fault.New(fault.Gone, "online.over")
	}
	held, err := p.Keys.Held(r.Visitor(), ref, c.Value)
	if err != nil {
		return err
	}
	rel, file, err := p.Keys.Assist(r.Context(), r.Visitor(), ref, held.Half)
	if err == nil && file == nil {
		file, err = p.waiting(r, held)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return p.decrypt(file, rel, held.Half, func(m *envelope.Manifest, plain *spool.File) error {
		if n < 0 || n >= len(m.Parts) {
			return fault.New(fault.NotFound, "e404.h1")
		}
		return r.Download(fileName(m.Parts[n]), func(w io.Writer) error { return message.WritePart(w, m.Parts[n], plain.Reader) })
	})
}

func (p *portal) onlineCookie() string {
	if p.Kit.Secure() {
		return "__Host-online"
	}
	return "online"
}
