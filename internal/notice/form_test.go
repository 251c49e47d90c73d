package notice_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/notice"
)

// A mail that is filled into a kept form is the mail that would have been
// rendered, octet for octet, whatever people are called.
func TestFormsAreTheMails(t *testing.T) {
	t.Parallel()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	w, err := notice.New(cat, "https://envelope.example.org")
	if err != nil {
		t.Fatal(err)
	}
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 12, 24, 23, 30, 0, 0, time.UTC)
	for _, l := range []notice.Languages{notice.In("en", "", nil), notice.In("", "fr", paris), notice.In("", "en", nil), notice.In("fr", "", paris)} {
		for _, e := range []notice.Envelope{
			{Sender: "Ana Silva", SenderAddress: "ana@x.test", Organisation: "Example Health", KeptUntil: at, ExpiresAt: at.AddDate(0, 0, 7), File: "securedoc_20261126T064000.html"},
			{SenderAddress: "ana@x.test", KeptUntil: at, ExpiresAt: at, File: ""},
			{Sender: `<b>"O'Hara" & Söhne</b> with a name that is long enough to be broken into lines of text`, SenderAddress: "o'hara&co@x.test", Organisation: "R&D <x>", File: "securedoc_20261126T064001.html"},
			{Sender: "QZ7-QZ8 {{.}} qz.to.zq@recipient.invalid", SenderAddress: "qz.address.zq@sender.invalid", Organisation: "QzSenderZ"},
		} {
			for i, to := range []string{"bob@y.test", "o'neil+tag@longer.example.test"} {
				e.To, e.Ref, e.Part.E = to, []string{"7KQ42F", "ABCDEF"}[i], envelope.Secret{byte(i), 9}
				got, err := w.Envelope(l, e)
				if err != nil {
					t.Fatal(err)
				}
				want, err := w.Rendered(l, e)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%v %+v: %s", l.Order, e, d)
				}
			}
		}
	}
}

func BenchmarkEnvelope(b *testing.B) {
	cat, err := i18n.Load()
	if err != nil {
		b.Fatal(err)
	}
	w, err := notice.New(cat, "https://envelope.example.org")
	if err != nil {
		b.Fatal(err)
	}
	e := notice.Envelope{Sender: "Ana Silva", SenderAddress: "ana@x.test", Organisation: "Example Health", To: "bob@y.test", Ref: "7KQ42F",
		KeptUntil: time.Now(), File: "securedoc_20261126T064000.html"}
	for name, write := range map[string]func(notice.Languages, notice.Envelope) (notice.Mail, error){"form": w.Envelope, "rendered": w.Rendered} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := write(notice.In("", "en", nil), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
