package portal

import (
	"net/url"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

const inboxSize = 50

// inboxPage is R10: what was sealed to the addresses that the session has proved.
// The subject is inside the envelope, and not here.
type inboxPage struct {
	web.Base
	Query    string
	Unproved bool // an administrator made this user, who has to prove the address
	Rows     []inboxRow
	Pager    web.Pager
}

type inboxRow struct {
	keyserver.ReceivedRow
	Reference string
	Class     string // colour of the status
	Status    string
}

func (p *portal) inbox(r *web.Request) error {
	q := r.URL.Query()
	page := &inboxPage{Base: r.Base(r.T("in.h1")), Query: q.Get("q")}
	list, err := p.Keys.Received(r.Context(), r.Visitor(), page.Query, q.Get("after"), inboxSize)
	if err != nil {
		return err
	}
	page.Unproved = list.Unproved
	for _, row := range list.Rows {
		class, status := receivedStatus(r, row)
		page.Rows = append(page.Rows, inboxRow{row, id.ShowReference(row.Ref), class, status})
	}
	page.Pager = web.Pager{Printer: r.Printer, Timed: true}
	if list.Next != "" {
		page.Pager.Next = inboxURL(page.Query, list.Next)
	}
	if q.Get("after") != "" {
		page.Pager.Prev = inboxURL(page.Query, "")
	}
	return r.Render(p.pages, "inbox", page)
}

func inboxURL(query, after string) string {
	q := url.Values{}
	for k, v := range map[string]string{"q": query, "after": after} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(q) == 0 {
		return "/inbox"
	}
	return "/inbox?" + q.Encode()
}

func receivedStatus(r *web.Request, row keyserver.ReceivedRow) (class, status string) {
	switch {
	case row.State == keyserver.StateRecalled:
		return "", r.T("st.recalled")
	case row.State == keyserver.StateExpired || row.State == keyserver.StateGone:
		return "", r.T("st.expired")
	case row.State == keyserver.StateLocked:
		return "bad", r.T("st.locked")
	case !row.OpenedAt.IsZero():
		return "ok", r.T("st.opened")
	}
	return "info", r.T("in.unopened")
}
