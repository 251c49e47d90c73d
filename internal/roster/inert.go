package roster

import "strings"

// formula includes the full-width forms: a spreadsheet in Japanese takes them for the others.
func formula(cell string) bool {
	return strings.IndexAny(cell, "=+-@\t\r\n＝＋－＠") == 0
}

// Inert is a cell of a file for spreadsheets that none of them takes for a formula.
func Inert(cell string) string {
	if formula(cell) {
		return "'" + cell
	}
	return cell
}
