package desk

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

const (
	maxFields = 8 << 20 // bytes of all fields in memory: more than any text that sealing lets pass
	maxNamed  = 20      // wrong addresses that an answer names
)

type composePage struct {
	web.Base
	From      string
	Until     string // yyyy-mm-dd, the account's default
	Notify    bool
	Languages []web.Option
	Max       int64 // MB of all files together
	FilesLost bool  // after a form came back: a browser does not give its files back
}

func (d *desk) compose(r *web.Request) error {
	page, err := d.composePage(r)
	if err != nil {
		return err
	}
	return r.Render(d.pages, "compose", page)
}

func (d *desk) composePage(r *web.Request) (*composePage, error) {
	if err := allowed(r); err != nil {
		return nil, err
	}
	u, acc := r.User(), r.Session.Account
	now := d.Now().In(r.Printer.Zone)
	p := &composePage{
		Base: r.Base(r.T("new.h1")), From: u.Name() + ", " + acc.Name + " <" + u.DisplayAddress + ">",
		Notify: u.NotifyOpened, Max: d.Sealing.MaxFiles() >> 20,
		Languages: []web.Option{
			{Value: "en", Text: r.T("me.lang.en"), Selected: r.Printer.Lang == "en"},
			{Value: "fr", Text: r.T("me.lang.fr"), Selected: r.Printer.Lang == "fr"},
			{Value: "both", Text: r.T("desk.both")},
		},
	}
	if acc.ExpiryDays > 0 {
		p.Until = now.AddDate(0, 0, acc.ExpiryDays).Format(time.DateOnly)
	}
	return p, nil
}

// form is what was typed, read as it arrives: fields first, files after them.
type form struct {
	values url.Values
	parts  *multipart.Reader
	next   *multipart.Part // the first file, already begun
	files  bool            // there are some; otherwise everything has been read
}

// readForm reads the fields, and stops where the first file begins.
func readForm(r *web.Request) (*form, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fault.New(fault.Invalid, "desk.badform").Because(err)
	}
	f := &form{values: url.Values{}, parts: parts}
	left := int64(maxFields)
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return f, unreadable(err)
		}
		if p.FileName() != "" {
			f.next, f.files = p, true
			return f, nil
		}
		var b bytes.Buffer
		n, err := io.Copy(&b, io.LimitReader(p, left+1))
		if err != nil {
			return f, unreadable(err)
		}
		if left -= n; left < 0 {
			return f, fault.New(fault.TooLarge, "web.toolarge.p").With("n", maxFields>>20)
		}
		f.values.Add(p.FormName(), b.String())
	}
}

// file returns the message's files one after the other, io.EOF after the last.
// Each is read before the next is asked for.
func (f *form) file() (*sealing.File, error) {
	for {
		p := f.next
		f.next = nil
		if !f.files {
			return nil, io.EOF
		}
		if p == nil {
			var err error
			if p, err = f.parts.NextPart(); err != nil {
				return nil, unreadable(err)
			}
		}
		if p.FileName() == "" { // an empty file input, or a field out of place
			continue
		}
		return &sealing.File{Name: p.FileName(), Type: p.Header.Get("Content-Type"), Reader: content{p}}, nil
	}
}

// content is a part's content.
type content struct{ *multipart.Part }

func (c content) Read(b []byte) (int, error) {
	n, err := c.Part.Read(b)
	return n, unreadable(err)
}

// unreadable is what reading the form's parts fails with: what was sent is no
// such form, or broke off. The form's end, and its limit, stay what they are.
func unreadable(err error) error {
	var big *http.MaxBytesError
	if err == nil || err == io.EOF || errors.As(err, &big) {
		return err
	}
	return fault.New(fault.Invalid, "desk.badform").Because(err)
}

func (d *desk) send(r *web.Request) error {
	page, err := d.composePage(r)
	if err != nil {
		return err
	}
	f, err := readForm(r)
	if f == nil {
		return err
	}
	var sent sealing.Result
	if err == nil {
		var req sealing.Request
		if req, err = d.request(r, f); err == nil {
			sent, err = d.Sealing.Seal(r.Context(), req)
		}
	}
	scripted := strings.Contains(r.Header.Get("Accept"), "application/json")
	if err != nil {
		// A browser shows no answer before it has sent everything.
		if _, derr := io.Copy(io.Discard, r.Body); derr != nil && !errors.Is(derr, context.Canceled) {
			err = errors.Join(err, derr)
		}
		page.Input, page.FilesLost = f.values, f.files
		if scripted {
			return d.complain(r, page, err)
		}
		return r.Again(d.pages, "compose", page, err)
	}
	r.Flash("ok", "sentok.msg", "ref", id.ShowReference(sent.Refs[0]), "n", len(sent.Refs))
	if scripted {
		return r.JSON(struct {
			Next string `json:"next"`
		}{"/sent/" + sent.MessageID.String()})
	}
	return r.Redirect("/sent/" + sent.MessageID.String())
}

type complaint struct {
	Field string `json:"field,omitempty"`
	Text  string `json:"text"`
}

// complain tells the page's script what to correct; the files stay in the page.
func (d *desk) complain(r *web.Request, page *composePage, err error) error {
	f := fault.Of(err)
	if f.Kind == fault.Internal || f.Kind == fault.Denied || f.Kind == fault.Unauthenticated {
		return err
	}
	page.Problem = f
	var out struct {
		Problems []complaint `json:"problems"`
	}
	for _, line := range page.ProblemLines() {
		out.Problems = append(out.Problems, complaint{strings.TrimPrefix(line.Href, "#f-"), line.Text})
	}
	return r.JSONProblem(f.Kind, out)
}

// request reads the fields and says what is wrong with them, all at once, before
// any file is read. The limits are sealing's; here is only what a form can say
// and a request cannot.
func (d *desk) request(r *web.Request, f *form) (sealing.Request, error) {
	u, v := r.User(), f.values
	req := sealing.Request{
		Sender: sealing.Sender{UserID: u.ID, Address: u.DisplayAddress, Name: u.Name(), Language: u.Language}, AccountID: r.Session.Account.ID,
		Subject: v.Get("subject"), Note: v.Get("note"), Text: v.Get("body"),
		Files: f.file, Notify: v.Get("notify") != "", NoticeLang: v.Get("language"), Origin: r.Client(),
	}
	if req.NoticeLang != "fr" && req.NoticeLang != "both" {
		req.NoticeLang = "en"
	}
	bad := fault.New(fault.Invalid, "err.title")
	to, wrong := mailaddr.ParseList(v.Get("to"))
	req.To = to
	for _, w := range wrong[:min(len(wrong), maxNamed)] {
		bad = bad.In("to", "new.badrecipient", fault.Args{"email": w})
	}
	until, err := time.ParseInLocation(time.DateOnly, v.Get("until"), r.Printer.Zone)
	noDate := err != nil && v.Get("until") != ""
	if err == nil {
		req.ExpiresAt = until.AddDate(0, 0, 1).Add(-time.Second) // to the end of that day, where the sender is
	}
	var broken bool
	if req.Passphrase, broken = passphrase(v); broken {
		bad = bad.In("pp", "pp.broken", nil)
	}
	if err := d.Sealing.Check(req); err != nil {
		if !fault.Is(err, fault.Invalid) {
			return req, err
		}
		for _, w := range fault.Of(err).Fields {
			if w.Key != "new.norecipient" || len(wrong) == 0 { // there are some, and each is named
				bad = bad.In(w.Name, w.Key, w.Args)
			}
		}
	}
	if strings.TrimSpace(req.Text) == "" && f.next == nil {
		bad = bad.In("body", "new.empty", nil)
	}
	if noDate {
		bad = bad.In("until", "exp.past", nil)
	}
	if len(bad.Fields) > 0 {
		return req, bad
	}
	return req, nil
}

// passphrase is what the page's script derived from one (sealphrase.js), nil
// where there is none. The passphrase itself is not sent.
func passphrase(v url.Values) (p *envelope.Passphrase, broken bool) {
	if v.Get("pp_key") == "" {
		return nil, false
	}
	key, err := envelope.ParseSecret(v.Get("pp_key"))
	salt, serr := base64.RawURLEncoding.Strict().DecodeString(v.Get("pp_salt"))
	if err != nil || serr != nil || len(salt) != 16 {
		return nil, true
	}
	return &envelope.Passphrase{Key: key, Salt: [16]byte(salt), Hint: strings.TrimSpace(v.Get("pp_hint"))}, false
}
