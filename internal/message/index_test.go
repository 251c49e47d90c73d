package message_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/message"
)

var update = flag.Bool("update", false, "rewrite golden files")

// testFiles lists a folder of cases and fails when there are too few.
func testFiles(t testing.TB, glob string, atLeast int) []string {
	t.Helper()
	list, err := filepath.Glob(glob)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < atLeast {
		t.Fatalf("%s: %d files, want at least %d", glob, len(list), atLeast)
	}
	return list
}

func index(t testing.TB, raw string) *envelope.Manifest {
	t.Helper()
	m, err := message.Index(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	check(t, []byte(raw), m)
	return m
}

// check holds every manifest to what a reader relies on: ranges inside the
// message and apart, digests that Decode finds again.
func check(t testing.TB, raw []byte, m *envelope.Manifest) {
	t.Helper()
	if m.Length != int64(len(raw)) {
		t.Fatalf("length %d, want %d", m.Length, len(raw))
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	end := int64(0)
	for i, p := range m.Parts {
		if p.Offset < end || p.Length < 0 || p.Offset+p.Length > int64(len(raw)) {
			t.Fatalf("part %d: range %d+%d overlaps or overruns (%d, %d)", i, p.Offset, p.Length, end, len(raw))
		}
		end = p.Offset + p.Length
		var out bytes.Buffer
		if err := message.Decode(&out, bytes.NewReader(raw[p.Offset:end]), p.Encoding); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(out.Bytes())
		if int64(out.Len()) != p.Size || hex.EncodeToString(sum[:]) != p.SHA256 {
			t.Fatalf("part %d: decoded octets are not those of the manifest", i)
		}
		if p.Role == "attachment" && p.Name == "" {
			t.Fatalf("part %d: attachment without a name", i)
		}
	}
	if len(m.Parts) > 1000 {
		t.Fatalf("%d parts", len(m.Parts))
	}
}

// AT-67: the messages that mail parsers read in different ways have one
// reading here, kept in testdata/mime/*.json (-update rewrites).
func TestIndexOfAmbiguousMail(t *testing.T) {
	t.Parallel()
	for _, name := range testFiles(t, "testdata/mime/*.eml", 20) {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := index(t, string(raw))
		got, err := json.MarshalIndent(m, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		golden := strings.TrimSuffix(name, ".eml") + ".json"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: manifest is\n%s\nwant\n%s", name, got, want)
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
