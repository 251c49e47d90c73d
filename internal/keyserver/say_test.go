package keyserver_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyserver"
)

// A refusal is told as one, with its reason, in both languages.
func TestRefusalsAreTold(t *testing.T) {
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range i18n.Languages {
		p := cat.Printer(lang, nil)
		for _, why := range []string{keyserver.ReasonSession, keyserver.ReasonPassword, keyserver.ReasonBlocked, keyserver.ReasonStranger,
			keyserver.ReasonPossession, keyserver.ReasonCode, keyserver.ReasonAddress, keyserver.ReasonLocked, keyserver.ReasonExpired,
			keyserver.ReasonGone, keyserver.ReasonRights, keyserver.ReasonAnswer, keyserver.ReasonLimit, keyserver.ReasonLevel} {
			said := p.T("desk.why." + why)
			if said == "desk.why."+why {
				t.Errorf("%s: no text for the reason %s", lang, why)
			}
			for _, action := range []string{"envelope.release_denied", "envelope.lock", "envelope.unlock", "envelope.reply", "envelope.forward"} {
				e := keyserver.Event{Actor: "user:eve@x.test", Recipient: "bob@x.test", Action: action, Refused: true, Reason: why}
				if s := e.Say(p); !strings.Contains(s, said) {
					t.Errorf("%s: a refused %s is told as %q", lang, action, s)
				}
			}
		}
	}
}

// What the service could read is told as that (security.md 1.5).
func TestForwardedIsTold(t *testing.T) {
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for lang, want := range map[string]string{"en": "held everything needed to read it", "fr": "détenait alors tout ce qu'il faut pour la lire"} {
		e := keyserver.Event{Actor: "visitor", Recipient: "bob@x.test", Action: "envelope.assisted_upload"}
		if s := e.Say(cat.Printer(lang, nil)); !strings.Contains(s, want) || !strings.Contains(s, "bob@x.test") {
			t.Errorf("%s: %q", lang, s)
		}
	}
}
