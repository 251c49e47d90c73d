package envelope_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pli-mail/pli/envelope"
)

const passphraseVector = "testdata/passphrase.json"

// passphraseCases is what Go and the browser's script agree on.
type passphraseCases struct {
	Rounds int
	Masks  []struct{ Passphrase, Slot, E, Text, Hint, Unmasked string }
	Texts  []struct {
		Text   string
		Accept bool
	}
}

// TestPassphrase masks and unmasks as the vector says; TestPassphraseInBrowserScript
// does the same in JavaScript.
func TestPassphrase(t *testing.T) {
	text, err := os.ReadFile(passphraseVector)
	if err != nil {
		t.Fatal(err)
	}
	var v passphraseCases
	if err := json.Unmarshal(text, &v); err != nil || len(v.Masks) < 3 || len(v.Texts) < 10 || v.Rounds != envelope.PassphraseRounds {
		t.Fatal(len(v.Masks), len(v.Texts), v.Rounds, err)
	}
	for _, c := range v.Masks {
		part, err := envelope.ParseKeyPart(c.Text)
		if err != nil || part.Text() != c.Text || part.Hint != c.Hint || !part.Masked() {
			t.Fatalf("%s: %v, %v", c.Text, part, err)
		}
		slot, err := envelope.ParseSlotID(c.Slot)
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Unmask(c.Passphrase, slot).Base64(); got != c.Unmasked {
			t.Errorf("%q: %s, want %s", c.Passphrase, got, c.Unmasked)
		}
	}
	for _, c := range v.Texts {
		part, err := envelope.ParseKeyPart(c.Text)
		if (err == nil) != c.Accept {
			t.Errorf("%q: %v", c.Text, err)
		}
		if err == nil && part.Text() != c.Text {
			t.Errorf("%q became %q", c.Text, part.Text())
		}
		if err != nil && len(c.Text) > 20 && strings.Contains(err.Error(), c.Text) {
			t.Errorf("the error repeats %q", c.Text)
		}
	}
}

func TestPassphraseInBrowserScript(t *testing.T) {
	static, err := filepath.Abs("../internal/web/static")
	if err != nil {
		t.Fatal(err)
	}
	runNode(t, "testdata/passphrase.mjs", passphraseVector, static)
}

// A fresh mask hides E, is another for every slot, and comes off with the
// passphrase however its letters are composed.
func TestMask(t *testing.T) {
	p, err := envelope.NewPassphrase("\u00c9t\u00e9 1", "hint")
	if err != nil {
		t.Fatal(err)
	}
	e := envelope.Secret{1, 2, 3}
	one, two := envelope.SlotID{1}, envelope.SlotID{2}
	a, b := p.Mask(one, e), p.Mask(two, e)
	if a.E == e || a.E == b.E || a.Text() == b.Text() {
		t.Error("not masked, or alike")
	}
	if got := a.Unmask("E\u0301te\u0301 1", one); got != e {
		t.Error("the decomposed spelling does not unmask")
	}
	if a.Unmask("\u00e9t\u00e9 1", one) == e || a.Unmask("\u00c9t\u00e9 1", two) == e {
		t.Error("another passphrase, or slot, unmasks")
	}
	if _, err := envelope.NewPassphrase("x", strings.Repeat("h", envelope.MaxHint+1)); err == nil {
		t.Error("a long hint was taken")
	}
	if plain := (envelope.KeyPart{E: e}); plain.Unmask("anything", one) != e || plain.Masked() {
		t.Error("a part without a passphrase takes one")
	}
}
