package envelope_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pli-mail/pli/envelope"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors")

const vectorDir = "testdata/vectors"

// vector is one published test vector; testdata/vectors/README.md says how to
// use it.
type vector struct {
	Name    string   `json:"name"`
	Comment string   `json:"comment"`
	Cases   []string `json:"cases,omitempty"` // security cases it proves
	Outcome string   `json:"outcome"`         // accept or reject
	Reason  string   `json:"reason,omitempty"`

	File    string        `json:"file,omitempty"` // base64
	Text    string        `json:"text,omitempty"`
	Limit   int64         `json:"limit"`
	S       string        `json:"s"`           // base64url
	E       string        `json:"e,omitempty"` // base64url; absent when the text has it
	Record  *vectorRecord `json:"record,omitempty"`
	SealKey string        `json:"seal_key,omitempty"` // base64url; when there is no record

	Want *vectorWant `json:"want,omitempty"`
}

type vectorRecord struct {
	HH string `json:"hh"` // hex, as all below
	PH string `json:"ph"`
}

// vectorWant is what an accepted vector gives, with the values on the way.
type vectorWant struct {
	Message       string `json:"message_id"`
	Slot          string `json:"slot_id"`
	Origin        string `json:"origin"`
	SealedAt      int64  `json:"sealed_at"`
	Policy        uint32 `json:"policy"`
	SenderHint    string `json:"sender_hint,omitempty"`
	Hint          string `json:"hint,omitempty"`
	E             string `json:"e"` // base64url
	HH            string `json:"hh"`
	PH            string `json:"ph"`
	CK            string `json:"ck"`
	Pop           string `json:"pop"`
	Nonce         string `json:"nonce"`
	Possession    string `json:"possession"`
	Manifest      string `json:"manifest"`
	MessageLength int64  `json:"message_length"`
	MessageSHA256 string `json:"message_sha256"`
}

// open opens a vector as an opener must (spec section 4).
func (v *vector) open() (*envelope.Envelope, *envelope.Content, []byte, envelope.Secret, error) {
	fail := func(err error) (*envelope.Envelope, *envelope.Content, []byte, envelope.Secret, error) {
		return nil, nil, nil, envelope.Secret{}, err
	}
	file := []byte(v.Text)
	if v.File != "" {
		var err error
		if file, err = base64.StdEncoding.DecodeString(v.File); err != nil {
			return fail(err)
		}
	}
	payload, part, err := envelope.FindArmor(bytes.NewReader(file))
	if err != nil {
		return fail(err)
	}
	e, err := envelope.Parse(payload, v.Limit)
	if err != nil {
		return fail(err)
	}
	s, err := envelope.ParseSecret(v.S)
	if err != nil {
		return fail(err)
	}
	var eHalf envelope.Secret
	if part != nil {
		eHalf = part.E
	} else if eHalf, err = envelope.ParseSecret(v.E); err != nil {
		return fail(err)
	}
	var want *envelope.Record
	if v.Record != nil {
		want = &envelope.Record{HH: unhex(v.Record.HH), PH: unhex(v.Record.PH)}
	}
	c, err := e.Open(s, eHalf, want)
	if err != nil {
		return fail(err)
	}
	var message bytes.Buffer
	if err := c.WriteMessage(&message); err != nil {
		return fail(err)
	}
	if want == nil {
		key, err := base64.RawURLEncoding.DecodeString(v.SealKey)
		if err != nil {
			return fail(err)
		}
		if !envelope.VerifySeal(ed25519.PublicKey(key), e.HH, c.PH(), e.Seal) {
			return fail(fmt.Errorf("verify seal: %w", envelope.ErrAltered))
		}
	}
	return e, c, message.Bytes(), eHalf, nil
}

func unhex(s string) (b [32]byte) {
	if n, err := hex.Decode(b[:], []byte(s)); err != nil || n != 32 {
		panic("vector: not 32 bytes of hex: " + s)
	}
	return b
}

func reason(err error) string {
	for name, target := range map[string]error{
		"format": envelope.ErrFormat, "version": envelope.ErrVersion, "altered": envelope.ErrAltered,
		"wrong-key": envelope.ErrWrongKey, "too-large": envelope.ErrTooLarge,
	} {
		if errors.Is(err, target) {
			return name
		}
	}
	return "other"
}

// loadVectors reads the published vectors and fails when it finds few.
func loadVectors(tb testing.TB) []vector {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(vectorDir, "*.json"))
	if err != nil {
		tb.Fatal(err)
	}
	const atLeast = 100
	if len(names) < atLeast {
		tb.Fatalf("found %d vectors in %s, want at least %d", len(names), vectorDir, atLeast)
	}
	out := make([]vector, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&out[i]); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return out
}

// TestVectors opens every published vector, and checks that the generator
// still makes the same ones; -update writes them anew. Spec section 7.
func TestVectors(t *testing.T) {
	made := makeVectors(t)
	if *update {
		writeVectors(t, made)
	}
	stored := map[string]vector{}
	for _, v := range loadVectors(t) {
		stored[v.Name] = v
	}
	if len(stored) != len(made) {
		t.Errorf("%d vectors stored, %d made: run with -update", len(stored), len(made))
	}
	for _, m := range made {
		v := stored[m.Name]
		a, _ := json.Marshal(m)
		b, _ := json.Marshal(v)
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not what the generator makes: run with -update", m.Name)
			continue
		}
		t.Run(v.Name, func(t *testing.T) { checkVector(t, v) })
	}
}

func checkVector(t *testing.T, v vector) {
	e, c, message, half, err := v.open()
	if v.Outcome == "reject" {
		if err == nil {
			t.Fatalf("%s: opened", v.Comment)
		}
		if got := reason(err); got != v.Reason {
			t.Errorf("refused for %q, want %q: %v", got, v.Reason, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	w := *v.Want
	pop, ph, sum := envelope.Pop(half, e.Slot, e.HH), c.PH(), sha256.Sum256(message)
	nonce, err := hex.DecodeString(w.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	proof := envelope.Possession(pop, nonce)
	got := vectorWant{
		Message: e.Header.ID.String(), Slot: e.Slot.String(), Origin: e.Header.Origin,
		SealedAt: e.Header.SealedAt.Unix(), Policy: e.Header.Policy, SenderHint: e.Header.SenderHint, Hint: e.Hint,
		E: half.Base64(), HH: hex.EncodeToString(e.HH[:]), PH: hex.EncodeToString(ph[:]), CK: w.CK,
		Pop: hex.EncodeToString(pop[:]), Nonce: w.Nonce, Possession: hex.EncodeToString(proof[:]),
		Manifest: string(envelope.ManifestText(c.Manifest)), MessageLength: int64(len(message)), MessageSHA256: hex.EncodeToString(sum[:]),
	}
	if got != w {
		t.Errorf("opened to\n%+v\nwant\n%+v", got, w)
	}
}

func writeVectors(t *testing.T, made []vector) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(vectorDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range made {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(vectorDir, v.Name+".json"), text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVectorsInBrowserScript runs the same vectors through the script that the
// key server's pages load.
func TestVectorsInBrowserScript(t *testing.T) {
	runNode(t, "testdata/browser.mjs", vectorDir, "../internal/web/static/envelope.js")
}

// TestVectorsInThirdImplementation runs them through a reader that was written
// from the specification and shares nothing with the other two.
func TestVectorsInThirdImplementation(t *testing.T) {
	text, err := os.ReadFile("testdata/open.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > 100 {
		t.Errorf("open.mjs has %d lines; the format is meant to be read in 100", n)
	}
	runNode(t, "testdata/open.mjs", vectorDir)
}

func runNode(t *testing.T, args ...string) {
	t.Helper()
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test runs the vectors in JavaScript and needs Node 20 or newer: install nodejs, or put node in PATH")
	}
	cmd := exec.CommandContext(t.Context(), node, args...)
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	out, err := cmd.CombinedOutput()
	t.Log(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
}
