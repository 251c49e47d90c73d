package desk

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

type draftsPage struct {
	web.Base
	Rows []draftRow
	Days int
}

type draftRow struct {
	ID, Title, To string
	Changed       time.Time
}

func (d *desk) drafts(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	drafts, err := d.Sealing.Drafts(r.Context(), r.Session.UserID)
	if err != nil {
		return err
	}
	p := &draftsPage{Base: r.Base(r.T("dr.h1")), Days: sealing.DraftDays}
	for _, draft := range drafts {
		p.Rows = append(p.Rows, draftRow{draft.ID, draftTitle(r, draft), draftRecipients(r, draft), draft.ChangedAt})
	}
	return r.Render(d.pages, "drafts", p)
}

func draftTitle(r *web.Request, draft sealing.Draft) string {
	if s := strings.TrimSpace(draft.Fields["subject"]); s != "" {
		return s
	}
	return r.T("desk.nosubject")
}

func draftRecipients(r *web.Request, draft sealing.Draft) string {
	to, _ := mailaddr.ParseList(draft.Fields["to"] + "\n" + draft.Fields["cc"])
	switch len(to) {
	case 0:
		return "–"
	case 1:
		return to[0].String()
	}
	return r.T("desk.recipients", "n", len(to))
}

// discardPage asks before a draft is deleted: nothing brings it back.
type discardPage struct {
	web.Base
	Row draftRow
}

func (d *desk) discard(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	draft, err := d.Sealing.Draft(r.Context(), r.Session.UserID, r.PathValue("id"))
	if err != nil {
		return err
	}
	p := &discardPage{Row: draftRow{ID: draft.ID, Title: draftTitle(r, draft)}}
	p.Base = r.Base(r.T("dr.discard", "subject", p.Row.Title))
	return r.Render(d.pages, "discard", p)
}

func (d *desk) deleteDraft(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	draft, err := d.Sealing.Draft(r.Context(), r.Session.UserID, r.PathValue("id"))
	if err == nil {
		err = d.Sealing.DeleteDraft(r.Context(), r.Session.UserID, draft.ID)
	}
	if err != nil {
		return err
	}
	r.Flash("ok", "dr.deleted", "subject", draftTitle(r, draft))
	return r.Redirect("/drafts")
}

// reviewPage is the second look at a message for many people.
type reviewPage struct {
	web.Base
	Draft   sealing.Draft
	Subject string
	N       int
	Domains []domainRow
	To, Cc  []string
}

type domainRow struct {
	Domain string
	N      int
}

func (d *desk) review(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	draft, err := d.Sealing.Draft(r.Context(), r.Session.UserID, r.URL.Query().Get("draft"))
	if err != nil {
		return err
	}
	return r.Render(d.pages, "review", newReviewPage(r, draft))
}

func newReviewPage(r *web.Request, draft sealing.Draft) *reviewPage {
	p := &reviewPage{Base: r.Base(r.T("new.review")), Draft: draft, Subject: draftTitle(r, draft)}
	p.Input = typed(draft)
	count := map[string]int{}
	for _, list := range []struct {
		field string
		out   *[]string
	}{{"to", &p.To}, {"cc", &p.Cc}} {
		addresses, _ := mailaddr.ParseList(draft.Fields[list.field])
		for _, a := range addresses {
			*list.out = append(*list.out, a.String())
			count[a.Domain()]++
			p.N++
		}
	}
	for domain, n := range count {
		p.Domains = append(p.Domains, domainRow{domain, n})
	}
	slices.SortFunc(p.Domains, func(a, b domainRow) int { return cmp.Or(b.N-a.N, strings.Compare(a.Domain, b.Domain)) })
	return p
}

// sendReviewed sends the version that was looked at. A passphrase is not in the
// draft, and typed a second time here.
func (d *desk) sendReviewed(r *web.Request) error {
	r.Self = "/drafts"
	page, err := d.composePage(r)
	if err != nil {
		return err
	}
	if page.Draft, err = d.Sealing.Draft(r.Context(), r.Session.UserID, r.PostFormValue("draft")); err != nil {
		return err
	}
	page.Input = typed(page.Draft)
	fields := typed(page.Draft)
	for _, name := range []string{"pp_key", "pp_salt", "pp_hint"} {
		fields.Set(name, r.PostFormValue(name))
	}
	req, err := d.request(r, fields, len(page.Draft.Files) > 0)
	if err != nil && fields.Get(usedPassphrase) != "" && fields.Get("pp_key") == "" {
		return r.Again(d.pages, "review", newReviewPage(r, page.Draft), err)
	}
	if err == nil && r.PostFormValue("version") != strconv.FormatInt(page.Draft.Version, 10) {
		err = fault.New(fault.Conflict, "err.stale")
	}
	var path string
	if err == nil {
		path, err = d.seal(r, req, page.Draft)
	}
	if err != nil {
		return d.render(r, page, err)
	}
	return r.Redirect(path)
}

// undo takes back what was just sent.
func (d *desk) undo(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	draft, err := d.Keys.Undo(r.Context(), actor(r), r.PathValue("id"))
	if fault.HasKey(err, "undo.late") {
		r.Flash("warn", "undo.late")
		return r.Redirect("/sent/" + r.PathValue("id"))
	}
	if err != nil {
		return err
	}
	r.Flash("ok", "sentok.undone")
	return r.Redirect("/compose?draft=" + draft)
}
