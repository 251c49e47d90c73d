package roster

import (
	"errors"
	"io"
	"strings"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// Addresses reads whom a file names, as typed: in its e-mail column, or wherever
// addresses stand in one without headings, such as a list of one a line. A row
// without an address gives what else is in it. It stops after most of them; the
// error is Open's, or the *Problem of a row that cannot be read.
func Addresses(from io.Reader, most int) (out []string, err error) {
	r, err := open(from, true)
	if err != nil {
		return nil, err
	}
	for len(out) < most {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		found := []string{row.Typed}
		if _, headed := r.column["email"]; !headed {
			found = nil
			for _, cell := range row.Cells {
				if strings.Contains(cell, "@") {
					found = append(found, cell)
				}
			}
		}
		if strings.Join(found, "") == "" {
			found = []string{strings.Join(strings.Fields(strings.Join(row.Cells, " ")), " ")}
		}
		if found[0] == "" {
			return nil, row.Problem
		}
		out = append(out, found...)
	}
	return out, nil
}

func isAddress(cell string) bool {
	list, bad := mailaddr.ParseList(clean(cell))
	return len(list) == 1 && len(bad) == 0
}
