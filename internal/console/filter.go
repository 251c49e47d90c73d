package console

import (
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

// mistakes are the filters of a list that mean nothing. Such a list is not shown:
// it would have more in it than was meant, and an act on all of it reach more.
type mistakes []fault.Field

func (m *mistakes) add(name, key string) { *m = append(*m, fault.Field{Name: name, Key: key}) }

// err is nil where there are none.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Key: "err.title", Fields: m}
}

// choose selects what was asked for among the options of a filter. What is not
// among them is added, so that the form shows what is wrong.
func (m *mistakes) choose(name, typed string, options []web.Option) []web.Option {
	i := slices.IndexFunc(options, func(o web.Option) bool { return o.Value == typed })
	if i < 0 {
		m.add(name, "people.choice")
		return append(options, web.Option{Value: typed, Text: typed, Selected: true})
	}
	options[i].Selected = true
	return options
}

// day is one end of a period, as a field of a form has it.
type day struct{ name, text string }

// period reads the first and the last day of a filter; until is when the last is over.
func (m *mistakes) period(r *web.Request, first, last day) (from, until time.Time) {
	read := func(d day) (t time.Time) {
		text := strings.TrimSpace(d.text)
		if text == "" {
			return t
		}
		t, err := time.ParseInLocation(time.DateOnly, text, r.Printer.Zone)
		if err != nil {
			m.add(d.name, "rt.day")
			return time.Time{}
		}
		return t
	}
	from, until = read(first), read(last)
	if until.IsZero() {
		return from, until
	}
	if until.Before(from) {
		m.add(last.name, "rt.dayorder")
	}
	return from, until.AddDate(0, 0, 1)
}
