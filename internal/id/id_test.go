package id_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/pli-mail/pli/internal/id"
)

func TestTokenDoesNotPrint(t *testing.T) { // AT-84
	k := id.NewToken()
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); s != "[secret] [secret] [secret] [secret]" {
		t.Error(s)
	}
	back, err := id.ParseToken(k.Reveal())
	if err != nil || back != k || back.Hash() != k.Hash() {
		t.Error("token does not survive a round trip", err)
	}
}

func TestReference(t *testing.T) {
	for range 200 {
		r := id.NewReference()
		if got, ok := id.ParseReference(" " + id.ShowReference(r) + " "); !ok || got != r {
			t.Fatalf("%q: %q %v", r, got, ok)
		}
	}
	for _, bad := range []string{"", "7KQ42", "7KQ42FF", "7KQ42O", "../../"} {
		if _, ok := id.ParseReference(bad); ok {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestCodeAndPassword(t *testing.T) {
	for range 200 {
		if c := id.NewCode(); !regexp.MustCompile(`^\d{6}$`).MatchString(c) {
			t.Fatal(c)
		}
	}
	if p := id.NewPassword(); len(p) != 24 {
		t.Error(p)
	}
}
