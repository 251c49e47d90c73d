package web

import (
	"strings"

	"github.com/pli-mail/pli/internal/fault"
)

// Required finds the fields of a form that were left empty, by pairs of a
// field's name and its label's catalogue key. Forms leave this to the server:
// browsers would say it in their own language, not in the page's.
func (r *Request) Required(pairs ...string) error {
	var f *fault.Error
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.TrimSpace(r.PostFormValue(pairs[i])) != "" {
			continue
		}
		args := fault.Args{"field": pairs[i+1]}
		if f == nil {
			f = fault.New(fault.Invalid, "err.required").With("field", pairs[i+1])
		}
		f = f.In(pairs[i], "err.required", args)
	}
	if f == nil {
		return nil
	}
	return f
}
