package roster

import (
	"regexp"
	"strings"
)

// formula includes the full-width forms: a spreadsheet in Japanese takes them for the others.
func formula(cell string) bool {
	return strings.IndexAny(cell, "=+-@\t\r\n＝＋－＠") == 0
}

// inner is where a formula would begin within a cell: a spreadsheet that separates by
// semicolons, as those in French do, or by tabs, takes what comes after one for a cell.
var inner = regexp.MustCompile("([;\t][ \"']*)([=+@＝＋－＠-])")

// guarded is what Inert makes of it.
var guarded = regexp.MustCompile("([;\\t][ \"']*)'([=+@＝＋－＠-])")

// Inert is a cell of a file for spreadsheets that none of them takes for a formula,
// whatever separates its cells there.
func Inert(cell string) string {
	cell = inner.ReplaceAllString(cell, "$1'$2")
	if formula(cell) {
		return "'" + cell
	}
	return cell
}
