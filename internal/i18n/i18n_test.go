package i18n_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/i18n"
)

func texts(t *testing.T, lang string) map[string]any {
	t.Helper()
	files, err := filepath.Glob("locales/*." + lang + ".json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no catalogue for %s: %v", lang, err)
	}
	all := map[string]any{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for k, v := range m {
			if _, twice := all[k]; twice {
				t.Errorf("%s: %s is in two files", lang, k)
			}
			all[k] = v
		}
	}
	return all
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func placeholders(v any) string {
	set := map[string]bool{}
	walk := func(s string) {
		for _, p := range placeholder.FindAllString(s, -1) {
			set[p] = true
		}
	}
	switch v := v.(type) {
	case string:
		walk(v)
	case map[string]any:
		for _, s := range v {
			walk(s.(string))
		}
	}
	var out []string
	for p := range set {
		out = append(out, p)
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// Every visible text is in both catalogues, with the same placeholders.
func TestCataloguesAgree(t *testing.T) {
	en, fr := texts(t, "en"), texts(t, "fr")
	for k, v := range en {
		if fr[k] == nil {
			t.Errorf("%s is not in French", k)
		} else if a, b := placeholders(v), placeholders(fr[k]); a != b {
			t.Errorf("%s: English has %q, French %q", k, a, b)
		}
	}
	for k := range fr {
		if en[k] == nil {
			t.Errorf("%s is not in English", k)
		}
	}
}

// In French Pli is never called « recommandé » (CPCE L101): only the text that denies it may say the word.
func TestFrenchNeverSaysRecommande(t *testing.T) {
	for k, v := range texts(t, "fr") {
		raw, _ := json.Marshal(v)
		if k != "help.lre" && strings.Contains(strings.ToLower(string(raw)), "recommandé") {
			t.Errorf("%s: %s", k, raw)
		}
	}
}

func TestPrinter(t *testing.T) {
	c, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	en, fr := c.Printer("en", nil), c.Printer("fr", nil)
	for _, tt := range []struct{ got, want string }{
		{en.T("seed.nonexistent"), "Cannot add nonexistent user."},
		{fr.T("seed.nonexistent"), "Impossible d'ajouter un utilisateur inexistant."},
		{en.T("seed.user_added", "email", "{n}@example.org"), "User <{n}@example.org> added."},
		{fr.T("seed.showing_groups", "n", 1), "Affichage de 1 groupe(s)."},
		{fr.Bytes(1_250_000), "1,2\u00a0Mo"},
		{en.Bytes(248_000), "248\u00a0kB"},
		{en.T("no.such.key"), "no.such.key"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestSizeInText(t *testing.T) {
	t.Parallel()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	args := map[string]any{"file": "a.pdf", "size": i18n.Size(31_000_000), "max": i18n.Size(26_214_400)}
	for lang, want := range map[string]string{
		"en": "a.pdf is 31\u00a0MB. The limit is 26\u00a0MB. Remove it or compress it.",
		"fr": "a.pdf fait 31\u00a0Mo. La limite est de 26\u00a0Mo. Retirez-le ou compressez-le.",
	} {
		if got := cat.Printer(lang, nil).Say("reply.toobig", args); got != want {
			t.Errorf("%s: %q, want %q", lang, got, want)
		}
	}
}

// In French no line breaks before : ; ? ! % » or after «.
func TestFrenchSpaces(t *testing.T) {
	bad := regexp.MustCompile(`\S [:;?!%»]([\s".,)]|$)|« `)
	for k, v := range texts(t, "fr") {
		raw, _ := json.Marshal(v)
		for _, s := range regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).FindAllString(string(raw), -1) {
			if bad.MatchString(s) {
				t.Errorf("%s: %s", k, s)
			}
		}
	}
}
