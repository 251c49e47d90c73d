package desk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

const (
	maxText       = 1 << 20 // bytes of one field
	maxRecipients = 100
)

type composePage struct {
	web.Base
	From      string
	Until     string // yyyy-mm-dd, the account's default
	Notify    bool
	Languages []web.Option
	Max       int64 // MB of all files together
	KeptFiles bool  // false after a form came back: a browser does not give its files back
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
		Notify: u.NotifyOpened, Max: d.Sealing.MaxFiles() >> 20, KeptFiles: true,
		Languages: []web.Option{
			{Value: "en", Text: "English", Selected: r.Printer.Lang == "en"},
			{Value: "fr", Text: "Français", Selected: r.Printer.Lang == "fr"},
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
		n, err := io.Copy(&b, io.LimitReader(p, maxText+1))
		if err != nil {
			return f, unreadable(err)
		}
		if n > maxText {
			return f, fault.New(fault.TooLarge, "desk.toolong").In(p.FormName(), "desk.toolong", nil)
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
		page.Input, page.KeptFiles = f.values, !f.files
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

// request checks the fields, all of them, before any file is read.
func (d *desk) request(r *web.Request, f *form) (sealing.Request, error) {
	u, v := r.User(), f.values
	req := sealing.Request{
		Sender: sealing.Sender{UserID: u.ID, Address: u.DisplayAddress, Name: u.Name(), Language: u.Language}, AccountID: r.Session.Account.ID,
		Subject: strings.TrimSpace(v.Get("subject")), Note: strings.TrimSpace(v.Get("note")), Text: v.Get("body"),
		Files: f.file, Notify: v.Get("notify") != "", NoticeLang: v.Get("language"), Origin: r.Client(),
	}
	bad := fault.New(fault.Invalid, "err.title")
	to, wrong := mailaddr.ParseList(v.Get("to"))
	for _, w := range wrong {
		bad = bad.In("to", "new.badrecipient", fault.Args{"email": w})
	}
	switch {
	case len(to) == 0 && len(wrong) == 0:
		bad = bad.In("to", "new.norecipient", nil)
	case len(to) > maxRecipients:
		bad = bad.In("to", "desk.toomany", fault.Args{"max": maxRecipients})
	}
	req.To = to
	if len([]rune(req.Subject)) > 200 {
		bad = bad.In("subject", "err.long", fault.Args{"field": "new.subject", "n": 200})
	}
	if len([]rune(req.Note)) > 500 {
		bad = bad.In("note", "err.long", fault.Args{"field": "open.note", "n": 500})
	}
	if until := v.Get("until"); until != "" {
		day, err := time.ParseInLocation(time.DateOnly, until, r.Printer.Zone)
		if end := day.AddDate(0, 0, 1); err != nil || !end.After(d.Now()) {
			bad = bad.In("until", "exp.past", nil)
		} else {
			req.ExpiresAt = end.Add(-time.Second) // to the end of that day, where the sender is
		}
	}
	if req.NoticeLang != "fr" && req.NoticeLang != "both" {
		req.NoticeLang = "en"
	}
	if strings.TrimSpace(req.Text) == "" && f.next == nil {
		bad = bad.In("body", "new.empty", nil)
	}
	if len(bad.Fields) > 0 {
		return req, bad
	}
	return req, nil
}
