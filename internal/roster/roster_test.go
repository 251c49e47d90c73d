package roster_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/pli-mail/pli/internal/roster"
)

func all(t *testing.T, file string) (*roster.Reader, []roster.Row) {
	t.Helper()
	r, err := roster.Open(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var rows []roster.Row
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r, rows
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

// What spreadsheets write, in each encoding and with each separator, reads the same.
func TestRead(t *testing.T) {
	t.Parallel()
	const plain = "Adresse e-mail;Prénom;Nom;Groupes;Langue\r\n Léa.Martin@Example.org ;Léa;Martin;\"Accueil; Soins\";fr\r\n;;;;\r\npaul@example.org;Paul;;;\r\n"
	latin, _ := charmap.Windows1252.NewEncoder().String(plain)
	utf16, _ := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(plain)
	big, _ := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String(plain)
	for _, c := range []struct{ name, file, encoding string }{
		{"utf-8", plain, "UTF-8"},
		{"utf-8 with mark", "\ufeff" + plain, "UTF-8"},
		{"windows-1252", latin, "Windows-1252"},
		{"utf-16", utf16, "UTF-16"},
		{"utf-16 without mark", big, "UTF-16"},
		{"tabs", strings.NewReplacer(";", "\t", "\"Accueil; Soins\"", "Accueil; Soins", "Accueil\t Soins", "Accueil; Soins").Replace(plain), "UTF-8"},
		{"English", strings.Replace(plain, "Adresse e-mail;Prénom;Nom;Groupes;Langue", "E-MAIL;First_Name;Last Name;groups;Language", 1), "UTF-8"},
	} {
		r, rows := all(t, c.file)
		if r.Encoding != c.encoding || len(rows) != 2 {
			t.Errorf("%s: %s, %d rows", c.name, r.Encoding, len(rows))
			continue
		}
		first, second := rows[0], rows[1]
		if first.Line != 2 || first.FirstName != "Léa" || first.LastName != "Martin" || first.Language != "fr" || first.Problem != nil {
			t.Errorf("%s: %+v", c.name, first)
		}
		if g := roster.GroupNames(first.Groups); c.name != "tabs" && (len(g) != 2 || g[1] != "Soins") {
			t.Errorf("%s: groups %q", c.name, g)
		}
		if second.Line != 4 || second.Address.Canonical() != "paul@example.org" {
			t.Errorf("%s: %+v", c.name, second)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, key string }{
		{"", "im.empty"},
		{"name,phone\nA,1\n", "im.noemail"},
		{"\n\n", "im.empty"},
	} {
		_, err := roster.Open(strings.NewReader(c.file))
		var p *roster.Problem
		if !errors.As(err, &p) || p.Key != c.key {
			t.Errorf("%q: %v", c.file, err)
		}
	}
	for _, c := range []struct{ row, key string }{
		{"not an address,A,B", "ic.badmail"},
		{"a@example.org,A,B,,de", "im.language"},
		{"a@example.org," + strings.Repeat("x", 5000), "im.cell"},
		{"", ""},
	} {
		_, rows := all(t, "email,first_name,last_name,groups,language\n"+c.row+"\nb@example.org,B\n")
		if c.key == "" {
			if len(rows) != 1 {
				t.Errorf("an empty row: %d rows", len(rows))
			}
			continue
		}
		if len(rows) != 2 || rows[0].Problem == nil || rows[0].Problem.Key != c.key || rows[1].Problem != nil {
			t.Errorf("%q: %+v", c.row, rows)
		}
	}
}

// A list of addresses has headings or none, and loses nobody of either.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, want string }{
		{"lea@example.org\nbo@example.org\n", "lea@example.org|bo@example.org"},
		{"\ufeffLéa Martin <lea@example.org>\r\n\r\nnobody\r\n", "Léa Martin <lea@example.org>|nobody"},
		{"lea@example.org; bo@example.org\n", "lea@example.org|bo@example.org"},
		{"Nom;Courriel\nMartin;lea@example.org\nPetit;\n", "lea@example.org|Petit"},
		{"Martin,lea@example.org\nPetit,bo@example.org\n", "lea@example.org|bo@example.org"},
		{"a@example.org\nb@example.org\nc@example.org\nd@example.org\n", "a@example.org|b@example.org|c@example.org"},
	} {
		got, err := roster.Addresses(strings.NewReader(c.file), 3)
		if err != nil || strings.Join(got, "|") != c.want {
			t.Errorf("%q: %q, %v", c.file, got, err)
		}
	}
	for _, c := range []struct{ file, key string }{{"", "im.empty"}, {"name,phone\nA,1\n", "im.noemail"}} {
		_, err := roster.Addresses(strings.NewReader(c.file), 3)
		var p *roster.Problem
		if !errors.As(err, &p) || p.Key != c.key {
			t.Errorf("%q: %v", c.file, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("email;nom\na@example.org;\"x\n"))
	f.Add([]byte("\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := roster.Open(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		for range 10000 {
			row, err := r.Next()
			if err != nil {
				return
			}
			if row.Problem == nil && row.Address.IsZero() {
				t.Fatalf("a row of nobody: %+v", row)
			}
		}
	})
}
