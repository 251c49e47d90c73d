package console

import (
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// event is one audit record as a sentence.
type event struct {
	Sentence string
	At       time.Time
	From     string // network address, or "terminal"
	Refused  bool
}

func eventsOf(p i18n.Printer, rows []store.AuditRow) []event {
	out := make([]event, len(rows))
	for i, row := range rows {
		out[i] = event{account.Sentence(p, row), row.At, row.Origin, row.Outcome == store.Refused}
		if row.Origin == "terminal" {
			out[i].From = p.T("me.terminal")
		}
	}
	return out
}

// auditPage is A16.
type auditPage struct {
	head
	Rows  []event
	Pager web.Pager
}

func (c *Console) audit(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	log, err := c.accounts.Audit(r.Context(), r.Actor(), a.ID, r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return err
	}
	page := &auditPage{headOf(r, a, r.T("au.h1")), eventsOf(r.Printer, log.Records), pager(r, log.Next)}
	page.Pager.Timed = true
	return r.Render(c.pages, "audit", page)
}
