package desk

import (
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/intake"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// intakes are the pages of both sides of a request for documents: of the user
// who asks, and of the outsider who answers.
type intakes struct {
	kit   *web.Kit
	svc   *intake.Service
	now   func() time.Time
	pages *web.Pages
}

// RegisterIntakes adds the pages with which users ask for documents, and others answer.
func RegisterIntakes(k *web.Kit, s *intake.Service, now func() time.Time) error {
	pages, err := k.Parse(files)
	if err != nil {
		return err
	}
	d := &intakes{k, s, now, pages}
	k.Handle("GET /requests", d.list, web.SignedIn)
	k.Handle("GET /requests/new", d.blank, web.SignedIn)
	k.Handle("POST /requests/new", d.create, web.SignedIn)
	k.Handle("GET /requests/{id}", d.detail, web.SignedIn)
	k.Handle("POST /requests/{id}/close", d.close, web.SignedIn)
	k.Handle("GET /requests/{id}/delete", d.confirm, web.SignedIn)
	k.Handle("POST /requests/{id}/delete", d.delete, web.SignedIn)
	d.registerAnswers()
	return nil
}

// intakeRow is a link with what pages say of it.
type intakeRow struct {
	intake.Intake
	Tag keyserver.Status
}

func rowOf(r *web.Request, i intake.Intake) intakeRow {
	class := map[string]string{intake.Open: "info", intake.Full: "ok"}[i.State]
	return intakeRow{i, keyserver.Status{Class: class, Text: r.T("intake.state." + i.State)}}
}

type intakesPage struct {
	web.Base
	Rows []intakeRow
}

func (d *intakes) list(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	all, err := d.svc.List(r.Context(), r.Actor())
	if err != nil {
		return err
	}
	p := &intakesPage{Base: r.Base(r.T("req.h1"))}
	for _, i := range all {
		p.Rows = append(p.Rows, rowOf(r, i))
	}
	return r.Render(d.pages, "intakes", p)
}

type newIntakePage struct {
	web.Base
	Until  string // yyyy-mm-dd
	Sizes  []web.Option
	Counts []web.Option
}

func (d *intakes) newPage(r *web.Request) *newIntakePage {
	p := &newIntakePage{Base: r.Base(r.T("req.new"), r.T("req.h1")), Until: d.now().In(r.Printer.Zone).AddDate(0, 0, 14).Format(time.DateOnly)}
	p.Counts = []web.Option{{Value: "one", Text: r.T("intake.one")}, {Value: "many", Text: r.T("intake.many", "n", intake.MostAll)}}
	most := d.svc.MaxBytes() >> 20
	for _, mb := range []struct {
		n    int64
		name string
	}{{1, "1"}, {5, "5"}, {10, "10"}} {
		if mb.n < most {
			p.Sizes = append(p.Sizes, web.Option{Value: mb.name, Text: r.Printer.Bytes(mb.n * 1_000_000)})
		}
	}
	p.Sizes = append(p.Sizes, web.Option{Value: "all", Text: r.Printer.Bytes(most * 1_000_000), Selected: true})
	return p
}

func (d *intakes) blank(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	return r.Render(d.pages, "intake-new", d.newPage(r))
}

func (d *intakes) create(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	n := intake.NewIntake{Title: r.PostFormValue("title"), Text: r.PostFormValue("text"), Types: r.PostFormValue("types"),
		Prove: r.PostFormValue("prove") != "", Many: r.PostFormValue("count") == "many"}
	n.MaxBytes = map[string]int64{"1": 1 << 20, "5": 5 << 20, "10": 10 << 20}[r.PostFormValue("size")]
	if until, err := time.ParseInLocation(time.DateOnly, r.PostFormValue("until"), r.Printer.Zone); err == nil {
		n.EndsAt = until.AddDate(0, 0, 1).Add(-time.Second) // to the end of that day, where the user is
	}
	i, err := d.svc.Create(r.Context(), r.Actor(), n)
	if err != nil {
		return r.Again(d.pages, "intake-new", d.newPage(r), err)
	}
	r.Flash("ok", "intake.made")
	return r.Redirect("/requests/" + i.ID)
}

type intakePage struct {
	web.Base
	Row     intakeRow
	Link    string
	Types   string
	Size    string
	Answers []store.Answer
}

func (d *intakes) page(r *web.Request) (*intakePage, error) {
	if err := allowed(r); err != nil {
		return nil, err
	}
	i, answers, err := d.svc.Find(r.Context(), r.Actor(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &intakePage{
		Base: r.Base(i.Title, r.T("req.h1")), Row: rowOf(r, i), Link: d.kit.Origin() + "/q/" + i.Token.Reveal(),
		Types: strings.Join(i.Types, ", "), Size: r.Printer.Bytes(i.MaxBytes >> 20 * 1_000_000), Answers: answers,
	}, nil
}

func (d *intakes) detail(r *web.Request) error {
	p, err := d.page(r)
	if err != nil {
		return err
	}
	return r.Render(d.pages, "intake", p)
}

func (d *intakes) close(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	if err := d.svc.Close(r.Context(), r.Actor(), r.PathValue("id")); err != nil {
		return err
	}
	r.Flash("ok", "intake.closed")
	return r.Redirect("/requests/" + r.PathValue("id"))
}

// confirm says what deleting does before it is done.
func (d *intakes) confirm(r *web.Request) error {
	p, err := d.page(r)
	if err != nil {
		return err
	}
	return r.Render(d.pages, "intake-delete", p)
}

func (d *intakes) delete(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	if err := d.svc.Delete(r.Context(), r.Actor(), r.PathValue("id")); err != nil {
		return err
	}
	r.Flash("ok", "intake.deleted")
	return r.Redirect("/requests")
}
