package envelope

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// armorReader decodes the armor from behind its BEGIN line, and then reads the
// rest of the file to see that no second armor or late key part is in it.
type armorReader struct {
	r     io.Reader
	in    []byte // read from r and not yet decoded; a window of buf
	buf   []byte
	text  []byte // base64 digits without white space, at most one window
	out   []byte // decoded and not yet returned; a window of plain
	plain []byte
	ended bool  // the padding that ends base64 was seen
	err   error // after out
}

const armorWindow = 32 << 10

func newArmorReader(after []byte, r io.Reader) *armorReader {
	a := &armorReader{r: r, buf: make([]byte, max(armorWindow, len(after))), plain: make([]byte, 0, armorWindow)}
	a.in = a.buf[:copy(a.buf, after)]
	return a
}

func (a *armorReader) Read(p []byte) (int, error) {
	for len(a.out) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		a.err = a.next()
	}
	n := copy(p, a.out)
	a.out = a.out[n:]
	return n, nil
}

// next decodes one window into a.out. After the END line it returns the error
// that follows the last bytes, which is io.EOF for a good file.
func (a *armorReader) next() error {
	if len(a.in) == 0 {
		if err := a.fill(); err == io.EOF {
			return fmt.Errorf("read armor: %w: the END line is missing", ErrAltered)
		} else if err != nil {
			return fmt.Errorf("read armor: %w", err)
		}
	}
	window := a.in[:min(len(a.in), armorWindow)]
	dash := bytes.IndexByte(window, '-')
	if dash >= 0 {
		window = window[:dash]
	}
	a.in = a.in[len(window):]
	if err := a.decode(window); err != nil {
		return fmt.Errorf("read armor: %w", err)
	}
	if dash < 0 {
		return nil
	}
	if err := a.finish(); err != nil {
		return fmt.Errorf("read armor: %w", err)
	}
	return io.EOF
}

// fill reads more of the file behind a.in, moving it to the start of buf.
func (a *armorReader) fill() error {
	kept := copy(a.buf, a.in)
	a.in = a.buf[:kept]
	for range 100 { // readers may return nothing without an error, but not for ever
		n, err := a.r.Read(a.buf[kept:])
		a.in = a.buf[:kept+n]
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// decode appends the bytes of as many whole groups of four digits as text and
// window hold; up to three digits stay in text.
func (a *armorReader) decode(window []byte) error {
	if a.text == nil {
		a.text = make([]byte, 0, armorWindow+4)
	}
	for len(window) > 0 {
		line := window
		if i := bytes.IndexByte(window, '\n'); i >= 0 {
			line, window = window[:i], window[i+1:]
		} else {
			window = nil
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		a.text = append(a.text, line...)
	}
	whole := len(a.text) &^ 3
	err := a.decodeGroups(whole)
	if errors.Is(err, errNotDigits) {
		// White space inside lines is rare, so it is looked for only after a failure.
		a.text = stripSpace(a.text)
		whole = len(a.text) &^ 3
		err = a.decodeGroups(whole)
	}
	if err != nil {
		return a.explain()
	}
	rest := copy(a.text, a.text[whole:])
	a.text = a.text[:rest]
	return nil
}

var errNotDigits = errors.New("not base64")

func (a *armorReader) decodeGroups(n int) error {
	a.out = nil
	if n == 0 {
		return nil
	}
	if a.ended {
		return errNotDigits
	}
	// encoding/base64 skips line breaks of its own accord; they would shift the groups.
	out, err := base64.StdEncoding.Strict().AppendDecode(a.plain[:0], a.text[:n])
	if err != nil || bytes.IndexByte(a.text[:n], '\r') >= 0 {
		return errNotDigits
	}
	a.ended = a.text[n-1] == '='
	a.plain, a.out = out, out
	return nil
}

func stripSpace(b []byte) []byte {
	kept := b[:0]
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\f' {
			kept = append(kept, c)
		}
	}
	return kept
}

// explain names the damage that mail programs do most: an equals sign that is
// not the end is quoted-printable, either =3D or a soft line break.
func (a *armorReader) explain() error {
	i := bytes.IndexByte(a.text, '=')
	if a.ended || i >= 0 && len(bytes.Trim(a.text[i:], "=")) > 0 {
		return errQuoted
	}
	return fmt.Errorf("%w: the armor is not base64", ErrAltered)
}

// finish checks the END line and the rest of the file.
func (a *armorReader) finish() error {
	if len(a.text) > 0 {
		return fmt.Errorf("%w: the armor stops in the middle of a group", ErrAltered)
	}
	for len(a.in) < len(armorEnd) {
		if err := a.fill(); err == io.EOF {
			return fmt.Errorf("%w: the END line is cut short", ErrAltered)
		} else if err != nil {
			return err
		}
	}
	if string(a.in[:len(armorEnd)]) != armorEnd {
		return fmt.Errorf("%w: the armor is broken by another line", ErrAltered)
	}
	a.in = a.in[len(armorEnd):]
	for {
		if bytes.Contains(a.in, []byte(armorBegin)) {
			return fmt.Errorf("%w: two envelopes in one file", ErrFormat)
		}
		if bytes.Contains(a.in, []byte(partType)) {
			return fmt.Errorf("%w: the key part stands behind the armor", ErrFormat)
		}
		a.in = a.in[max(0, len(a.in)-len(armorBegin)):] // longer than partType; a marker may lie across two reads
		if err := a.fill(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
