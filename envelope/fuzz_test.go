package envelope_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"testing"

	"github.com/pli-mail/pli/envelope"
)

// seeds are the files of all vectors.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	var out [][]byte
	for _, v := range loadVectors(f) {
		b, err := base64.StdEncoding.DecodeString(v.File)
		if err != nil {
			f.Fatal(err)
		}
		if v.Text != "" {
			b = []byte(v.Text)
		}
		if len(b) < 64<<10 { // larger ones only slow the fuzzer
			out = append(out, b)
		}
	}
	return out
}

// FuzzParse reads heads; whatever is accepted must be written back the same.
func FuzzParse(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := envelope.Parse(bytes.NewReader(b), 1<<20)
		if err != nil {
			if reason(err) == "other" {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if err := e.Header.Check(); err != nil {
			t.Fatalf("accepted a header that may not be sealed: %v", err)
		}
		if _, err := e.Open(envelope.Secret{1}, envelope.Secret{2}, nil); err == nil {
			t.Fatal("opened with made-up halves")
		}
	})
}

// FuzzFindArmor finds armors; what is found must survive being armored again.
func FuzzFindArmor(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _, err := envelope.FindArmor(bytes.NewReader(b))
		if err != nil {
			return
		}
		found, err := io.ReadAll(r)
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := envelope.NewArmorWriter(&again)
		w.Write(found)
		w.Close()
		r, part, err := envelope.FindArmor(&again)
		if err != nil || part != nil {
			t.Fatal(part, err)
		}
		if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, found) {
			t.Fatalf("%x became %x: %v", found, back, err)
		}
	})
}

// FuzzManifest reads manifests; there is one spelling of each.
func FuzzManifest(f *testing.F) {
	n := 0
	for _, v := range loadVectors(f) {
		if v.Want != nil && len(v.Want.Manifest) < 8<<10 {
			f.Add([]byte(v.Want.Manifest))
			n++
		}
	}
	if n < 10 {
		f.Fatalf("found %d manifests", n)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := envelope.ReadManifest(b)
		if err != nil {
			if reason(err) != "format" {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if again := envelope.ManifestText(m); !bytes.Equal(again, b) {
			t.Fatalf("%s\nbecame %s", b, again)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzKeyFile reads key files; what is read must survive being written.
func FuzzKeyFile(f *testing.F) {
	good, err := json.Marshal(envelope.KeyFile{SealKey: draw("public", 32), Slots: []envelope.KeyFileSlot{{Address: "bob@x.example"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, bad := range badKeyFiles(string(good)) {
		f.Add([]byte(bad))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var k, back envelope.KeyFile
		if json.Unmarshal(b, &k) != nil {
			return
		}
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
