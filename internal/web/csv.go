package web

import (
	"encoding/csv"
	"io"
	"strings"
)

// CSV answers with a file of that name that rows writes (RFC 4180), for a
// spreadsheet: UTF-8 with its mark, and no cell that it would compute.
func (r *Request) CSV(name string, header []string, rows func(write func(cells ...string) error) error) error {
	return r.Download(name, func(to io.Writer) error {
		if _, err := io.WriteString(to, "\ufeff"); err != nil {
			return err
		}
		w := csv.NewWriter(to)
		w.UseCRLF = true
		write := func(cells ...string) error {
			safe := make([]string, len(cells))
			for i, c := range cells {
				safe[i] = Inert(c)
			}
			return w.Write(safe)
		}
		if err := write(header...); err != nil {
			return err
		}
		if err := rows(write); err != nil {
			return err
		}
		w.Flush()
		return w.Error()
	})
}

// Inert is a cell that no spreadsheet takes for a formula.
func Inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
