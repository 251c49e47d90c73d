package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

// format is how a command writes what it found.
type format struct {
	name      string
	json      bool
	noHeaders bool
}

var formats = []string{"table", "tsv", "json", "jsonl", "csv", "id"}

func (f *format) flags(a *app, c *cobra.Command) {
	c.PersistentFlags().StringVarP(&f.name, "output", "o", "", a.t("cli.flag.output"))
	c.PersistentFlags().BoolVar(&f.json, "json", false, a.t("cli.flag.ojson"))
	c.PersistentFlags().BoolVar(&f.noHeaders, "no-headers", false, a.t("cli.flag.noheaders"))
}

// choose is the format to use: a table on a terminal, tab-separated lines
// without headings for another program.
func (f *format) choose(w io.Writer) (string, error) {
	switch {
	case f.json && f.name != "" && f.name != "json":
		return "", usage("cli.usage.notboth", "a", "--json", "b", "--output")
	case f.json:
		return "json", nil
	case f.name == "" && isTerminal(w):
		return "table", nil
	case f.name == "":
		return "tsv", nil
	}
	for _, known := range formats {
		if f.name == known {
			return known, nil
		}
	}
	return "", usage("cli.usage.choice", "value", f.name, "choices", strings.Join(formats, ", "))
}

// column is one value of every row: its stable name in JSON and CSV, and the
// catalogue key of its heading in a table.
type column struct{ name, heading string }

// table is what a list command found. The first column identifies the row.
type table struct {
	columns []column
	rows    [][]any
}

func (t *table) add(values ...any) { t.rows = append(t.rows, values) }

// count is a number that the service counts up to store.MaxCount: one more says
// that there are more. In JSON it is that number.
type count int

func (n count) String() string {
	if n > store.MaxCount {
		return fmt.Sprintf(">%d", store.MaxCount)
	}
	return strconv.Itoa(int(n))
}

// write writes the rows; a table of one row asked for by name is an object in JSON.
func (a *app) write(t *table, f format, single bool) error {
	name, err := f.choose(a.stdout)
	if err != nil {
		return err
	}
	var b strings.Builder
	switch name {
	case "json":
		if single && len(t.rows) == 1 {
			err = encode(&b, t.object(t.rows[0]))
			break
		}
		list := make([]object, 0, len(t.rows))
		for _, row := range t.rows {
			list = append(list, t.object(row))
		}
		err = encode(&b, list)
	case "jsonl":
		for _, row := range t.rows {
			if err = encode(&b, t.object(row)); err != nil {
				break
			}
		}
	case "csv":
		err = t.csv(&b, f.noHeaders)
	case "id":
		for _, row := range t.rows {
			fmt.Fprintln(&b, plain(row[0]))
		}
	case "tsv":
		for _, row := range t.rows {
			for i, v := range row {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(plain(v))
			}
			b.WriteByte('\n')
		}
	default:
		t.table(&b, a, f.noHeaders)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, b.String())
	return err
}

// object keeps the order of the columns in JSON.
type object []field

type field struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		raw, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", f.name, raw)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

func (t *table) object(row []any) object {
	o := make(object, len(row))
	for i, v := range row {
		switch x := v.(type) {
		case time.Time:
			if v = any(x.UTC().Format(time.RFC3339)); x.IsZero() {
				v = nil
			}
		case []string:
			if x == nil {
				v = []string{}
			}
		}
		o[i] = field{t.columns[i].name, v}
	}
	return o
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (t *table) csv(w io.Writer, noHeaders bool) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	line := make([]string, len(t.columns))
	if !noHeaders {
		for i, col := range t.columns {
			line[i] = col.name
		}
		c.Write(line) // Flush has its error
	}
	for _, row := range t.rows {
		for i, v := range row {
			line[i] = plain(v)
			switch v.(type) {
			case string, []string:
				line[i] = roster.Inert(line[i])
			}
		}
		c.Write(line) // Flush has its error
	}
	c.Flush()
	return c.Error()
}

func (t *table) table(b *strings.Builder, a *app, noHeaders bool) {
	var lines [][]string
	if !noHeaders {
		head := make([]string, len(t.columns))
		for i, c := range t.columns {
			head[i] = strings.ToUpper(a.t(c.heading))
		}
		lines = append(lines, head)
	}
	for _, row := range t.rows {
		line := make([]string, len(row))
		for i, v := range row {
			if at, ok := v.(time.Time); ok {
				if !at.IsZero() {
					line[i] = at.Local().Format("2006-01-02 15:04")
				}
			} else {
				line[i] = plain(v)
			}
		}
		lines = append(lines, line)
	}
	width := make([]int, len(t.columns))
	for _, line := range lines {
		for i, s := range line {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	for _, line := range lines {
		var out strings.Builder
		for i, s := range line {
			out.WriteString(s)
			if i < len(line)-1 {
				out.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(s)+2))
			}
		}
		b.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
}

// plain is a value as text on one line.
func plain(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.UTC().Format(time.RFC3339)
	case []string:
		v = strings.Join(x, ", ")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' ' // a terminal would obey it
		}
		return r
	}, fmt.Sprint(v))
}
