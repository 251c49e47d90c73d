package desk

import (
	"net/url"
	"slices"
	"strings"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

const pageSize = 50

type sentPage struct {
	web.Base
	Tabs   []web.Link
	Query  string
	Status keyserver.Filter
	Rows   []sentRow
	Pager  web.Pager
}

// sentRow is one message with its one word of status.
type sentRow struct {
	keyserver.SentRow
	Title string
	To    string
	Tag   tag
}

// tag is a status in words, with the colour that goes with it.
type tag struct{ Class, Text string }

var filters = []struct {
	filter keyserver.Filter
	key    string
}{
	{keyserver.FilterAll, "desk.all"},
	{keyserver.FilterNotOpened, "sent.notopened"},
	{keyserver.FilterOpened, "desk.opened"},
	{keyserver.FilterLocked, "desk.locked"},
	{keyserver.FilterExpired, "desk.expired"},
}

func (d *desk) sent(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	q := r.URL.Query()
	p := &sentPage{Base: r.Base(r.T("sent.h1")), Query: q.Get("q"), Status: keyserver.Filter(q.Get("status"))}
	for _, f := range filters {
		p.Tabs = append(p.Tabs, web.Link{URL: listURL(f.filter, p.Query, ""), Text: r.T(f.key), Current: f.filter == p.Status})
	}
	rows, next, err := d.Keys.Sent(r.Context(), r.Session.UserID, keyserver.SentSearch{Filter: p.Status, Text: p.Query}, q.Get("after"), pageSize)
	if err != nil {
		return err
	}
	for _, row := range rows {
		p.Rows = append(p.Rows, sentRow{row, title(r, row), recipients(r, row), status(r, row)})
	}
	p.Pager = web.Pager{Printer: r.Printer, Timed: true}
	if next != "" {
		p.Pager.Next = listURL(p.Status, p.Query, next)
	}
	if q.Get("after") != "" {
		p.Pager.Prev = listURL(p.Status, p.Query, "")
	}
	return r.Render(d.pages, "sent", p)
}

func listURL(f keyserver.Filter, query, after string) string {
	q := url.Values{}
	for k, v := range map[string]string{"status": string(f), "q": query, "after": after} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(q) == 0 {
		return "/sent"
	}
	return "/sent?" + q.Encode()
}

func title(r *web.Request, row keyserver.SentRow) string {
	if row.Subject == "" {
		return r.T("desk.nosubject")
	}
	return row.Subject
}

func recipients(r *web.Request, row keyserver.SentRow) string {
	if len(row.Recipients) == 1 {
		return row.Recipients[0].Address
	}
	return r.T("desk.recipients", "n", len(row.Recipients))
}

// status is the one word that matters most: what stops it, then who opened it, then how far it came.
func status(r *web.Request, row keyserver.SentRow) tag {
	n := len(row.Recipients)
	switch {
	case row.State == keyserver.StateExpired || row.State == keyserver.StateGone:
		return tag{"", r.T("st.expired")}
	case row.State == keyserver.StateLocked:
		return tag{"bad", r.T("st.locked")}
	case row.Bounced > 0 && row.Opened == 0:
		return tag{"bad", r.T("st.bounced")}
	case row.Opened == n:
		return tag{"ok", r.T("st.opened")}
	case row.Opened > 0:
		return tag{"warn", r.T("st.partly", "n", row.Opened, "m", n)}
	}
	for _, s := range row.Recipients {
		switch s.Delivery {
		case "queued":
			return tag{"info", r.T("st.queued")}
		case "passing":
			return tag{"info", r.T("st.passing")}
		}
	}
	return tag{"info", r.T("st.sent")}
}

type detailPage struct {
	web.Base
	keyserver.SentDetail
	Heading    string
	Tag        tag
	Recipients []recipientRow
	Reasons    []string // why the gateway sealed it
	Events     []eventRow
	Undo       int // seconds left in which the sending can be undone
}

type recipientRow struct {
	keyserver.SentRecipient
	Reference string
	Tag       tag
}

type eventRow struct {
	keyserver.Event
	Text string
}

func (d *desk) detail(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	m, err := d.Keys.SentDetail(r.Context(), r.Session.UserID, r.PathValue("id"))
	if err != nil {
		return err
	}
	p := &detailPage{SentDetail: m, Heading: title(r, m.SentRow), Tag: status(r, m.SentRow)}
	p.Base = r.Base(p.Heading, r.T("sent.h1"))
	for _, s := range m.Recipients {
		p.Recipients = append(p.Recipients, recipientRow{s, id.ShowReference(s.Ref), recipientStatus(r, s)})
	}
	for _, o := range m.Way {
		if why := o.Say(r.Printer); !slices.Contains(p.Reasons, why) {
			p.Reasons = append(p.Reasons, why)
		}
	}
	for _, e := range m.Activity {
		p.Events = append(p.Events, eventRow{e, sentence(r, e)})
	}
	if until, err := d.Sealing.UndoUntil(r.Context(), r.Session.UserID, m.MessageID); err != nil {
		return err
	} else if !until.IsZero() {
		p.Undo = int(until.Sub(d.Now()).Seconds()) + 1
	}
	return r.Render(d.pages, "detail", p)
}

func recipientStatus(r *web.Request, s keyserver.SentRecipient) tag {
	switch {
	case s.State == keyserver.StateExpired || s.State == keyserver.StateGone:
		return tag{"", r.T("st.expired")}
	case s.State == keyserver.StateLocked:
		return tag{"bad", r.T("st.locked")}
	case s.Openings > 0:
		return tag{"ok", r.T("st.opened")}
	case s.Delivery == "bounced":
		return tag{"bad", r.T("st.bounced")}
	case s.Delivery == "queued":
		return tag{"info", r.T("st.queued")}
	case s.Delivery == "passing":
		return tag{"info", r.T("st.passing")}
	}
	return tag{"info", r.T("st.sent")}
}

// sentence tells one event in words. Who did it is named without the kind that the log puts before it.
func sentence(r *web.Request, e keyserver.Event) string {
	key, known := map[string]string{
		"envelope.seal":              "desk.ev.seal",
		"envelope.release":           "desk.ev.release",
		"envelope.released_assisted": "desk.ev.assisted",
		"envelope.release_denied":    "desk.ev.denied",
		"envelope.lock":              "desk.ev.lock",
		"envelope.unlock":            "desk.ev.unlock",
	}[e.Action]
	if !known {
		return e.Action
	}
	if e.Action == "envelope.lock" || e.Action == "envelope.unlock" {
		if e.Refused {
			key += "denied"
		} else if e.Recipient != "" {
			key += "one"
		}
	}
	return r.T(key, "actor", name(e.Actor), "target", e.Recipient, "reason", reason(r, e.Reason))
}

func reason(r *web.Request, reason string) string {
	if reason == "" {
		return ""
	}
	key := "desk.why." + reason
	if s := r.T(key); s != key {
		return s
	}
	return reason
}

func name(actor string) string {
	if _, name, ok := strings.Cut(actor, ":"); ok {
		return name
	}
	return actor
}

func (d *desk) lock(r *web.Request) error   { return d.setLock(r, true) }
func (d *desk) unlock(r *web.Request) error { return d.setLock(r, false) }

// setLock acts on the whole message, or on the recipient whose slot the form names.
func (d *desk) setLock(r *web.Request, on bool) error {
	if err := allowed(r); err != nil {
		return err
	}
	act := d.Keys.Unlock
	if on {
		act = d.Keys.Lock
	}
	done, err := act(r.Context(), actor(r), r.PathValue("id"), r.PostFormValue("slot"))
	if err != nil {
		return err
	}
	what := done.Subject
	if what == "" {
		what = r.T("desk.nosubject")
	}
	switch {
	case done.Recipient != "" && on:
		r.Flash("ok", "desk.lockedone", "email", done.Recipient)
	case done.Recipient != "":
		r.Flash("ok", "desk.unlockedone", "email", done.Recipient)
	case on && done.Opened > 0:
		r.Flash("warn", "desk.lockedopened", "subject", what, "n", done.Opened)
	case on:
		r.Flash("ok", "sent.locked", "subject", what)
	default:
		r.Flash("ok", "desk.unlocked", "subject", what)
	}
	return r.Redirect(web.LocalPath(r.PostFormValue("next"), "/sent/"+r.PathValue("id")))
}
