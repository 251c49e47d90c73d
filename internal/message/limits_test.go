package message_test

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/message"
)

// repeat gives unit(0), unit(1), ... unit(n-1) as a stream.
type repeat struct {
	unit func(i int) string
	n, i int
	rest string
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.rest == "" {
			if r.i == r.n {
				break
			}
			r.rest = r.unit(r.i)
			r.i++
		}
		k := copy(p[n:], r.rest)
		r.rest = r.rest[k:]
		n += k
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// AT-68: hostile sizes cost what reading costs, and no memory. The time limit
// is wide for slow and shared machines; growth that is not linear breaks it.
func TestIndexOfHostileSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a few gigabytes; run without -short")
	}
	block := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name    string
		r       func() io.Reader
		unusual string
		parts   int // at most
	}{
		{"depth 21", func() io.Reader { return nested(21) }, "too-deep", 1},
		{"depth 10 000", func() io.Reader { return nested(10_000) }, "too-deep", 1},
		{"1 M parts", func() io.Reader {
			return io.MultiReader(strings.NewReader("Content-Type: multipart/mixed; boundary=x\r\n\r\n"),
				&repeat{n: 1_000_000, unit: func(int) string { return "--x\r\n\r\na\r\n" }})
		}, "too-many-parts", 1000},
		{"1 M multiparts", func() io.Reader {
			return io.MultiReader(strings.NewReader("Content-Type: multipart/mixed; boundary=x\r\n\r\n"),
				&repeat{n: 1_000_000, unit: func(int) string { return "--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n" }})
		}, "too-many-parts", 1000},
		{"header of 100 MB", func() io.Reader {
			return io.MultiReader(strings.NewReader("Subject: "), &repeat{n: 100, unit: func(int) string { return block }})
		}, "header-too-large", 1},
		{"header of 100 MB in lines", func() io.Reader {
			return &repeat{n: 2_000_000, unit: func(i int) string { return fmt.Sprintf("X-Header-%d: of a message with too many\r\n", i) }}
		}, "header-too-large", 1},
		{"header of 100 MB in a part", func() io.Reader {
			return io.MultiReader(strings.NewReader("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nX: "),
				&repeat{n: 100, unit: func(int) string { return block }})
		}, "header-too-large", 1},
		{"line of 1 GB", func() io.Reader {
			return io.MultiReader(strings.NewReader("Subject: s\r\n\r\n"), &repeat{n: 1024, unit: func(int) string { return block }})
		}, "long-line", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			m, err := message.Index(c.r())
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(m.Unusual, c.unusual) {
				t.Errorf("unusual %v, want %s", m.Unusual, c.unusual)
			}
			if len(m.Parts) == 0 || len(m.Parts) > c.parts {
				t.Errorf("%d parts, want 1 to %d", len(m.Parts), c.parts)
			}
			// All that was ever allocated, so more than was held at once.
			if total := after.TotalAlloc - before.TotalAlloc; total > 64<<20 && !strings.Contains(c.name, "lines") {
				t.Errorf("allocated %d MB", total>>20)
			}
			limit := time.Second + time.Duration(m.Length/(20<<20))*time.Second
			if took > limit {
				t.Errorf("took %v for %d MB, want at most %v", took, m.Length>>20, limit)
			}
			t.Logf("%d MB, %v, %d KB allocated", m.Length>>20, took, (after.TotalAlloc-before.TotalAlloc)>>10)
		})
	}
}

func nested(depth int) io.Reader {
	return &repeat{n: depth, unit: func(i int) string {
		if i == 0 {
			return "Subject: deep\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n"
		}
		return fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i-1, i)
	}}
}

// AT-65, AT-68: values made to be slow for header parsers.
func TestIndexOfSlowHeaders(t *testing.T) {
	t.Parallel()
	for name, unit := range map[string]string{
		"encoded words never closed": "=?utf-8?q?a", "unknown charsets": "=?x?b?YQ==?= ", "comments": "(", "quotes": "\"\\\"",
		"addresses": "a@b.test,", "groups": "g:a@b.test;,", "parameters": "; a=b", "angles": "<", "routes": "<@a,@b:c@d.test>,",
	} {
		big := strings.Repeat(unit, 200<<10/len(unit))
		for _, field := range []string{"Subject", "From", "Content-Type", "Content-Disposition"} {
			lead := ""
			if strings.HasPrefix(field, "Content") {
				lead = "attachment; filename="
			}
			raw := field + ": " + lead + big + "\r\n\r\nbody\r\n"
			start := time.Now()
			index(t, raw)
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%s in %s: %v", name, field, took)
			}
		}
	}
}
