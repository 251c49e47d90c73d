package mailaddr_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/mailaddr"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, str, canonical, masked, ascii string }{
		{"bob@x.test", "bob@x.test", "bob@x.test", "b•••@x.test", "b***@x.test"},
		{"Bob.Smith+tag@X.Test", "Bob.Smith+tag@x.test", "bob.smith+tag@x.test", "B•••@x.test", "B***@x.test"},
		{"élodie@exämple.test", "élodie@exämple.test", "élodie@xn--exmple-cua.test", "é•••@exämple.test", "***@xn--exmple-cua.test"},
		{"e\u0301lodie@x.test", "élodie@x.test", "élodie@x.test", "é•••@x.test", "***@x.test"},
		{"b@xn--exmple-cua.test", "b@exämple.test", "b@xn--exmple-cua.test", "b•••@exämple.test", "b***@xn--exmple-cua.test"},
		{`"bob"@x.test`, "bob@x.test", "bob@x.test", "b•••@x.test", "b***@x.test"},
		{`"bob smith"@x.test`, `"bob smith"@x.test`, `"bob smith"@x.test`, "b•••@x.test", "b***@x.test"},
		{`"a@b"@x.test`, `"a@b"@x.test`, `"a@b"@x.test`, "a•••@x.test", "a***@x.test"},
		{`"a\"\\"@x.test`, `"a\"\\"@x.test`, `"a\"\\"@x.test`, "a•••@x.test", "a***@x.test"},
		{"a%b@x.test", "a%b@x.test", "a%b@x.test", "a•••@x.test", "a***@x.test"}, // exact, never routed
		{"root@localhost", "root@localhost", "root@localhost", "r•••@localhost", "r***@localhost"},
		{"a@r3---sn.test", "a@r3---sn.test", "a@r3---sn.test", "a•••@r3---sn.test", "a***@r3---sn.test"},
	} {
		a, err := mailaddr.Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if a.String() != c.str || a.Canonical() != c.canonical || a.Masked() != c.masked || a.ASCIIMasked() != c.ascii {
			t.Errorf("Parse(%q) = %q, %q, %q, %q", c.in, a.String(), a.Canonical(), a.Masked(), a.ASCIIMasked())
		}
	}
}

// AT-64: what is not exactly an address is refused.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "@", "a", "a@", "@x.test", "a@b@x.test", "<a@x.test>", "A <a@x.test>", "a@x.test,b@x.test",
		"@r.test:a@x.test", "a@[127.0.0.1]", "a@127.0.0.1", "a@x.test.", "a@.x.test", "a@x..test", "a@-x.test", "a@x_y.test",
		".a@x.test", "a.@x.test", "a..b@x.test", "a b@x.test", "a(c)@x.test", "a@x.test (c)", " a@x.test", "a@x.test ",
		"a\r\n@x.test", "a@x.test\r\nRCPT TO:<b@x.test>", "a\x00@x.test", "a\x7f@x.test", "\"a\nb\"@x.test", `"a@x.test`, `""@x.test`,
		`"a"b"@x.test`, `"a\"@x.test`, "a\u202eb@x.test", "a\u200bb@x.test", "a\u2066@x.test", "\"a\u202eb\"@x.test", "a\u00a0b@x.test",
		"a@x\u202e.test", "a@x\u3002test", "a@\uff58.test", "a@xn--a.test", "a@xn--.test", "\xff@x.test", "a@\xff.test",
		strings.Repeat("a", 65) + "@x.test", "a@" + strings.Repeat("a", 64) + ".test",
		"a@" + strings.Repeat("a.", 126) + "test", strings.Repeat("a", 10000) + "@x.test",
	} {
		if a, err := mailaddr.Parse(in); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", in, a.Wire())
		}
	}
}

// AT-64: letters that look alike are different mailboxes.
func TestHomographsDiffer(t *testing.T) {
	t.Parallel()
	latin, cyrillic := mailaddr.MustParse("a@paypal.test"), mailaddr.MustParse("a@pаypal.test")
	if latin.Same(cyrillic) || !strings.HasPrefix(cyrillic.Domain(), "xn--") {
		t.Errorf("%q and %q are one", latin.Canonical(), cyrillic.Canonical())
	}
	if !mailaddr.MustParse("A@X.test").Same(mailaddr.MustParse("a@x.TEST")) {
		t.Error("letter case divides a mailbox")
	}
}

func TestParseList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, list, bad string }{
		{"", "", ""},
		{" , ;\n", "", ""},
		{"a@x.test,b@x.test;c@x.test d@x.test\ne@x.test\r\nf@x.test\tg@x.test", "a@x.test b@x.test c@x.test d@x.test e@x.test f@x.test g@x.test", ""},
		{`Alice <a@x.test>, "Doe, John" <j@x.test>; Bob B. <b@x.test>`, "a@x.test j@x.test b@x.test", ""},
		{"Alice <a@x.test> Bob <b@x.test> c@x.test", "a@x.test b@x.test c@x.test", ""},
		{"a@x.test, A@X.test", "a@x.test", ""},
		{"a@x.test, nobody, <b@x.test", "a@x.test", "nobody|<b@x.test"},
		{"\"open <a@x.test>\nb@x.test", "a@x.test b@x.test", ""},
		{`"a b"@x.test c@x.test`, `"a b"@x.test c@x.test`, ""},
		{"a@x.test\x00", "", "a@x.test\x00"},
		{"pas une  adresse", "", "pas une adresse"},
		{"not one a@x.test nor this, b@x.test @ c", "a@x.test b@x.test", "not one|nor this|@|c"},
		{"not one\nnor two", "", "not one|nor two"},
	} {
		list, bad := mailaddr.ParseList(c.in)
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != c.list || strings.Join(bad, "|") != c.bad {
			t.Errorf("ParseList(%q) = %q, %q", c.in, got, bad)
		}
	}
}

// FuzzParse: what is accepted is safe in a command and a header, and its
// stored form reads back as itself.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"bob@x.test", `"a\"b"@x.test`, "é@exämple.test", "@a:b@c", "a@xn--exmple-cua.test", "x@ß.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = mailaddr.ParseList(s)
		a, err := mailaddr.Parse(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.Wire(), "\r\n\x00") || len(a.Wire()) > 254 {
			t.Fatalf("%q: wire %q", s, a.Wire())
		}
		for _, form := range []string{a.Wire(), a.Canonical(), a.String()} {
			b, err := mailaddr.Parse(form)
			if err != nil || b.Canonical() != a.Canonical() {
				t.Fatalf("%q: %q reads back as %q, %v", s, form, b.Canonical(), err)
			}
		}
	})
}
