// Package keyset is the places at which pages of lists end. A list is read on
// from the key of the last row that was shown, never from a number of rows, so
// that no row is shown twice or left out while others come and go.
package keyset

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
)

// List names a list, of an account or of something in it. A cursor is of one
// list: to another it is a fault, and not another place.
type List string

// Of names a list of whatever it is that has it.
func Of(name string, of ...any) List {
	for _, x := range of {
		name += "/" + fmt.Sprint(x)
	}
	return List(name)
}

// Cursor hides the key of the last row of a page.
func (l List) Cursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(l) + "\n" + key))
}

// Key reads a cursor of the list; of "", the beginning, it is "". Fault: err.cursor.
func (l List) Key(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", bad(err)
	}
	key, ours := bytes.CutPrefix(b, []byte(string(l)+"\n"))
	if !ours || len(key) == 0 || !utf8.Valid(key) || bytes.IndexByte(key, 0) >= 0 { // no text of a database
		return "", bad(errors.New("a cursor of another list"))
	}
	return string(key), nil
}

// Numbered is the key of a row by a number, a time in Unix milliseconds mostly, and its id.
func Numbered(n int64, id string) string { return strconv.FormatInt(n, 10) + " " + id }

// Numbered reads a cursor with such a key; of the beginning it is 0 and "".
func (l List) Numbered(cursor string) (n int64, id string, err error) {
	key, err := l.Key(cursor)
	if err != nil || key == "" {
		return 0, "", err
	}
	number, id, _ := strings.Cut(key, " ")
	if n, err = strconv.ParseInt(number, 10, 64); err != nil || n < 0 {
		return 0, "", bad(err)
	}
	return n, id, nil
}

// Page cuts what was read of a list with one row more than limit, and returns the
// cursor of the next page, "" on the last.
func Page[T any](l List, rows []T, limit int, key func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], l.Cursor(key(rows[limit-1]))
}

// bad is the fault of a place in a list that this list has not given out.
func bad(err error) error {
	return fault.New(fault.Invalid, "err.cursor").In("after", "err.cursor", nil).Because(err)
}
