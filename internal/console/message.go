package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// messagesView is what the address of the list says.
type messagesView struct {
	Status            keyserver.Filter
	Query             string // what was typed; what it means is in the next three, once that is decided
	Message           string // id
	Sender, Recipient string
	From, Until       string // days, as 2006-01-02
}

func messagesViewOf(v url.Values) messagesView {
	return messagesView{keyserver.Filter(v.Get("status")), v.Get("q"), v.Get("message"), v.Get("sender"), v.Get("recipient"), v.Get("from"), v.Get("until")}
}

// search is what the view asks for; err says what of it means nothing.
func (v messagesView) search(r *web.Request) (find keyserver.MessageSearch, err error) {
	var wrong mistakes
	find = keyserver.MessageSearch{Filter: v.Status, MessageID: v.Message, Sender: strings.TrimSpace(v.Sender), Recipient: strings.TrimSpace(v.Recipient)}
	find.From, find.Until = wrong.period(r, day{"from", v.From}, day{"until", v.Until})
	if !slices.ContainsFunc(messageFilters, func(f messageFilter) bool { return f.filter == v.Status }) {
		wrong.add("status", "people.choice")
		find.Filter = keyserver.FilterAll
	}
	return find, wrong.err()
}

// Fields are the view's, for forms that pass it on.
func (v messagesView) Fields() [][2]string {
	return [][2]string{{"status", string(v.Status)}, {"q", v.Query}, {"message", v.Message}, {"sender", v.Sender}, {"recipient", v.Recipient}, {"from", v.From}, {"until", v.Until}}
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
	Meant messagesView // View with its query resolved: what is shown, and what an act or the list as a file is of
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
	return keyserver.Actor{UserID: r.Session.UserID, Session: r.Session.Hash, Name: r.Session.Actor(r.Client()).String(), Origin: r.Client()} // an operator is a user here
}

// nameOfMessage is what stands for a message where its subject may not.
func nameOfMessage(r *web.Request, m keyserver.SentRow, from string) string {
	if len(m.Recipients) == 1 {
		return id.ShowReference(m.Recipients[0].Ref)
	}
	return r.T("msg.name", "email", from, "date", r.Printer.Time(m.SealedAt))
}

func (c *Console) messages(r *web.Request) error {
	page, wrong, err := c.messagesPage(r, r.URL.Query())
	if err != nil {
		return err
	}
	if wrong != nil {
		return r.Again(c.pages, "messages", page, wrong)
	}
	return r.Render(c.pages, "messages", page)
}

// messagesPage reads the list that q asks for. Where that is wrong, nothing is listed.
func (c *Console) messagesPage(r *web.Request, q url.Values) (page *messagesPage, wrong, err error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, nil, err
	}
	v := messagesViewOf(q)
	find, wrong := v.search(r)
	after := q.Get("after")
	meant, err := c.meant(r, a.ID, v, find, after) // where it is wrong, too: who may not is refused
	if err != nil {
		return nil, nil, err
	}
	find.MessageID, find.Sender, find.Recipient = meant.Message, meant.Sender, meant.Recipient
	rows, next, err := c.keys.Messages(r.Context(), c.sender(r), a.ID, find, after, pageSize)
	if err != nil {
		return nil, nil, err
	}
	page = &messagesPage{head: headOf(r, a, r.T("msg.h1")), View: v, Meant: meant, Pager: web.Pager{Printer: r.Printer, Timed: true}}
	page.Path = accountPath(a.ID) + "/messages"
	page.Here = v.url(page.Path, "")
	for _, f := range messageFilters {
		chip := v
		chip.Status = f.filter
		page.Chips = append(page.Chips, web.Link{URL: chip.url(page.Path, ""), Text: r.T(f.key), Current: f.filter == v.Status})
	}
	if wrong != nil {
		r.Self = page.Here
		page.View.Status = find.Filter // one that there is not is mended by choosing another
		return page, wrong, nil
	}
	for _, row := range rows {
		to := r.T("desk.recipients", "n", len(row.Recipients))
		if len(row.Recipients) == 1 {
			to = row.Recipients[0].Address
		}
		tag := row.Status(r.Printer)
		for _, s := range row.Recipients { // of whom one looks for, what became of theirs
			if find.To() != "" && strings.EqualFold(s.Address, find.To()) {
				to, tag = s.Address, s.Status(r.Printer)
			}
		}
		page.Rows = append(page.Rows, messageRow{row, page.Path + "/" + row.MessageID, nameOfMessage(r, row.SentRow, row.SenderAddress), to, tag})
	}
	if next != "" {
		page.Pager.Next = meant.url(page.Path, next)
	}
	if after != "" {
		page.Pager.Prev = meant.url(page.Path, "")
	}
	return page, nil, nil
}

// meant is a view in which its query is resolved.
func (c *Console) meant(r *web.Request, number int64, v messagesView, find keyserver.MessageSearch, after string) (messagesView, error) {
	find, err := c.keys.Means(r.Context(), c.sender(r), number, find, v.Query, after)
	v.Query, v.Message, v.Sender, v.Recipient = "", find.MessageID, find.Sender, find.Recipient
	return v, err
}

// messagesAgain answers to a form that passes wrong filters on.
func (c *Console) messagesAgain(r *web.Request) error {
	page, wrong, err := c.messagesPage(r, r.PostForm)
	if err != nil {
		return err
	}
	return r.Again(c.pages, "messages", page, wrong)
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

// messageTexts are how the page says what an administrator may do to a message.
var messageTexts = map[string]struct{ done, button, what string }{
	keyserver.ActLock:   {"msg.locked", "sent.lock", ""},
	keyserver.ActUnlock: {"msg.unlocked", "sent.unlock", ""},
	keyserver.ActEnd:    {"msg.ended", "sent.expire", ""},
	keyserver.ActResend: {"msg.resent", "sent.resend", ""},
	keyserver.ActExpire: {"msg.expired", "sent.expirenow", "sent.expirewhat"},
	keyserver.ActRecall: {"msg.recalled", "sent.recall", "sent.recallwhat"},
}

func (c *Console) actOnMessage(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	n := a.ID
	name, slot := r.PostFormValue("do"), r.PostFormValue("slot")
	kind, ok := keyserver.Named(name)
	if !ok {
		return fault.New(fault.NotFound, "e404.p")
	}
	texts := messageTexts[kind]
	if texts.what != "" && r.PostFormValue("sure") == "" {
		page, err := c.messagePage(r)
		if err != nil {
			return err
		}
		question, opened := r.T("msg.sure", "act", r.T(texts.button), "name", page.Name), page.Opened
		for _, s := range page.MessageDetail.Recipients {
			if s.SlotID == slot {
				question, opened = r.T("msg.surefor", "act", r.T(texts.button), "name", page.Name, "email", s.Address), min(s.Openings, 1)
			}
		}
		return r.Render(c.pages, "message-sure", &surePage{head: page.head, Question: question, What: r.T(texts.what),
			Opened: opened, Fields: [][2]string{{"do", name}, {"slot", slot}, {"sure", "1"}}, Button: r.T(texts.button), Action: page.Path, Back: page.Path})
	}
	act := keyserver.Act{Kind: kind, Account: n, Reason: r.PostFormValue("reason")}
	var done keyserver.Acted
	if act.Until, err = lastDay(r, kind); err == nil {
		done, err = c.keys.Act(r.Context(), c.sender(r), act, r.PathValue("message"), slot)
	}
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, unread := c.messagePage(r)
		if unread != nil {
			return unread
		}
		return r.Again(c.pages, "message", page, err)
	}
	switch {
	case !done.Changed:
		r.Flash("ok", "sent.wasso")
	case done.Recipient != "":
		r.Flash("ok", "msg.donefor", "act", r.T(texts.button), "email", done.Recipient)
	case kind == keyserver.ActLock && done.Opened > 0:
		r.Flash("warn", "msg.lockedopened", "n", done.Opened)
	default:
		r.Flash("ok", texts.done)
	}
	return r.Redirect(accountPath(n) + "/messages/" + r.PathValue("message"))
}

// lastDay is the end that the form of ActEnd names, zero: never. Fault: exp.bad.
func lastDay(r *web.Request, kind string) (time.Time, error) {
	if kind != keyserver.ActEnd || r.PostFormValue("never") != "" {
		return time.Time{}, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, strings.TrimSpace(r.PostFormValue("until")), r.Printer.Zone)
	if err != nil {
		return day, fault.New(fault.Invalid, "err.title").In("until", "exp.bad", nil).Because(err)
	}
	return day.AddDate(0, 0, 1).Add(-time.Second), nil
}

// surePage asks before what cannot be undone, and passes the form on.
type surePage struct {
	head
	Question, What string
	Criteria       [][2]string // what was looked for, and which
	Opened         int
	Fields         [][2]string
	IDs            []string
	Button         string
	Action, Back   string
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
	kind, _ := keyserver.Named(name)
	if !keyserver.ForMany(kind) {
		return fault.New(fault.NotFound, "e404.p")
	}
	find, wrong := v.search(r)
	if wrong != nil {
		return c.messagesAgain(r)
	}
	matching, ids := r.PostFormValue("which") == "matching", r.PostForm["id"]
	path := accountPath(a.ID) + "/messages"
	if !matching && len(ids) == 0 {
		r.Flash("bad", "sent.nothing")
		return r.Redirect(v.url(path, ""))
	}
	if r.PostFormValue("sure") == "" {
		return c.askOnMessages(r, a, v, find, kind)
	}
	if v.Query != "" { // what it means was decided before anybody was asked
		return fault.New(fault.Invalid, "err.title")
	}
	fields := append(v.Fields(), [2]string{"do", name}, [2]string{"sure", "1"})
	act := keyserver.Act{Kind: kind, Account: a.ID, Only: find.To()}
	var done keyserver.Many
	if matching {
		done, err = c.keys.ActOnMessages(r.Context(), c.sender(r), act, a.ID, find, r.PostFormValue("all") != "", r.PostFormValue("after"))
		fields = append(fields, [2]string{"which", "matching"}, [2]string{"all", r.PostFormValue("all")}, [2]string{"after", done.Next})
	} else {
		done, err = c.keys.ActOnMany(r.Context(), c.sender(r), act, ids)
	}
	if err != nil {
		return err
	}
	for _, left := range done.Left {
		fields = append(fields, [2]string{"id", left})
	}
	says := strings.Join([]string{r.T("sent.changed", "n", done.Changed), r.T("sent.same", "n", done.Same), r.T("sent.refused", "n", done.Refused)}, " · ")
	var more *web.Undo
	if done.Next != "" || len(done.Left) > 0 {
		more = &web.Undo{Key: "msg.goon", Action: path, Fields: fields}
	}
	switch {
	case done.Broken != nil:
		r.FlashUndo("bad", more, "msg.broken", "lines", says)
	case more != nil:
		r.FlashUndo("info", more, "msg.more", "lines", says)
	default:
		r.Flash("ok", "msg.result", "lines", says)
	}
	return r.Redirect(v.url(path, "")) // which acts on nothing when it is loaded again
}

// askOnMessages asks before an act on several messages. What the query means is
// decided here and is in the form, so that it does not change under the question.
func (c *Console) askOnMessages(r *web.Request, a account.AccountHead, v messagesView, find keyserver.MessageSearch, kind string) error {
	meant, err := c.meant(r, a.ID, v, find, "")
	if err != nil {
		return err
	}
	texts, ids, path := messageTexts[kind], r.PostForm["id"], accountPath(a.ID)+"/messages"
	page := &surePage{head: headOf(r, a, r.T(texts.button), messagesLink(r, a.ID)), Question: r.T("msg.suremany", "n", len(ids), "act", r.T(texts.button)), IDs: ids,
		Fields: append(meant.Fields(), [2]string{"do", r.PostFormValue("do")}, [2]string{"sure", "1"}), Button: r.T(texts.button), Action: path, Back: meant.url(path, "")}
	find.MessageID, find.Sender, find.Recipient = meant.Message, meant.Sender, meant.Recipient
	if to := find.To(); to != "" {
		page.What = r.T("msg.onlyto", "email", to)
	}
	if r.PostFormValue("which") == "matching" {
		n, err := c.keys.CountMessages(r.Context(), c.sender(r), a.ID, find)
		if err != nil {
			return err
		}
		page.Question, page.IDs, page.Criteria = r.T("msg.suremany", "n", n, "act", r.T(texts.button)), nil, meant.criteria(r)
		if n > store.MaxCount {
			page.Question = r.T("msg.suremore", "n", store.MaxCount, "act", r.T(texts.button))
		}
		page.Fields = append(page.Fields, [2]string{"which", "matching"})
		if find == (keyserver.MessageSearch{}) { // the question is about all
			page.Fields = append(page.Fields, [2]string{"all", "1"})
		}
	}
	if texts.what != "" {
		page.What = strings.TrimSpace(page.What + " " + r.T(texts.what))
	}
	return r.Render(c.pages, "message-sure", page)
}

// criteria are what a view looks for, in words.
func (v messagesView) criteria(r *web.Request) (out [][2]string) {
	add := func(key, value string) {
		if value != "" {
			out = append(out, [2]string{r.T(key), value})
		}
	}
	add("msg.sender", v.Sender)
	add("msg.recipient", v.Recipient)
	add("sent.from", dayText(r.Printer, v.From))
	add("sent.until", dayText(r.Printer, v.Until))
	for _, f := range messageFilters {
		if f.filter == v.Status && v.Status != keyserver.FilterAll {
			add("desk.status", r.T(f.key))
		}
	}
	return out
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
	find, wrong := v.search(r)
	if wrong != nil {
		return c.messagesAgain(r)
	}
	if err := c.keys.RecordExport(r.Context(), c.sender(r), a.ID); err != nil {
		return err
	}
	if find, err = c.keys.Means(r.Context(), c.sender(r), a.ID, find, v.Query, ""); err != nil {
		return err
	}
	rows, next, err := c.keys.Messages(r.Context(), c.sender(r), a.ID, find, "", pageSize)
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
				if rows, next, err = c.keys.Messages(r.Context(), c.sender(r), a.ID, find, next, pageSize); err != nil {
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
