// Package roster reads a file of people as spreadsheets write it: CSV with a
// comma, semicolon or tab, in UTF-8, UTF-16 or Windows-1252, with headings in
// English or French (ux.md A11). It streams, and knows nothing of who exists.
package roster

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	xunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// Columns that a file may have, and how they may be called.
var headings = map[string][]string{
	"email":      {"email", "e mail", "mail", "address", "email address", "e mail address", "user", "user id", "user name", "username", "userid", "adresse", "adresse e mail", "adresse email", "adresse mail", "courriel", "id utilisateur", "nom d utilisateur", "utilisateur"},
	"first_name": {"first name", "firstname", "given name", "prenom"},
	"last_name":  {"last name", "lastname", "surname", "family name", "nom", "nom de famille"},
	"groups":     {"groups", "group", "groupes", "groupe"},
	"language":   {"language", "lang", "langue"},
}

// Columns are the names of headings, as a template has them.
var Columns = []string{"email", "first_name", "last_name", "groups", "language"}

const (
	look     = 64 << 10  // bytes that are looked at to guess encoding and separator
	maxField = 4096      // bytes; a longer field is a broken file
	maxCells = 100       // of a row
	maxLine  = 256 << 10 // bytes
)

// Problem is what is wrong with a file or a row, as a catalogue key.
type Problem struct {
	Key  string
	Args map[string]any
}

func (p *Problem) Error() string { return p.Key }

// Row is one person.
type Row struct {
	Line      int // in the file, from 1
	Address   mailaddr.Address
	Typed     string // the address as it stands there, also where it is none
	FirstName string
	LastName  string
	Groups    string // as typed; several are separated by ; or |
	Language  string // en, fr or ""
	Cells     []string
	Problem   *Problem // nil for a row that can be used
}

// Reader reads rows.
type Reader struct {
	Encoding  string // UTF-8, UTF-16 or Windows-1252
	Separator rune   // ',', ';' or tab
	Headings  []string

	csv    *csv.Reader
	column map[string]int
	bare   []string // first row of a file without headings, until it is read
}

// Open reads the headings. The error is a *Problem when the file cannot be used:
// im.empty, or im.noemail with the headings that were read.
func Open(r io.Reader) (*Reader, error) { return open(r, false) }

// open is Open; bare is whether a file may begin with an address instead of headings.
func open(r io.Reader, bare bool) (*Reader, error) {
	b := bufio.NewReaderSize(r, look)
	head, err := b.Peek(look)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	out := &Reader{column: map[string]int{}}
	var text io.Reader = b
	var enc encoding.Encoding
	switch {
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		out.Encoding = "UTF-8"
		b.Discard(3)
		head = head[3:]
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), len(head) > 3 && head[1] == 0 && head[3] == 0:
		out.Encoding, enc = "UTF-16", xunicode.UTF16(xunicode.LittleEndian, xunicode.UseBOM)
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}), len(head) > 3 && head[0] == 0 && head[2] == 0:
		out.Encoding, enc = "UTF-16", xunicode.UTF16(xunicode.BigEndian, xunicode.UseBOM)
	case validPrefix(head):
		out.Encoding = "UTF-8"
	default:
		out.Encoding, enc = "Windows-1252", charmap.Windows1252
	}
	if enc != nil {
		if head, err = decode(enc, head); err != nil {
			return nil, &Problem{Key: "im.encoding"}
		}
		text = enc.NewDecoder().Reader(b)
	}
	out.Separator = separator(head)
	out.csv = csv.NewReader(&lines{from: text})
	out.csv.Comma, out.csv.FieldsPerRecord, out.csv.TrimLeadingSpace, out.csv.LazyQuotes, out.csv.ReuseRecord = out.Separator, -1, true, true, true
	record, err := out.csv.Read()
	if len(record) > maxCells {
		return nil, &Problem{Key: "im.cells"}
	}
	if errors.Is(err, io.EOF) {
		return nil, &Problem{Key: "im.empty"}
	} else if err != nil {
		return nil, err
	}
	for i, cell := range record {
		cell = clean(cell)
		out.Headings = append(out.Headings, cell)
		if name := columnOf(cell); name != "" {
			if _, twice := out.column[name]; !twice {
				out.column[name] = i
			}
		}
	}
	if _, ok := out.column["email"]; !ok && bare && slices.ContainsFunc(record, isAddress) {
		out.bare = slices.Clone(record)
	} else if !ok {
		return nil, &Problem{"im.noemail", map[string]any{"list": strings.Join(shown(out.Headings), ", ")}}
	}
	return out, nil
}

// lines passes a file on whose lines are not too long: a row is held in memory.
type lines struct {
	from io.Reader
	n    int // bytes since the last line ended
}

func (l *lines) Read(b []byte) (int, error) {
	n, err := l.from.Read(b)
	for rest := b[:n]; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if l.n += len(rest); l.n > maxLine {
				return 0, &Problem{Key: "im.cell"}
			}
			break
		}
		if l.n+i > maxLine {
			return 0, &Problem{Key: "im.cell"}
		}
		l.n, rest = 0, rest[i+1:]
	}
	return n, err
}

// shown bounds what of a stranger's file stands in a sentence.
func shown(headings []string) (out []string) {
	for i, h := range headings {
		if i == 10 {
			return append(out, "…")
		}
		if r := []rune(h); len(r) > 30 {
			h = string(r[:30]) + "…"
		}
		out = append(out, h)
	}
	return out
}

// validPrefix reports whether b is UTF-8, but for a character that it cuts at its end.
func validPrefix(b []byte) bool {
	for i := 0; i < utf8.UTFMax && len(b) > 0 && i <= len(b); i++ {
		if utf8.Valid(b[:len(b)-i]) {
			return i == 0 || !utf8.FullRune(b[len(b)-i:])
		}
	}
	return len(b) == 0
}

func decode(enc encoding.Encoding, b []byte) ([]byte, error) {
	if len(b)%2 == 1 && enc != charmap.Windows1252 {
		b = b[:len(b)-1]
	}
	return enc.NewDecoder().Bytes(b)
}

// separator is the one that the first line has most of, outside quotes.
func separator(head []byte) rune {
	count := map[byte]int{}
	quoted := false
	for _, c := range head {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' || c == '\r':
			if len(count) > 0 {
				return most(count)
			}
		case c == ',' || c == ';' || c == '\t':
			count[c]++
		}
	}
	return most(count)
}

func most(count map[byte]int) rune {
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		if count[c] > count[best] {
			best = c
		}
	}
	return rune(best)
}

// columnOf is the column that a heading names, "" for none.
func columnOf(heading string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(heading)) {
		switch {
		case unicode.Is(unicode.Mn, r), r == '*':
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
	}
	plain := strings.Join(strings.Fields(b.String()), " ")
	for name, all := range headings {
		for _, h := range all {
			if h == plain {
				return name
			}
		}
	}
	return ""
}

// Next returns the next row that is not empty, or io.EOF. What is wrong with a
// row is in it; another error is the source's.
func (r *Reader) Next() (Row, error) {
	for {
		record, err := r.bare, error(nil)
		if r.bare = nil; record == nil {
			record, err = r.csv.Read()
		}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			return Row{Line: bad.Line, Problem: &Problem{Key: "im.quote"}}, nil
		case err != nil:
			return Row{}, err
		}
		line, _ := r.csv.FieldPos(0)
		empty := true
		row := Row{Line: line, Cells: make([]string, min(len(record), maxCells))}
		if len(record) > maxCells {
			row.Problem = &Problem{Key: "im.cells"}
		}
		for i, cell := range record[:len(row.Cells)] {
			row.Cells[i] = clean(cell)
			if len(cell) > maxField || !utf8.ValidString(cell) || strings.ContainsAny(row.Cells[i], "\x00\uFFFD") {
				row.Problem = &Problem{Key: "im.cell"}
				row.Cells[i] = kept(row.Cells[i])
			}
			row.Cells[i] = unguarded(row.Cells[i])
			empty = empty && row.Cells[i] == ""
		}
		if empty {
			continue
		}
		r.fill(&row)
		return row, nil
	}
}

func (r *Reader) cell(row *Row, name string) string {
	if i, ok := r.column[name]; ok && i < len(row.Cells) {
		return row.Cells[i]
	}
	return ""
}

func (r *Reader) fill(row *Row) {
	row.Typed, row.FirstName, row.LastName, row.Groups = r.cell(row, "email"), r.cell(row, "first_name"), r.cell(row, "last_name"), r.cell(row, "groups")
	if row.Problem != nil {
		return
	}
	address, err := mailaddr.Parse(row.Typed)
	if err != nil {
		row.Problem = &Problem{"ic.badmail", map[string]any{"email": row.Typed}}
		return
	}
	row.Address = address
	switch l := strings.ToLower(r.cell(row, "language")); {
	case l == "":
	case l == "en" || strings.HasPrefix(l, "en-") || strings.HasPrefix(l, "en_") || l == "english" || l == "anglais":
		row.Language = "en"
	case l == "fr" || strings.HasPrefix(l, "fr-") || strings.HasPrefix(l, "fr_") || l == "french" || l == "français" || l == "francais":
		row.Language = "fr"
	default:
		row.Problem = &Problem{"im.language", map[string]any{"value": r.cell(row, "language")}}
	}
}

// kept is what of a cell that cannot be used is given back.
func kept(cell string) string {
	cell = strings.ToValidUTF8(strings.ReplaceAll(cell, "\x00", ""), "\uFFFD")
	if len(cell) > 200 {
		cell = strings.ToValidUTF8(cell[:200], "") + "…"
	}
	return cell
}

// clean trims what spreadsheets leave around a cell.
func clean(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == 0xFEFF || r == 0x200B || r == 0 })
}

// Place arranges the values of columns, by their names in Columns, under headings.
func Place(headings []string, values map[string]string) []string {
	out := make([]string, len(headings))
	for i, h := range headings {
		name := columnOf(h)
		out[i] = values[name]
		delete(values, name)
	}
	return out
}

// Writer writes a file as spreadsheets read it: UTF-8 with its mark, RFC 4180,
// and no cell that would be run as a formula.
type Writer struct {
	b   *bufio.Writer
	csv *csv.Writer
}

// NewWriter begins a file.
func NewWriter(to io.Writer) *Writer {
	w := &Writer{b: bufio.NewWriter(to)}
	w.b.WriteString("\uFEFF")
	w.csv = csv.NewWriter(w.b)
	w.csv.UseCRLF = true
	return w
}

// Write writes a row; Flush has its error too.
func (w *Writer) Write(cells ...string) error {
	for i, cell := range cells {
		cells[i] = Inert(cell)
	}
	return w.csv.Write(cells)
}

// Flush passes on what was written.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.b.Flush() // has the error of any write before
}

// unguarded takes away the apostrophes that Writer puts before what would be a formula.
func unguarded(cell string) string {
	if strings.HasPrefix(cell, "'") && formula(cell[1:]) {
		cell = cell[1:]
	}
	return guarded.ReplaceAllString(cell, "$1$2")
}

// GroupNames are the names in a cell of groups.
func GroupNames(cell string) (out []string) {
	for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return r == ';' || r == '|' }) {
		if part = clean(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
