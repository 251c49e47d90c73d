package console

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

// messagesView is what the address of the list says.
type messagesView struct {
	Status            keyserver.Filter
	Query             string
	Sender, Recipient string
	From, Until       string // days, as 2006-01-02
}

func messagesViewOf(v url.Values) messagesView {
	return messagesView{keyserver.Filter(v.Get("status")), v.Get("q"), v.Get("sender"), v.Get("recipient"), v.Get("from"), v.Get("until")}
}

// readable reports whether each filter means something: one that does not would
// narrow nothing, and an act on all that match would reach more than was meant.
func (v messagesView) readable() bool {
	for _, day := range []string{v.From, v.Until} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return false
		}
	}
	return slices.ContainsFunc(messageFilters, func(f messageFilter) bool { return f.filter == v.Status })
}

func (v messagesView) search(r *web.Request) keyserver.MessageSearch {
	day := func(text string, after int) time.Time {
		at, err := time.ParseInLocation(time.DateOnly, text, r.Printer.Zone)
		if err != nil {
			return time.Time{}
		}
		return at.AddDate(0, 0, after)
	}
	return keyserver.MessageSearch{Filter: v.Status, Text: v.Query, Sender: v.Sender, Recipient: v.Recipient, From: day(v.From, 0), Until: day(v.Until, 1)}
}

// Fields are the view's, for forms that pass it on.
func (v messagesView) Fields() [][2]string {
	return [][2]string{{"status", string(v.Status)}, {"q", v.Query}, {"sender", v.Sender}, {"recipient", v.Recipient}, {"from", v.From}, {"until", v.Until}}
}

func (v messagesView) url(path, after string) string {
	q := url.Values{}
	for _, x := range append(v.Fields(), [2]string{"after", after}) {
		if x[1] != "" {
			q.Set(x[0], x[1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// messagesPage lists an account's messages: who, to whom, when, and what came of it.
type messagesPage struct {
	head
	View  messagesView
	Chips []web.Link
	Rows  []messageRow
	Pager web.Pager
	Here  string // the view's first page
}

// Narrowed reports whether the view leaves something out.
func (p *messagesPage) Narrowed() bool { return p.View != messagesView{} }

type messageRow struct {
	keyserver.MessageRow
	URL, Name, To string
	Tag           keyserver.Status
}

type messageFilter struct {
	filter keyserver.Filter
	key    string
}

var messageFilters = []messageFilter{
	{keyserver.FilterAll, "desk.all"}, {keyserver.FilterNotOpened, "sent.notopened"}, {keyserver.FilterOpened, "desk.opened"},
	{keyserver.FilterLocked, "desk.locked"}, {keyserver.FilterExpired, "desk.expired"},
}

// sender is who acts on messages.
func (c *Console) sender(r *web.Request) keyserver.Actor {
	return keyserver.Actor{UserID: r.Session.UserID, Name: r.Session.Actor(r.Client()).String(), Origin: r.Client()} // an operator is a user here
}

// nameOfMessage is what stands for a message where its subject may not.
func nameOfMessage(r *web.Request, m keyserver.SentRow, from string) string {
	if len(m.Recipients) == 1 {
		return id.ShowReference(m.Recipients[0].Ref)
	}
	return r.T("msg.name", "email", from, "date", r.Printer.Time(m.SealedAt))
}

func (c *Console) messages(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	v := messagesViewOf(q)
	rows, next, err := c.keys.Messages(r.Context(), c.sender(r), a.ID, v.search(r), q.Get("after"), pageSize)
	if err != nil {
		return err
	}
	page := &messagesPage{head: headOf(r, a, r.T("msg.h1")), View: v, Pager: web.Pager{Printer: r.Printer, Timed: true}}
	page.Here = v.url(page.Path, "")
	for _, f := range messageFilters {
		chip := v
		chip.Status = f.filter
		page.Chips = append(page.Chips, web.Link{URL: chip.url(page.Path, ""), Text: r.T(f.key), Current: f.filter == v.Status})
	}
	for _, row := range rows {
		to := r.T("desk.recipients", "n", len(row.Recipients))
		if len(row.Recipients) == 1 {
			to = row.Recipients[0].Address
		}
		page.Rows = append(page.Rows, messageRow{row, page.Path + "/" + row.MessageID, nameOfMessage(r, row.SentRow, row.SenderAddress), to, row.Status(r.Printer)})
	}
	if next != "" {
		page.Pager.Next = v.url(page.Path, next)
	}
	if q.Get("after") != "" {
		page.Pager.Prev = page.Here
	}
	return r.Render(c.pages, "messages", page)
}

// messagePage is one message with what can be done to it.
type messagePage struct {
	head
	keyserver.MessageDetail
	Name       string
	Tag        keyserver.Status
	Recipients []messageRecipient
	Reasons    []string // why the gateway sealed it
	Events     []messageEvent
}

type messageRecipient struct {
	keyserver.SentRecipient
	Reference string
	Tag       keyserver.Status
}

// Alive reports whether something can still be done for this recipient.
func (m messageRecipient) Alive() bool { return alive(m.State) }

// Alive reports whether something can still be done with the message.
func (p *messagePage) Alive() bool { return alive(p.State) }

func alive(state string) bool {
	return state == keyserver.StateActive || state == keyserver.StateLocked || state == keyserver.StateExpired
}

type messageEvent struct {
	At   time.Time
	Text string
}

func messagesLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/messages", Text: r.T("msg.h1")}
}

func (c *Console) messagePage(r *web.Request) (*messagePage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	m, err := c.keys.Message(r.Context(), c.sender(r), a.ID, r.PathValue("message"))
	if err != nil {
		return nil, err
	}
	page := &messagePage{MessageDetail: m, Name: nameOfMessage(r, m.SentRow, m.SenderAddress), Tag: m.SentRow.Status(r.Printer)}
	page.head = headOf(r, a, page.Name, messagesLink(r, a.ID))
	for _, s := range m.Recipients {
		page.Recipients = append(page.Recipients, messageRecipient{s, id.ShowReference(s.Ref), s.Status(r.Printer)})
	}
	for _, o := range m.Way {
		page.Reasons = append(page.Reasons, o.Say(r.Printer))
	}
	for _, e := range m.Activity {
		page.Events = append(page.Events, messageEvent{e.At, e.Say(r.Printer)})
	}
	return page, nil
}

func (c *Console) message(r *web.Request) error {
	page, err := c.messagePage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "message", page)
}

// messageActs are what an administrator may do to a message, by the form's value.
var messageActs = map[string]struct{ kind, done, button, what string }{
	"lock":   {keyserver.ActLock, "msg.locked", "sent.lock", ""},
	"unlock": {keyserver.ActUnlock, "msg.unlocked", "sent.unlock", ""},
	"end":    {keyserver.ActEnd, "msg.ended", "sent.expire", ""},
	"resend": {keyserver.ActResend, "msg.resent", "sent.resend", ""},
	"expire": {keyserver.ActExpire, "msg.expired", "sent.expirenow", "sent.expirewhat"},
	"recall": {keyserver.ActRecall, "msg.recalled", "sent.recall", "sent.recallwhat"},
}

func (c *Console) actOnMessage(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	name := r.PostFormValue("do")
	what, ok := messageActs[name]
	page, err := c.messagePage(r) // of this account, and this administrator's to act on
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.NotFound, "e404.p")
	}
	slot := r.PostFormValue("slot")
	act := keyserver.Act{Kind: what.kind, Reason: r.PostFormValue("reason")}
	if what.what != "" && r.PostFormValue("sure") == "" {
		return r.Render(c.pages, "message-sure", &surePage{head: page.head, Question: r.T("msg.sure", "act", r.T(what.button), "name", page.Name), What: r.T(what.what),
			Opened: page.Opened, Fields: [][2]string{{"do", name}, {"slot", slot}, {"sure", "1"}}, Button: r.T(what.button), Action: page.Path, Back: page.Path})
	}
	if act.Kind == keyserver.ActEnd {
		day, err := time.ParseInLocation(time.DateOnly, r.PostFormValue("until"), r.Printer.Zone)
		if err != nil {
			return r.Again(c.pages, "message", page, fault.New(fault.Invalid, "err.title").In("until", "exp.past", nil).Because(err))
		}
		act.Until = day.AddDate(0, 0, 1).Add(-time.Second)
	}
	done, err := c.keys.Act(r.Context(), c.sender(r), act, page.MessageID, slot)
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		return r.Again(c.pages, "message", page, err)
	}
	switch {
	case !done.Changed:
		r.Flash("ok", "sent.wasso")
	case name == "lock" && done.Opened > 0:
		r.Flash("warn", "msg.lockedopened", "n", done.Opened)
	default:
		r.Flash("ok", what.done)
	}
	return r.Redirect(accountPath(n) + "/messages/" + page.MessageID)
}

// surePage asks before what cannot be undone, and passes the form on.
type surePage struct {
	head
	Question, What string
	Opened         int
	Fields         [][2]string
	IDs            []string
	Button         string
	Action, Back   string
}

// manyPage tells what an act on many came to.
type manyPage struct {
	head
	Lines  []string
	Fields [][2]string // to go on
	More   bool
	Back   string
}

// actOnMessages acts on those that are ticked, or on all that the view finds,
// up to a thousand in one request.
func (c *Console) actOnMessages(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "err.title").Because(err)
	}
	v, name := messagesViewOf(r.PostForm), r.PostFormValue("do")
	what, ok := messageActs[name]
	if !ok || name != "lock" && name != "unlock" && name != "expire" || !v.readable() {
		return fault.New(fault.NotFound, "e404.p")
	}
	matching, ids := r.PostFormValue("which") == "matching", r.PostForm["id"]
	path := accountPath(a.ID) + "/messages"
	back := v.url(path, "")
	if !matching && len(ids) == 0 {
		r.Flash("bad", "sent.nothing")
		return r.Redirect(back)
	}
	fields := append(v.Fields(), [2]string{"do", name}, [2]string{"sure", "1"})
	if matching {
		fields = append(fields, [2]string{"which", "matching"})
	}
	if r.PostFormValue("sure") == "" {
		page := &surePage{head: headOf(r, a, r.T(what.button), messagesLink(r, a.ID)), Question: r.T("msg.suremany", "n", len(ids), "act", r.T(what.button)), Fields: fields, IDs: ids,
			Button: r.T(what.button), Action: path, Back: back}
		if matching {
			page.Question, page.IDs = r.T("msg.surematching", "act", r.T(what.button)), nil
		}
		if what.what != "" {
			page.What = r.T(what.what)
		}
		return r.Render(c.pages, "message-sure", page)
	}
	var done keyserver.Many
	if act := (keyserver.Act{Kind: what.kind}); matching {
		done, err = c.keys.ActOnMessages(r.Context(), c.sender(r), act, a.ID, v.search(r), r.PostFormValue("after"))
	} else {
		if ids, err = c.mine(r, a.ID, ids); err == nil {
			done, err = c.keys.ActOnMany(r.Context(), c.sender(r), act, ids)
		}
	}
	if err != nil {
		return err
	}
	page := &manyPage{head: headOf(r, a, r.T("sent.result"), messagesLink(r, a.ID)), Back: back, More: matching && done.Next != ""}
	page.Fields = append(fields, [2]string{"after", done.Next})
	page.Lines = []string{r.T("sent.changed", "n", done.Changed), r.T("sent.same", "n", done.Same), r.T("sent.refused", "n", done.Refused)}
	return r.Render(c.pages, "message-many", page)
}

// mine keeps the messages that are of the account in the address: an
// administrator of two is not to act on the other's here.
func (c *Console) mine(r *web.Request, number int64, ids []string) (out []string, err error) {
	for _, m := range ids {
		if _, err := c.keys.Message(r.Context(), c.sender(r), number, m); fault.Is(err, fault.NotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// exportMessages is the list as CSV, all that the view finds.
func (c *Console) exportMessages(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "err.title").Because(err)
	}
	v := messagesViewOf(r.PostForm)
	if err := c.keys.RecordExport(r.Context(), c.sender(r), a.ID); err != nil {
		return err
	}
	rows, next, err := c.keys.Messages(r.Context(), c.sender(r), a.ID, v.search(r), "", pageSize)
	if err != nil {
		return err
	}
	return r.CSV("messages-"+strconv.FormatInt(a.ID, 10)+".csv", []string{"sealed_at", "sender", "recipient", "reference", "state", "delivery", "first_opened_at", "openings", "expires_at"},
		func(write func(...string) error) error {
			for {
				for _, m := range rows {
					for _, s := range m.Recipients {
						end := m.ExpiresAt
						if !s.ExpiresAt.IsZero() {
							end = s.ExpiresAt
						}
						if err := write(stamp(m.SealedAt), m.SenderAddress, s.Address, id.ShowReference(s.Ref), s.State, s.Delivery, stamp(s.FirstOpenedAt), strconv.Itoa(s.Openings), stamp(end)); err != nil {
							return err
						}
					}
				}
				if next == "" {
					return nil
				}
				if rows, next, err = c.keys.Messages(r.Context(), c.sender(r), a.ID, v.search(r), next, pageSize); err != nil {
					return err
				}
			}
		})
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
