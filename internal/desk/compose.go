package desk

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

const (
	maxNamed   = 20 // wrong addresses that an answer names
	reviewOver = 20 // recipients up to which a message goes without a second look
)

// draftFields are the fields of the form that a draft keeps. "options" says that
// the options were there, since a box that is not ticked is not sent.
var draftFields = []string{"to", "cc", "subject", "note", "body", "options", "until", "remind", "reply", "replyall", "forward", "notify", "level", "language", "pp_hint",
	usedPassphrase, "large"}

// usedPassphrase says that the draft was to be sent with a passphrase, which has
// to be typed again.
const usedPassphrase = "passphrase"

type composePage struct {
	web.Base
	From      string
	Draft     sealing.Draft
	Allowed   policy.Allowed // what the account lets a message allow
	Limit     int            // days that the account allows, 0 = no end
	Languages []web.Option
	Levels    []web.Option
	How       []string // how those who are named will open it
	Max       int64    // MB of all files together
	Large     int64    // bytes of a file that goes beside the mail, 0 = none does
	FilesLost bool     // after a form came back: a browser does not give its files back
}

// HasFile reports whether the form that came back still has the file ticked.
func (p *composePage) HasFile(fileID string) bool {
	return p.Problem == nil || slices.Contains(p.Input["keep"], fileID) || !slices.Contains(p.Input["had"], fileID)
}

func (d *desk) compose(r *web.Request) error {
	page, err := d.composePage(r)
	if err != nil {
		return err
	}
	if draft := r.URL.Query().Get("draft"); draft != "" {
		if page.Draft, err = d.Sealing.Draft(r.Context(), r.Session.UserID, draft); err != nil {
			return err
		}
		page.Input = typed(page.Draft)
	} else if page.Input, err = d.blank(r); err != nil {
		return err
	}
	return d.render(r, page, nil)
}

// render shows the form, with what is wrong with it if err is not nil.
func (d *desk) render(r *web.Request, page *composePage, err error) error {
	to, _ := mailaddr.ParseList(page.Input.Get("to"))
	cc, _ := mailaddr.ParseList(page.Input.Get("cc"))
	how, herr := d.how(r, append(to, cc...), page.Input.Get("level"))
	if herr != nil {
		return herr
	}
	page.How = how
	if err != nil {
		return r.Again(d.pages, "compose", page, err)
	}
	return r.Render(d.pages, "compose", page)
}

func (d *desk) composePage(r *web.Request) (*composePage, error) {
	if err := allowed(r); err != nil {
		return nil, err
	}
	u, acc := r.User(), r.Session.Account
	settings, err := r.Session.Settings()
	if err != nil {
		return nil, err
	}
	if !settings.Compose {
		return nil, fault.New(fault.Denied, "off.compose")
	}
	p := &composePage{
		Base: r.Base(r.T("new.h1")), From: u.Name() + ", " + acc.Name + " <" + u.DisplayAddress + ">",
		Allowed: policy.Permissions{Level: policy.Low}.Under(settings), Limit: settings.ExpiryMax, Max: d.Sealing.MaxFiles() >> 20,
		Languages: languages(r),
	}
	p.Large = d.Keys.LargestFor(settings)
	for _, l := range []string{policy.Low, policy.Medium, policy.High} {
		if policy.Stricter(l, p.Allowed.Level) == l {
			p.Levels = append(p.Levels, web.Option{Value: l, Text: r.T("new.level." + l)})
		}
	}
	return p, nil
}

// LargeGiB is Large as texts say it.
func (p *composePage) LargeGiB() int64 { return p.Large >> 30 }

// languages are those of a mail: one, or both.
func languages(r *web.Request) []web.Option {
	return append(r.Languages(""), web.Option{Value: "both", Text: r.T("desk.both")})
}

// blank is the form before anything has been typed: what the sender prefers.
func (d *desk) blank(r *web.Request) (url.Values, error) {
	prefs, err := d.Accounts.Sending(r.Context(), r.Session)
	if err != nil {
		return nil, err
	}
	v := url.Values{"options": {"1"}, "reply": {"1"}, "replyall": {"1"}, "forward": {"1"}, "level": {policy.Medium}, "language": {prefs.Language}}
	settings, err := r.Session.Settings()
	if err != nil {
		return nil, err
	}
	v.Set("level", policy.Permissions{}.Under(settings).Level)
	if prefs.Language == "" {
		v.Set("language", r.Printer.Lang)
	}
	if prefs.Notify {
		v.Set("notify", "1")
	}
	days := settings.ExpiryDays
	if n, most := prefs.ExpiryDays, settings.ExpiryMax; n > 0 && (most == 0 || n <= most) {
		days = n
	}
	if days > 0 {
		v.Set("until", d.today(r).AddDate(0, 0, days).Format(time.DateOnly))
	}
	if prefs.Signature != "" {
		v.Set("body", "\n\n"+prefs.Signature)
	}
	return v, nil
}

func (d *desk) today(r *web.Request) time.Time { return d.Now().In(r.Printer.Zone) }

// typed is a draft as the form that it came from.
func typed(draft sealing.Draft) url.Values {
	v := url.Values{}
	for name, value := range draft.Fields {
		v.Set(name, value)
	}
	return v
}

// how says for each address how its owner will open the message, as far as the
// sender may know.
func (d *desk) how(r *web.Request, list []mailaddr.Address, level string) ([]string, error) {
	const most = 100
	list = list[:min(len(list), most)]
	settings, err := r.Session.Settings()
	if err != nil {
		return nil, err
	}
	if !policy.IsLevel(level) {
		level = ""
	}
	signedIn, err := d.Accounts.OpensSignedIn(r.Context(), r.Session, list)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range list {
		key := "new.howcode"
		switch {
		case policy.Permissions{Level: level}.Under(settings).Level == policy.High:
			key = "new.howsecond"
		case signedIn[a.Canonical()]:
			key = "new.howaccount"
		}
		out = append(out, r.T(key, "email", a.String()))
	}
	return out, nil
}

// send is the form's [Send], save its [Save draft].
func (d *desk) send(r *web.Request) error { return d.post(r, true) }
func (d *desk) save(r *web.Request) error { return d.post(r, false) }

// post keeps the form as a draft, so that nothing that was typed or chosen is
// lost whatever happens next, and sends that draft if this was asked for.
func (d *desk) post(r *web.Request, send bool) error {
	r.Self = "/compose"
	page, err := d.composePage(r)
	if err != nil {
		return err
	}
	f, err := readForm(r)
	if f == nil {
		return err
	}
	scripted := r.WantsJSON()
	page.Input = f.values
	page.Draft = sealing.Draft{ID: f.values.Get("draft")}
	page.Draft.Version, _ = strconv.ParseInt(f.values.Get("version"), 10, 64) // of no form of ours: no such version
	var req sealing.Request
	if err == nil && send {
		req, err = d.request(r, f.values, f.files || len(f.values["keep"]) > 0)
	}
	page.FilesLost = f.files
	review := len(req.To)+len(req.Cc) > reviewOver
	// A browser does not give its files again: they are kept also where something else is wrong.
	if err == nil || f.files && !scripted && web.Mendable(err) && fault.Is(err, fault.Invalid) && !fault.HasKey(err, "desk.badform") {
		saved, serr := d.Sealing.SaveDraft(r.Context(), d.saving(r, page.Draft, f, err == nil && send && !review))
		if serr == nil {
			page.Draft, page.FilesLost = saved, false
			page.Input.Del("had") // what is kept now was ticked, or has just come
		} else if err == nil {
			err = serr
		}
	}
	if err == nil && send && review {
		return d.next(r, scripted, "/compose/review?draft="+page.Draft.ID)
	}
	if err == nil && send {
		var path string
		if path, err = d.seal(r, req, page.Draft); err == nil {
			return d.next(r, scripted, path)
		}
	}
	if err != nil {
		return d.refuse(r, page, scripted, err)
	}
	if scripted {
		return r.JSON(answer{Draft: draftOf(r, page.Draft), Saved: r.T("dr.savedat", "time", page.Draft.ChangedAt.In(r.Printer.Zone).Format("15:04"))})
	}
	r.Flash("ok", "dr.saved")
	return r.Redirect("/compose?draft=" + page.Draft.ID)
}

func (d *desk) saving(r *web.Request, draft sealing.Draft, f *form, toSend bool) sealing.Saving {
	in := sealing.Saving{UserID: r.Session.UserID, AccountID: r.Session.Account.ID, ID: draft.ID, Version: draft.Version,
		Fields: map[string]string{}, Keep: f.values["keep"], Files: f.file, ToSend: toSend}
	for _, name := range draftFields {
		if v := f.values.Get(name); v != "" {
			in.Fields[name] = v
		}
	}
	if f.values.Get("pp_key") != "" {
		in.Fields[usedPassphrase] = "1"
	}
	return in
}

// seal sends the draft that req was made of, and returns where to look next.
func (d *desk) seal(r *web.Request, req sealing.Request, draft sealing.Draft) (string, error) {
	req.Draft, req.Hold = &draft, d.Undo
	sent, err := d.Sealing.Seal(r.Context(), req)
	if err != nil {
		return "", err
	}
	r.Flash("ok", "sentok.msg", "ref", id.ShowReference(sent.Refs[0]), "n", len(sent.Refs))
	return "/sent/" + sent.MessageID.String() + "?new=1", nil
}

// next leads on, by a redirect or by telling the page's script.
func (d *desk) next(r *web.Request, scripted bool, path string) error {
	if scripted {
		return r.JSON(answer{Next: path})
	}
	return r.Redirect(path)
}

// refuse shows the form again. The draft that it then names is the one as it is
// kept: after err.stale, saving again replaces what the other window saved.
func (d *desk) refuse(r *web.Request, page *composePage, scripted bool, err error) error {
	// A browser shows no answer before it has sent everything.
	if _, derr := io.Copy(io.Discard, r.Body); derr != nil && !errors.Is(derr, context.Canceled) {
		err = errors.Join(err, derr)
	}
	if page.Draft.ID != "" {
		kept, derr := d.Sealing.Draft(r.Context(), r.Session.UserID, page.Draft.ID)
		if derr != nil && !fault.Is(derr, fault.NotFound) {
			return errors.Join(err, derr)
		}
		page.Draft = kept // one that was sent or deleted meanwhile is kept anew by the next saving
	}
	if scripted {
		return d.complain(r, page, err)
	}
	return d.render(r, page, err)
}

// answer is what the page's script is told.
type answer struct {
	Next     string      `json:"next,omitempty"`
	Draft    *draftJSON  `json:"draft,omitempty"`
	Saved    string      `json:"saved,omitempty"`
	Problems []complaint `json:"problems,omitempty"`
	Kept     bool        `json:"kept,omitempty"` // with Problems: the files that came are in the draft
}

type draftJSON struct {
	ID      string     `json:"id"`
	Version int64      `json:"version"`
	Files   []fileJSON `json:"files"`
}

type fileJSON struct {
	ID   string `json:"id"`
	Text string `json:"text"`
	Size int64  `json:"size"`
}

func draftOf(r *web.Request, draft sealing.Draft) *draftJSON {
	out := &draftJSON{draft.ID, draft.Version, []fileJSON{}}
	for _, f := range draft.Files {
		out.Files = append(out.Files, fileJSON{f.ID, f.Name + " (" + r.Printer.Bytes(f.Size) + ")", f.Size})
	}
	return out
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
	out := answer{Draft: draftOf(r, page.Draft), Kept: !page.FilesLost}
	out.Problems = complaints(&page.Base)
	return r.JSONProblem(f.Kind, out)
}

func complaints(page *web.Base) (out []complaint) {
	for _, line := range page.ProblemLines() {
		out = append(out, complaint{strings.TrimPrefix(line.Href, "#f-"), line.Text})
	}
	return out
}

// request reads the fields and says what is wrong with them, all at once, before
// any file is read. The limits are sealing's; here is only what a form can say
// and a request cannot.
func (d *desk) request(r *web.Request, v url.Values, files bool) (sealing.Request, error) {
	u := r.User()
	req := sealing.Request{
		Sender: sealing.Sender{UserID: u.ID, Address: u.DisplayAddress, Name: u.Name(), Language: u.Language}, AccountID: r.Session.Account.ID,
		Subject: v.Get("subject"), Note: v.Get("note"), Text: v.Get("body"), Names: map[string]string{},
		Notify: v.Get("notify") != "", NoticeLang: v.Get("language"), Origin: r.Client(), Larges: strings.Fields(v.Get("large")),
	}
	if req.NoticeLang != "fr" && req.NoticeLang != "both" {
		req.NoticeLang = "en"
	}
	bad := fault.New(fault.Invalid, "err.title")
	anyWrong := false
	for _, list := range []struct {
		field string
		out   *[]mailaddr.Address
	}{{"to", &req.To}, {"cc", &req.Cc}} {
		named, wrong := mailaddr.ParseNames(v.Get(list.field))
		for _, n := range named {
			*list.out = append(*list.out, n.Address)
			if n.Name != "" {
				req.Names[n.Canonical()] = n.Name
			}
		}
		for _, w := range wrong[:min(len(wrong), maxNamed)] {
			bad, anyWrong = bad.In(list.field, "new.badrecipient", fault.Args{"email": w}), true
		}
	}
	if err := d.permit(r, v, &req); err != nil {
		return req, err
	}
	var broken bool
	if req.Passphrase, broken = passphrase(v); broken {
		bad = bad.In("pp", "pp.broken", nil)
	}
	if v.Get(usedPassphrase) != "" && req.Passphrase == nil && !broken {
		bad = bad.In("pp", "new.ppagain", nil)
	}
	settings, err := r.Session.Settings()
	if err != nil {
		return req, err
	}
	late, noDate := false, false
	req.ExpiresAt, noDate, late = d.until(r, settings, v.Get("until"))
	if text := v.Get("remind"); text != "" {
		day, err := time.ParseInLocation(time.DateOnly, text, r.Printer.Zone)
		if err != nil {
			bad = bad.In("remind", "new.badremind", nil)
		} else {
			req.RemindAt = endOf(day)
		}
	}
	if err := d.Sealing.Check(req); err != nil {
		if !fault.Is(err, fault.Invalid) {
			return req, err
		}
		for _, w := range fault.Of(err).Fields {
			if w.Key != "new.norecipient" || !anyWrong { // there are some, and each is named
				bad = bad.In(w.Name, w.Key, w.Args)
			}
		}
	}
	if strings.TrimSpace(req.Text) == "" && !files {
		bad = bad.In("body", "new.empty", nil)
	}
	switch {
	case noDate:
		bad = bad.In("until", "exp.past", nil)
	case late:
		bad = bad.In("until", "exp.max", fault.Args{"n": settings.ExpiryMax})
	}
	if len(bad.Fields) > 0 {
		return req, bad
	}
	return req, nil
}

// passphrase is what the page's script derived from one (sealphrase.js), nil
// where there is none. The passphrase itself is not sent, and of what was
// derived a draft keeps nothing.
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

// until reads the last day on which a message can be opened. Empty is as the
// account has it.
func (d *desk) until(r *web.Request, s policy.Settings, text string) (at time.Time, noDate, late bool) {
	if text == "" {
		if s.ExpiryDays == 0 {
			return time.Time{}, false, false
		}
		return endOf(d.today(r).AddDate(0, 0, s.ExpiryDays)), false, false
	}
	day, err := time.ParseInLocation(time.DateOnly, text, r.Printer.Zone)
	if err != nil {
		return time.Time{}, true, false
	}
	at = endOf(day)
	return at, false, !s.AllowsEnd(at, d.today(r))
}

// endOf is the end of a day, where the sender is.
func endOf(t time.Time) time.Time {
	y, m, day := t.Date()
	return time.Date(y, m, day+1, 0, 0, 0, 0, t.Location()).Add(-time.Second)
}

// permit reads what recipients may do. What the account does not allow is not
// in the form, and the message says nothing of it.
func (d *desk) permit(r *web.Request, v url.Values, req *sealing.Request) error {
	if v.Get("options") == "" {
		return nil
	}
	settings, err := r.Session.Settings()
	if err != nil {
		return err
	}
	can := policy.Permissions{}.Under(settings)
	ticked := func(name string) *bool { on := v.Get(name) != ""; return &on }
	if can.Reply {
		req.Permissions.Reply, req.Permissions.ReplyAll = ticked("reply"), ticked("replyall")
	}
	if can.Forward {
		req.Permissions.Forward = ticked("forward")
	}
	if l := v.Get("level"); policy.IsLevel(l) {
		req.Permissions.Level = l
	}
	return nil
}

// people suggests the sender's own contacts while they type.
func (d *desk) people(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	contacts, err := d.Accounts.Contacts(r.Context(), r.Session, r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	type person struct {
		Email string `json:"email"`
		Name  string `json:"name"`
	}
	out := struct {
		People []person `json:"people"`
	}{[]person{}}
	for _, c := range contacts[:min(len(contacts), 8)] {
		out.People = append(out.People, person{c.DisplayAddress, c.Name})
	}
	return r.JSON(out)
}

// howJSON says how those in a form will open it, while it is being written.
func (d *desk) howJSON(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	to, _ := mailaddr.ParseList(r.PostFormValue("to"))
	cc, _ := mailaddr.ParseList(r.PostFormValue("cc"))
	lines, err := d.how(r, append(to, cc...), r.PostFormValue("level"))
	if err != nil {
		return err
	}
	return r.JSON(struct {
		How []string `json:"how"`
	}{append([]string{}, lines...)})
}
