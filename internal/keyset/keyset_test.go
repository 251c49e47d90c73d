package keyset_test

import (
	"encoding/base64"
	"testing"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyset"
)

func TestCursor(t *testing.T) {
	users := keyset.Of("users", 100042)
	for _, key := range []string{"zoe@example.org", "1764000000000 abc", "a\nb", "é"} {
		if got, err := users.Key(users.Cursor(key)); err != nil || got != key {
			t.Errorf("%q came back as %q, %v", key, got, err)
		}
	}
	if got, err := users.Key(""); got != "" || err != nil {
		t.Errorf("the beginning is %q, %v", got, err)
	}
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, cursor := range map[string]string{
		"garbage": "!", "padded": "YQ==", "of no list": raw("zoe@example.org"), "of another account": keyset.Of("users", 100043).Cursor("zoe@example.org"),
		"of another list": keyset.Of("groups", 100042).Cursor("ward"), "of a longer name": keyset.Of("users", 100042, 1).Cursor("x"),
		"no key": users.Cursor(""), "NUL": users.Cursor("a\x00"), "no text": users.Cursor("a\xff"),
	} {
		if key, err := users.Key(cursor); key != "" || !fault.HasKey(err, "err.cursor") || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
}

func TestNumbered(t *testing.T) {
	jobs := keyset.Of("jobs", 100042)
	if n, id, err := jobs.Numbered(jobs.Cursor(keyset.Numbered(1764000000000, "abc"))); n != 1764000000000 || id != "abc" || err != nil {
		t.Errorf("%d, %q, %v", n, id, err)
	}
	if n, id, err := jobs.Numbered(""); n != 0 || id != "" || err != nil {
		t.Errorf("the beginning is %d, %q, %v", n, id, err)
	}
	for _, key := range []string{"x y", "-1 abc", " abc", "9223372036854775808 abc"} {
		if _, _, err := jobs.Numbered(jobs.Cursor(key)); !fault.HasKey(err, "err.cursor") {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestPage(t *testing.T) {
	l := keyset.Of("letters")
	self := func(s string) string { return s }
	if rows, next := keyset.Page(l, []string{"a", "b", "c"}, 2, self); len(rows) != 2 || next != l.Cursor("b") {
		t.Errorf("%v, %q", rows, next)
	}
	if rows, next := keyset.Page(l, []string{"a", "b"}, 2, self); len(rows) != 2 || next != "" {
		t.Errorf("%v, %q", rows, next)
	}
}
