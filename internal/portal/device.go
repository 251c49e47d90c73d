package portal

import "github.com/pli-mail/pli/internal/web"

// devicePage lists and opens what the reader's device keeps. It is the same for
// everybody: its script fills it, also where the network is gone.
type devicePage struct {
	web.Base
	frame
}

func (p *portal) device(r *web.Request) error {
	allowMessage(r)
	page := &devicePage{Base: r.Base(r.T("lease.title"))}
	page.Plain = true
	return r.Render(p.pages, "device", page)
}
