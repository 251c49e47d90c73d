package desk

import (
	"net/url"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/web"
)

// acts are what a sender can do, by the last part of its address. Those with a
// page are asked before: they need a word more, or cannot be undone.
var acts = map[string]struct {
	kind, button, what string
	ask, askOne        string
	final              bool
}{
	"lock":      {keyserver.ActLock, "sent.lock", "sent.lockwhat", "sent.asklock", "sent.asklockone", false},
	"unlock":    {kind: keyserver.ActUnlock},
	"expire":    {keyserver.ActExpire, "sent.expirenow", "sent.expirewhat", "sent.askexpire", "sent.askexpireone", true},
	"recall":    {keyserver.ActRecall, "sent.recall", "sent.recallwhat", "sent.askrecall", "sent.askrecallone", true},
	"resend":    {keyserver.ActResend, "sent.resend", "sent.resendwhat", "", "sent.askresend", false},
	"readdress": {keyserver.ActReaddress, "sent.sendagain", "sent.correctwhat", "", "sent.correct", false},
}

// actPage asks before an act, or for what it needs.
type actPage struct {
	web.Base
	Name      string // of acts
	MessageID string
	Message   string
	Slot      string // of the one whom it concerns, ""
	Question  string
	What      string
	Opened    int
	Button    string
	Final     bool
	Address   string // of the recipient
}

// Back is the message's page.
func (p *actPage) Back() string { return "/sent/" + p.MessageID }

// sentTo is the message that the address names, and of it what recipientOf says.
func (d *desk) sentTo(r *web.Request, slot string) (m keyserver.SentDetail, one *keyserver.SentRecipient, err error) {
	if m, err = d.Keys.SentDetail(r.Context(), r.Session.UserID, r.PathValue("id")); err == nil {
		one, err = recipientOf(m, slot)
	}
	return m, one, err
}

// recipientOf is the recipient whose slot is named, nil for all; a slot that is
// not the message's is as if it did not exist.
func recipientOf(m keyserver.SentDetail, slot string) (*keyserver.SentRecipient, error) {
	if slot == "" {
		return nil, nil
	}
	for i := range m.Recipients {
		if m.Recipients[i].SlotID == slot {
			return &m.Recipients[i], nil
		}
	}
	return nil, fault.New(fault.NotFound, "e404.h1")
}

func (d *desk) actPage(r *web.Request, name, slot string) (*actPage, error) {
	m, one, err := d.sentTo(r, slot)
	if err != nil {
		return nil, err
	}
	a := acts[name]
	if one == nil && a.ask == "" {
		return nil, fault.New(fault.NotFound, "e404.h1")
	}
	p := &actPage{Name: name, MessageID: m.MessageID, Slot: slot, Message: title(r, m.SentRow), Button: r.T(a.button), Final: a.final, Opened: m.Opened}
	p.Question = r.T(a.ask, "subject", p.Message)
	if one != nil {
		p.Address, p.Opened, p.Question = one.Address, min(one.Openings, 1), r.T(a.askOne, "email", one.Address)
	}
	p.What = r.T(a.what, "email", p.Address)
	if name == "resend" && one.Delivery == "bounced" {
		p.What = r.T("sent.resendheld")
	}
	p.Base = r.Base(p.Question, r.T("sent.h1"))
	return p, nil
}

func (d *desk) ask(name string) func(*web.Request) error {
	return func(r *web.Request) error {
		if err := allowed(r); err != nil {
			return err
		}
		p, err := d.actPage(r, name, r.URL.Query().Get("slot"))
		if err != nil {
			return err
		}
		return r.Render(d.pages, "act", p)
	}
}

// do acts on the whole message, or on the recipient whose slot the form names.
func (d *desk) do(name string) func(*web.Request) error {
	return func(r *web.Request) error {
		if err := allowed(r); err != nil {
			return err
		}
		act, slot := keyserver.Act{Kind: acts[name].kind, Reason: r.PostFormValue("reason")}, r.PostFormValue("slot")
		var done keyserver.Acted
		var err error
		if name == "readdress" {
			if act.To, err = mailaddr.Parse(r.PostFormValue("to")); err != nil {
				err = fault.New(fault.Invalid, "err.title").In("to", "new.badrecipient", fault.Args{"email": r.PostFormValue("to")})
			}
		}
		if err == nil {
			done, err = d.Keys.Act(r.Context(), actor(r), act, r.PathValue("id"), slot)
		}
		if err != nil {
			if acts[name].button == "" || !web.Mendable(err) {
				return err
			}
			r.Self = "/sent/" + r.PathValue("id") + "/" + name + "?" + url.Values{"slot": {slot}}.Encode()
			p, perr := d.actPage(r, name, slot)
			if perr != nil {
				return perr
			}
			return r.Again(d.pages, "act", p, err)
		}
		say(r, name, done)
		return r.Redirect(web.LocalPath(r.PostFormValue("next"), "/sent/"+r.PathValue("id")))
	}
}

// say leaves the words of what was done.
func say(r *web.Request, name string, done keyserver.Acted) {
	what := done.Subject
	if what == "" {
		what = r.T("desk.nosubject")
	}
	one := done.Recipient
	switch {
	case !done.Changed:
		r.Flash("ok", "sent.wasso")
	case name == "lock" && one != "" && done.Opened > 0:
		r.Flash("warn", "sent.lockedoneopened", "email", one)
	case name == "lock" && one != "":
		r.Flash("ok", "desk.lockedone", "email", one)
	case name == "unlock" && one != "":
		r.Flash("ok", "desk.unlockedone", "email", one)
	case name == "lock" && done.Opened > 0:
		r.Flash("warn", "desk.lockedopened", "subject", what, "n", done.Opened)
	case name == "lock":
		r.Flash("ok", "sent.locked", "subject", what)
	case name == "unlock":
		r.Flash("ok", "desk.unlocked", "subject", what)
	case name == "expire" && one != "":
		r.Flash("ok", "sent.didexpireone", "email", one)
	case name == "expire":
		r.Flash("ok", "sent.didexpire", "subject", what)
	case name == "recall" && one != "":
		r.Flash("ok", "sent.didrecallone", "email", one)
	case name == "recall" && done.Unsent == 0:
		r.Flash("ok", "sent.didrecall0", "subject", what)
	case name == "recall":
		r.Flash("ok", "sent.didrecall", "subject", what, "n", done.Unsent)
	case name == "resend" && done.Reminded:
		r.Flash("ok", "sent.didremind", "email", one)
	default:
		r.Flash("ok", "sent.didresend", "email", one)
	}
}

type expiryPage struct {
	web.Base
	MessageID string
	Message   string
	Slot      string
	Heading   string
	Now       string // the end that there is, in words
	Choices   []web.Option
	Date      string
}

// presets are the days that the page offers.
var presets = []int{1, 7, 30}

func (d *desk) expiryPage(r *web.Request, slot string) (*expiryPage, error) {
	m, one, err := d.sentTo(r, slot)
	if err != nil {
		return nil, err
	}
	p := &expiryPage{MessageID: m.MessageID, Message: title(r, m.SentRow), Slot: slot, Heading: r.T("exp.h1")}
	end := m.ExpiresAt
	if one != nil {
		p.Heading = r.T("exp.one", "email", one.Address)
		if !one.ExpiresAt.IsZero() {
			end = one.ExpiresAt
		}
	}
	p.Base = r.Base(p.Heading, r.T("sent.h1"))
	p.Now = r.T("exp.nownever")
	if !end.IsZero() {
		p.Now, p.Date = r.T("exp.now", "date", r.Printer.Date(end)), end.In(r.Printer.Zone).Format(time.DateOnly)
	}
	settings, err := r.Session.Settings()
	if err != nil {
		return nil, err
	}
	most := settings.ExpiryMax
	p.Choices = append(p.Choices, web.Option{Value: "date", Text: r.T("exp.date"), Selected: true})
	for _, n := range presets {
		if most == 0 || n <= most {
			p.Choices = append(p.Choices, web.Option{Value: strconv.Itoa(n), Text: r.T("exp.for", "n", n)})
		}
	}
	switch {
	case one != nil:
		p.Choices = append(p.Choices, web.Option{Value: "never", Text: r.T("exp.asall")})
	case most == 0 || m.ExpiresAt.IsZero():
		p.Choices = append(p.Choices, web.Option{Value: "never", Text: r.T("exp.never")})
	}
	return p, nil
}

func (d *desk) expiry(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	p, err := d.expiryPage(r, r.URL.Query().Get("slot"))
	if err != nil {
		return err
	}
	return r.Render(d.pages, "expiry", p)
}

func (d *desk) setExpiry(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	slot := r.PostFormValue("slot")
	until, err := d.newEnd(r)
	var done keyserver.Acted
	if err == nil {
		done, err = d.Keys.Act(r.Context(), actor(r), keyserver.Act{Kind: keyserver.ActEnd, Until: until}, r.PathValue("id"), slot)
	}
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		r.Self = "/sent/" + r.PathValue("id") + "/expiry?" + url.Values{"slot": {slot}}.Encode()
		p, perr := d.expiryPage(r, slot)
		if perr != nil {
			return perr
		}
		return r.Again(d.pages, "expiry", p, err)
	}
	switch {
	case !done.Changed:
		r.Flash("ok", "sent.wasso")
	case done.Recipient != "":
		r.Flash("ok", "sent.didendone", "email", done.Recipient)
	default:
		what := done.Subject
		if what == "" {
			what = r.T("desk.nosubject")
		}
		r.Flash("ok", "sent.didend", "subject", what)
	}
	return r.Redirect("/sent/" + r.PathValue("id"))
}

// newEnd reads the last day on which it can be opened, and gives its end; zero:
// never.
func (d *desk) newEnd(r *web.Request) (time.Time, error) {
	choice := r.PostFormValue("choice")
	if choice == "never" {
		return time.Time{}, nil
	}
	if n, err := strconv.Atoi(choice); err == nil && n > 0 && n <= 36500 {
		return endOf(d.today(r).AddDate(0, 0, n)), nil
	}
	day, err := time.ParseInLocation(time.DateOnly, r.PostFormValue("until"), r.Printer.Zone)
	if err != nil {
		return day, fault.New(fault.Invalid, "err.title").In("until", "exp.bad", nil)
	}
	return endOf(day), nil
}

// manyPage asks before an act on several messages, or says what it came to.
type manyPage struct {
	web.Base
	View     view
	Act      string
	Matching bool
	IDs      []string
	Question string
	Button   string
	Done     *keyserver.Many // nil: not done yet
	Lines    []string
}

// many acts on the messages that are selected, or on all that match the view.
func (d *desk) many(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "desk.badform").Because(err)
	}
	v := r.PostForm
	name := v.Get("act")
	a, known := acts[name]
	if !known || !keyserver.ForMany(a.kind) {
		return fault.New(fault.Invalid, "desk.badform")
	}
	if view := viewOf(v); !view.readable() {
		return fault.New(fault.Invalid, "desk.badform") // it would narrow nothing, and reach more than was meant
	}
	p := &manyPage{View: viewOf(v), Act: name, Matching: v.Get("which") == "matching", IDs: v["id"]}
	r.Self = p.View.url("")
	if !p.Matching && len(p.IDs) == 0 {
		r.Flash("warn", "sent.nothing")
		return r.Redirect(p.View.url(""))
	}
	if a.final && v.Get("confirm") == "" {
		p.Question, p.Button = r.T("sent.askexpiremany"), r.T(a.button)
		if p.Matching {
			p.Question = r.T("sent.askexpirematching")
		} else {
			p.Lines = append(p.Lines, r.T("sent.many", "n", len(p.IDs)))
		}
		p.Lines = append(p.Lines, r.T(a.what))
		p.Base = r.Base(p.Question, r.T("sent.h1"))
		return r.Render(d.pages, "many", p)
	}
	act := keyserver.Act{Kind: a.kind}
	var done keyserver.Many
	var err error
	if p.Matching {
		done, err = d.Keys.ActOnSent(r.Context(), actor(r), act, p.View.search(r), v.Get("after"))
	} else {
		done, err = d.Keys.ActOnMany(r.Context(), actor(r), act, p.IDs)
	}
	if err != nil {
		return err
	}
	p.Done = &done
	if done.Broken != nil {
		p.Lines = append(p.Lines, r.T("sent.broken"))
	}
	p.Lines = append(p.Lines, r.T("sent.changed", "n", done.Changed))
	if done.Same > 0 {
		p.Lines = append(p.Lines, r.T("sent.same", "n", done.Same))
	}
	if done.Refused > 0 {
		p.Lines = append(p.Lines, r.T("sent.refused", "n", done.Refused))
	}
	if done.Opened > 0 && name != "unlock" {
		p.Lines = append(p.Lines, r.T("sent.lockopened", "n", done.Opened))
	}
	p.Base = r.Base(r.T("sent.result"), r.T("sent.h1"))
	return r.Render(d.pages, "many", p)
}
