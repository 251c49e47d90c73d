package message_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/message"
)

type sealCase struct {
	From    map[string]string   `json:"from"`
	To      []map[string]string `json:"to"`
	Subject string              `json:"subject"`
	Date    string              `json:"date"`
	Text    string              `json:"text"`
	Files   []sealFile          `json:"files"`
}

type sealFile struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Size int    `json:"size"`
}

type sealed struct {
	MH, HH, RH, Wrap, S, E, Pop, Payload []byte
	Slot, Manifest                       string
	Names                                []string
	Most, Foretold                       int
}

// What the browser's script seals opens here, and is read in the one way that
// its own manifest says: the parts where they are, the names and digests, nothing unusual.
func TestBrowserSeals(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test seals in JavaScript and needs Node 20 or newer: install nodejs, or put node in PATH")
	}
	ana := []map[string]string{{"name": "Ana Silva", "address": "ana@example.org"}}
	cases := []sealCase{
		{map[string]string{"name": "Jean", "address": "jean@example.net"}, ana, "Documents", "2026-11-26T17:00:00Z", "Hello", nil},
		{map[string]string{"name": "", "address": "jean@example.net"}, ana, "", "2026-01-01T00:00:00.999Z", "", nil},
		{map[string]string{"name": "Zoë \"Q\" <evil@x.test>, O’Brien 🎉", "address": "jean+a@example.net"}, append(ana, map[string]string{"address": "b@x.test"}),
			"Résultats =?utf-8?q?x?= été\r\nBcc: x@y.test \u202e" + strings.Repeat(" très long", 30), "2026-02-03T04:05:06Z",
			"Bonjour,\n.point\rFrom moi\r\n\u0000 half", []sealFile{{"a.pdf", "application/pdf", 0}, {"b.txt", "text/plain; charset=x", 1}}},
		{map[string]string{"name": "J", "address": "j@example.net"}, ana, "Files", "2026-11-26T17:00:00Z", strings.Repeat("long ", 50_000), []sealFile{
			{"résumé — 2026 (final).docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 56},
			{"../../etc/pass\u202ewd\r\nX: y", "multipart/mixed", 57},
			{"CON.txt", "TEXT/HTML", 58},
			{".hidden", "message/rfc822", 466943},
			{strings.Repeat("é", 300) + ".pdf", "application/pdf", 466944},
			{"=?utf-8?q?x?=.pdf", "a/b/c", 466945},
			{"  a  b \"c\" .. ", "", 3_000_001},
			{"...", "image/svg+xml", 16384},
			{strings.Repeat("日本", 90) + ".tar.gz", "application/gzip", 2 << 20},
		}},
	}
	raw, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(list, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/seal.mjs", "../web/static/seal.js", list)
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for i, c := range cases {
		var s sealed
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		opened := openSealed(t, s)
		m, err := message.Index(bytes.NewReader(opened))
		if err != nil {
			t.Fatal(err)
		}
		said, err := envelope.ReadManifest([]byte(s.Manifest))
		if err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		if diff := cmp.Diff(m, said); diff != "" {
			t.Errorf("case %d is read in another way (-Go +script):\n%s", i, diff)
		}
		for k, name := range s.Names {
			if name != message.SafeName(name) || m.Parts[k+1].Name != name || m.Parts[k+1].Size != int64(c.Files[k].Size) {
				t.Errorf("case %d, file %d: %q of %d bytes became %+v", i, k, name, c.Files[k].Size, m.Parts[k+1])
			}
		}
		if s.Most > 128*(16384+16) || s.Foretold != len(s.Payload) {
			t.Errorf("case %d: a piece of %d bytes; %d bytes foretold, there are %d", i, s.Most, s.Foretold, len(s.Payload))
		}
		for l := range bytes.Lines(opened) {
			if len(l) > 1000 || !bytes.HasSuffix(l, []byte("\r\n")) && !bytes.HasSuffix(opened, l) {
				t.Errorf("case %d: line %.80q", i, l)
			}
		}
	}
}

// openSealed opens what the script sealed, with the service's record of it.
func openSealed(t *testing.T, s sealed) []byte {
	t.Helper()
	head := envelope.Head(s.MH, s.RH, [48]byte(s.Wrap), [64]byte{}, int64(len(s.Payload)))
	e, err := envelope.Parse(bytes.NewReader(append(head, s.Payload...)), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if e.HH != [32]byte(s.HH) || e.Slot.String() != s.Slot || envelope.Pop(envelope.Secret(s.E), e.Slot, e.HH) != [32]byte(s.Pop) {
		t.Error("the script has another hash of the head, slot or proof of possession")
	}
	c, err := e.Open(envelope.Secret(s.S), envelope.Secret(s.E), &envelope.Record{HH: e.HH, PH: sha256.Sum256(s.Payload)})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.WriteMessage(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
