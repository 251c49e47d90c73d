package web

import (
	"io"

	"github.com/pli-mail/pli/internal/roster"
)

// CSV answers with a file of that name that rows writes, for a spreadsheet.
func (r *Request) CSV(name string, header []string, rows func(write func(cells ...string) error) error) error {
	return r.Download(name, func(to io.Writer) error {
		w := roster.NewWriter(to)
		w.Write(header...)
		if err := rows(w.Write); err != nil {
			return err
		}
		return w.Flush()
	})
}
