package portal

import (
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

// reportPage is R11. Who neither holds the mail nor has proved the address types
// the address, and learns nothing by it.
type reportPage struct {
	landingPage
	Reasons []web.Option
}

// Known reports whether this session may report by itself.
func (p *reportPage) Known() bool { return p.Possession || p.Listed }

func (p *portal) reportPage(r *web.Request) (*reportPage, error) {
	card, err := p.landingPage(r)
	if err != nil {
		return nil, err
	}
	page := &reportPage{landingPage: *card}
	page.Title = r.T("rep.h1")
	for _, reason := range keyserver.ReportReasons {
		page.Reasons = append(page.Reasons, web.Option{Value: reason, Text: r.T("rep." + reason), Selected: reason == r.PostFormValue("reason")})
	}
	return page, nil
}

func (p *portal) report(r *web.Request) error {
	page, err := p.reportPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "report", page)
}

func (p *portal) sendReport(r *web.Request) error {
	ref, err := r.Reference()
	if err != nil {
		return err
	}
	org, err := p.Keys.Report(r.Context(), r.Visitor(), ref, r.PostFormValue("email"), r.PostFormValue("reason"), r.PostFormValue("text"))
	if err != nil && !web.Mendable(err) {
		return err
	}
	if err != nil {
		page, perr := p.reportPage(r)
		if perr != nil {
			return perr
		}
		return r.Again(p.pages, "report", page, err)
	}
	if org == "" {
		r.Flash("ok", "rep.taken")
	} else {
		r.Flash("ok", "rep.done", "org", org)
	}
	return r.Redirect("/e/" + ref)
}
