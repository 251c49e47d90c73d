package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"time"
	"unicode/utf8"
)

const (
	searchedText = 1 << 20                // octets of a message's text that rules look into
	searchTime   = 250 * time.Millisecond // for all expressions of one message
	searchAtOnce = 1 << 20                // octets times steps that are searched without a look at the clock
)

// Limits of expressions, in steps: the time for each character of a text grows
// with them, and so does the memory that a rule set holds.
const (
	maxExpression = 2000 // octets
	maxSteps      = 5000
	maxAllSteps   = 100_000
)

// expression is a regular expression (RE2) whose cost is known.
type expression struct {
	*regexp.Regexp
	steps int
}

// compile refuses what would cost too much. Of what it refuses it says the cost too.
func compile(s string) (*expression, int, error) {
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, 0, err
	}
	steps := 0
	for _, i := range program.Inst {
		steps += 1 + len(i.Rune)/8 // a class such as \p{L} is a table
	}
	if steps > maxSteps {
		return nil, steps, errors.New("too large")
	}
	e, err := regexp.Compile(s)
	return &expression{e, steps}, steps, err
}

// search looks for e. Go's expressions need a time that grows with the text and
// with the expression and not beyond, and all of a message's searches together
// have searchTime. What is not found by then counts as found: it is better to
// seal too much (and see searchFor).
func (c *Case) search(e *expression, text []byte) (found, late bool) {
	if c.spent >= searchTime {
		return true, true
	}
	begun := time.Now()
	defer func() { c.spent += time.Since(begun) }()
	if len(text)*e.steps <= searchAtOnce {
		return e.Match(text), false
	}
	r := &timedReader{rest: text, until: begun.Add(searchTime - c.spent)}
	found = e.MatchReader(r)
	return found || r.late, r.late && !found
}

// timedReader ends a text when its time has come.
type timedReader struct {
	rest  []byte
	until time.Time
	n     int
	late  bool
}

func (r *timedReader) ReadRune() (rune, int, error) {
	if r.n++; r.n%64 == 0 && !r.late {
		r.late = time.Now().After(r.until)
	}
	if r.late || len(r.rest) == 0 {
		return 0, 0, io.EOF
	}
	c, n := utf8.DecodeRune(r.rest)
	r.rest = r.rest[n:]
	return c, n, nil
}

// readText gives the message's text, which is read once.
func (c *Case) readText() ([]byte, error) {
	if !c.textRead && c.f.Text != nil {
		var b bytes.Buffer
		if err := c.f.Text(&b, searchedText); err != nil {
			return nil, fmt.Errorf("read text: %w", err)
		}
		c.text = b.Bytes()
	}
	c.textRead = true
	return c.text, nil
}

// beginsWith reports whether the message's text does, after blanks. It reads no
// more of it than it must.
func (c *Case) beginsWith(s string) (bool, error) {
	if c.f.Text == nil {
		return false, nil
	}
	h := head{room: len(s) + 64}
	if err := c.f.Text(&h, int64(h.room)); err != nil && !errors.Is(err, errEnough) {
		return false, fmt.Errorf("read text: %w", err)
	}
	return bytes.HasPrefix(bytes.TrimLeft(h.b, " \t\r\n\ufeff"), []byte(s)), nil
}

var errEnough = errors.New("enough")

// head takes the first octets only.
type head struct {
	b    []byte
	room int
}

func (h *head) Write(p []byte) (int, error) {
	k := min(len(p), h.room-len(h.b))
	h.b = append(h.b, p[:k]...)
	if len(h.b) == h.room {
		return k, errEnough
	}
	return k, nil
}
