package desk

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

// answerPage is R6: a reply to an envelope, or its message passed on.
type answerPage struct {
	web.Base
	keyserver.Original
	Kind     string
	Heading  string
	Names    []string // who gets a reply
	First    string   // subject that stands there at first
	Max      int64    // MB of all files together
	InClear  bool     // it may go as plain mail to the account's own server
	Download string   // address of the kept ciphertext, "" when it is not kept
	Second   string   // where a high level's second factor is proved, "" where none is asked for

	FilesLost bool // after a form came back: a browser does not give its files back
}

// Forward reports whether the message is passed on.
func (p *answerPage) Forward() bool { return p.Kind == keyserver.Forward }

// Path is the address of the envelope's pages.
func (p *answerPage) Path() string { return "/e/" + p.Ref }

// Action is where the form goes.
func (p *answerPage) Action() string { return action(p.Ref, p.Kind) }

func action(ref, kind string) string {
	switch kind {
	case keyserver.Forward:
		return "/e/" + ref + "/forward"
	case keyserver.ReplyAll:
		return "/e/" + ref + "/reply?to=all"
	}
	return "/e/" + ref + "/reply"
}

// secondPage is where a second factor is proved before an answer to an envelope of
// high level: opening it has used up the one before.
func secondPage(ref, kind string) string { return "/second?next=" + url.QueryEscape(action(ref, kind)) }

func (d *desk) reply(r *web.Request) error     { return d.answer(r, replyKind(r)) }
func (d *desk) forward(r *web.Request) error   { return d.answer(r, keyserver.Forward) }
func (d *desk) sendReply(r *web.Request) error { return d.sendAnswer(r, replyKind(r)) }
func (d *desk) sendForward(r *web.Request) error {
	return d.sendAnswer(r, keyserver.Forward)
}

func replyKind(r *web.Request) string {
	if r.URL.Query().Get("to") == "all" {
		return keyserver.ReplyAll
	}
	return keyserver.Reply
}

func (d *desk) answer(r *web.Request, kind string) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	o, err := d.Keys.Answerable(r.Context(), r.Visitor(), ref, kind)
	switch {
	case fault.HasKey(err, "release.level.second"):
		return r.Redirect(secondPage(ref, kind))
	case fault.HasKey(err, "answer.denied") || fault.HasKey(err, "reply.limit"):
		return err
	case err != nil && !fault.Is(err, fault.Internal) && !fault.Is(err, fault.Unavailable):
		return r.Redirect("/e/" + ref) // which says what is missing, and to a stranger nothing
	case err != nil:
		return err
	}
	return r.Render(d.pages, "reply", d.answerPage(r, kind, o))
}

func (d *desk) answerPage(r *web.Request, kind string, o keyserver.Original) *answerPage {
	p := &answerPage{Original: o, Kind: kind, Max: d.Sealing.MaxFiles() >> 20}
	prefix := "answer.re"
	switch kind {
	case keyserver.Forward:
		p.Heading, prefix = r.T("answer.forward"), "answer.fwd"
		p.Max = d.Sealing.MaxForwarded() >> 20
	case keyserver.ReplyAll:
		p.Heading = r.T("read.replyall")
	default:
		p.Heading = r.T("reply.h1", "sender", o.Sender.Name)
	}
	p.First = o.Subject
	if lead := r.T(prefix); !strings.HasPrefix(strings.ToLower(o.Subject), strings.ToLower(lead)) {
		p.First = string([]rune(lead + " " + o.Subject)[:min(len([]rune(lead))+1+len([]rune(o.Subject)), 200)])
	}
	for _, to := range o.To {
		name := to.Address.String()
		if to.Ref == "" && o.Sender.Name != "" && o.Sender.Name != o.Sender.Address {
			name = o.Sender.Name + " <" + name + ">"
		}
		p.Names = append(p.Names, name)
	}
	p.InClear = kind != keyserver.Forward && o.Settings.Replies == policy.RepliesTLS
	if o.Kept {
		p.Download = "/api/v1/open/envelope/" + o.Slot.String()
	}
	if o.Permissions.Under(o.Settings).Level == policy.High {
		p.Second = secondPage(o.Ref, kind)
	}
	p.Base = r.Base(p.Heading)
	p.Brand = o.Look
	return p
}

func (d *desk) sendAnswer(r *web.Request, kind string) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	scripted := r.WantsJSON()
	r.Self = "/e/" + ref
	// Before anything is read: who may not answer uploads nothing.
	o, err := d.Keys.MayAnswer(r.Context(), keyserver.AnswerAct{Visitor: r.Visitor(), Ref: ref, Kind: kind})
	if err != nil {
		if scripted {
			base := r.Base(r.T("err.title"))
			return tell(r, &base, err)
		}
		return err
	}
	page := d.answerPage(r, kind, o)
	r.Self = page.Action()
	f, err := readForm(r)
	if f == nil {
		return err
	}
	if err == nil {
		var a sealing.Answer
		if a, err = d.answerOf(r, kind, o, f); err == nil {
			err = d.Sealing.Answer(r.Context(), a)
		}
	}
	if err != nil {
		// A browser shows no answer before it has sent everything.
		if _, derr := io.Copy(io.Discard, r.Body); derr != nil && !errors.Is(derr, context.Canceled) {
			err = errors.Join(err, derr)
		}
		page.Input, page.FilesLost = f.values, f.files
		if scripted {
			return tell(r, &page.Base, err)
		}
		return r.Again(d.pages, "reply", page, err)
	}
	said := "reply.sent"
	if kind == keyserver.Forward {
		said = "answer.forwarded"
	}
	r.Flash("ok", said)
	return d.next(r, scripted, page.Path())
}

// tell says to the page's script what is wrong, a refusal too: the form stays, with
// what was typed, while a proof is given anew elsewhere.
func tell(r *web.Request, page *web.Base, err error) error {
	f := fault.Of(err)
	if f.Kind == fault.Internal {
		return err
	}
	page.Problem = f
	return r.JSONProblem(f.Kind, answer{Problems: complaints(page)})
}

// answerOf reads the fields and says what is wrong with them, all at once, before
// any file is read.
func (d *desk) answerOf(r *web.Request, kind string, o keyserver.Original, f *form) (sealing.Answer, error) {
	v := f.values
	a := sealing.Answer{Visitor: r.Visitor(), Ref: o.Ref, Kind: kind, Subject: v.Get("subject"), Text: v.Get("body"), Files: f.file}
	if u := r.User(); u != nil && u.ID == o.UserID {
		a.Name, a.Notify = u.Name(), u.NotifyOpened
	}
	bad := fault.New(fault.Invalid, "err.title")
	var wrong []string
	if kind == keyserver.Forward {
		a.Larges = strings.Fields(v.Get("large"))
		a.To, wrong = mailaddr.ParseList(v.Get("to"))
		for _, w := range wrong[:min(len(wrong), maxNamed)] {
			bad = bad.In("to", "new.badrecipient", fault.Args{"email": w})
		}
		if len(a.To) > keyserver.MaxForward {
			bad = bad.In("to", "answer.toomany", fault.Args{"n": keyserver.MaxForward})
		}
	}
	if err := d.Sealing.CheckAnswer(a, o); err != nil {
		if !fault.Is(err, fault.Invalid) {
			return a, err
		}
		for _, w := range fault.Of(err).Fields {
			if w.Key != "new.norecipient" || len(wrong) == 0 {
				bad = bad.In(w.Name, w.Key, w.Args)
			}
		}
	}
	if strings.TrimSpace(a.Text) == "" && f.next == nil {
		bad = bad.In("body", "new.empty", nil)
	}
	if len(bad.Fields) > 0 {
		return a, bad
	}
	return a, nil
}
