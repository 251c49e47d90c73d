package relay_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
)

// toFake is a relay to f without TLS.
func toFake(t *testing.T, f *fake) *relay.Relay {
	t.Helper()
	r := newRelay(t, relay.Config{Addr: f.addr, TLS: relay.None, Hello: "pli.example"})
	t.Cleanup(r.Close)
	return r
}

// lists are both ways to say MAIL, RCPT and DATA.
func lists(t *testing.T, fn func(t *testing.T, ext ...string)) {
	t.Helper()
	t.Run("one by one", func(t *testing.T) { t.Parallel(); fn(t) })
	t.Run("in one go", func(t *testing.T) { t.Parallel(); fn(t, "PIPELINING") })
}

// Of several recipients some may be refused; they are named, and the others get the mail.
func TestSomeRefused(t *testing.T) {
	t.Parallel()
	lists(t, func(t *testing.T, ext ...string) {
		f := newFake(t, &fake{ext: ext, say: func(_ int, line string) string {
			switch {
			case strings.Contains(line, "<b@"):
				return "550-5.1.1 no such\r\n550 5.1.1 user"
			case strings.Contains(line, "<c@"):
				return "451 4.7.1 later"
			case line == ".":
				return "250 2.0.0 Ok: queued as 4bX"
			}
			return ""
		}})
		r := toFake(t, f)
		got, err := r.Send(t.Context(), raw(short, "a@x.test", "b@x.test", "c@x.test", "d@x.test"))
		if err != nil {
			t.Fatal(err)
		}
		if got.Host != "127.0.0.1" || got.Text != "2.0.0 Ok: queued as 4bX" || len(got.Refused) != 2 {
			t.Fatalf("%+v", got)
		}
		b, c := got.Refused[0], got.Refused[1]
		if b.Addr.String() != "b@x.test" || !b.Err.Permanent || b.Err.Code != 550 || b.Err.Text != "5.1.1 no such\n5.1.1 user" {
			t.Errorf("%+v %+v", b, b.Err)
		}
		if c.Addr.String() != "c@x.test" || c.Err.Permanent || c.Err.Code != 451 || c.Err.Text != "4.7.1 later" {
			t.Errorf("%+v %+v", c, c.Err)
		}
		if m := f.all(); len(m) != 1 || m[0] != short {
			t.Errorf("%q", m)
		}
	})
}

// Where nobody is taken the answer is the one that leaves most hope, no mail is
// left behind, and the connection is of use for the next.
func TestAllRefused(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{"DATA refused": "554 5.5.1 no valid recipients", "DATA taken": "354 go"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lists(t, func(t *testing.T, ext ...string) {
				mail := 0
				f := newFake(t, &fake{ext: ext, say: func(_ int, line string) string {
					switch {
					case strings.HasPrefix(line, "MAIL"):
						mail++
					case mail > 1:
					case strings.Contains(line, "<a@"):
						return "550 5.1.1 no"
					case strings.Contains(line, "<b@"):
						return "452 4.2.2 full"
					case line == "DATA":
						return data
					case line == ".":
						return "554 5.5.1 no valid recipients"
					}
					return ""
				}})
				r := toFake(t, f)
				e := refused(t)(r.Send(t.Context(), raw(short, "a@x.test", "b@x.test")))
				if e.Permanent || e.Code != 452 || e.Text != "4.2.2 full" || len(f.all()) != 0 {
					t.Errorf("%+v, %d mails", e, len(f.all()))
				}
				if _, err := r.Send(t.Context(), raw(short, "a@x.test")); err != nil || f.connections() != 1 || len(f.all()) != 1 {
					t.Errorf("%v, %d connections, %d mails", err, f.connections(), len(f.all()))
				}
			})
		})
	}
}

// The next hop's own code is passed on, whichever command it refuses.
func TestAnswersToCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command, answer string
		code            int
		text            string
		permanent       bool
	}{
		{"MAIL", "550 5.7.1 not you", 550, "5.7.1 not you", true},
		{"MAIL", "451 4.3.0 later", 451, "4.3.0 later", false},
		{"MAIL", "421 4.3.2 closing", 421, "4.3.2 closing", false},
		{"RCPT", "421 4.7.0 too many", 421, "4.7.0 too many", false},
		{"RCPT", "550 5.1.1 nobody", 550, "5.1.1 nobody", true},
		{"DATA", "554 5.7.1 no", 554, "5.7.1 no", true},
		{"DATA", "421 4.3.2 closing", 421, "4.3.2 closing", false},
		{".", "550-5.7.1 spam\r\n550 5.7.1 really", 550, "5.7.1 spam\n5.7.1 really", true},
		{".", "451 4.7.1 greylisted", 451, "4.7.1 greylisted", false},
		{".", "421 4.3.2 closing", 421, "4.3.2 closing", false},
		{".", "550", 550, "", true},
	} {
		t.Run(c.command+" "+c.answer, func(t *testing.T) {
			t.Parallel()
			lists(t, func(t *testing.T, ext ...string) {
				f := newFake(t, &fake{ext: ext, say: func(_ int, line string) string {
					if strings.HasPrefix(line, c.command) {
						return c.answer
					}
					return ""
				}})
				e := refused(t)(toFake(t, f).Send(t.Context(), raw(short, "a@x.test")))
				if e.Code != c.code || e.Text != c.text || e.Permanent != c.permanent || len(f.all()) != 0 {
					t.Errorf("%+v, %d mails", e, len(f.all()))
				}
			})
		})
	}
}

// Only when the end of the mail was sent and no answer came, nobody knows (RFC 1047).
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at, answer string
		lost       bool
	}{
		{".", hangUp, true}, {".", "hello", true}, {".", "250-half", true},
		{"MAIL", hangUp, false}, {"RCPT", hangUp, false}, {"DATA", hangUp, false}, {"RCPT", "what?", false},
	} {
		t.Run(c.at+" "+c.answer, func(t *testing.T) {
			t.Parallel()
			lists(t, func(t *testing.T, ext ...string) {
				f := newFake(t, &fake{ext: ext, say: func(_ int, line string) string {
					if strings.HasPrefix(line, c.at) {
						return c.answer
					}
					return ""
				}})
				r := newRelay(t, relay.Config{Addr: f.addr, TLS: relay.None, Timeout: 300 * time.Millisecond})
				_, err := r.Send(t.Context(), raw(short, "a@x.test"))
				var lost *outbox.Unconfirmed
				var said *outbox.Error
				if err == nil || errors.As(err, &lost) != c.lost || errors.As(err, &said) {
					t.Errorf("%v", err)
				}
				if n := f.connections(); n != 1 {
					t.Errorf("%d connections: a mail must not be sent twice", n)
				}
			})
		})
	}
}

func TestRawArrivesWhole(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{ext: []string{"PIPELINING", "8BITMIME", "SIZE 1000000"}})
	r := toFake(t, f)
	long := "A: b\r\n\r\n" + strings.Repeat(strings.Repeat("é", 400)+"\r\n..\r\n.\r\n", 300)
	for _, text := range []string{
		short, ".\r\n", "..a\r\n.\r\n\r\n.\r\n", "no line end", "", "\r\n", long,
	} {
		p := raw(text, "a@x.test")
		p.Raw.EightBit = text == long
		if _, err := r.Send(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		want := text
		if !strings.HasSuffix(want, "\r\n") && want != "" {
			want += "\r\n"
		}
		if m := f.all(); m[len(m)-1] != want {
			t.Errorf("%.40q arrived as %.40q", want, m[len(m)-1])
		}
	}
	if n := f.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	// CR or LF alone are two mails for some servers (CVE-2023-51764).
	for _, text := range []string{"a\n.\r\nMAIL", "a\r.\r\n", "a\r\n.\n", "a\r", "\n", "\rb\r\n"} {
		n := len(f.all())
		_, err := r.Send(t.Context(), raw(text, "a@x.test"))
		var lost *outbox.Unconfirmed
		if err == nil || errors.As(err, &lost) || len(f.all()) != n {
			t.Errorf("%q: %v, %d mails", text, err, len(f.all())-n)
		}
	}
}

// What the mail needs and the next hop does not offer is known before MAIL.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	eight, utf8 := raw(short, "a@x.test"), raw(short, "a@x.test")
	eight.Raw.EightBit, utf8.Raw.UTF8 = true, true
	beyond, from := raw(short, "a@x.test", "josé@x.test"), raw(short, "a@x.test")
	from.From = mailaddr.MustParse("josé@from.test")
	large := raw(strings.Repeat("x", 998)+"\r\n", "a@x.test")
	for _, c := range []struct {
		name string
		p    outbox.Parcel
		ext  []string
		code int
		text string // begins with
		mail string // MAIL, where it goes
	}{
		{"8BITMIME", eight, nil, 554, "5.6.3 ", ""},
		{"8BITMIME offered", eight, []string{"8BITMIME"}, 0, "", "1 MAIL FROM:<ana@from.test> BODY=8BITMIME"},
		{"header", utf8, []string{"8BITMIME"}, 553, "5.6.7 ", ""},
		{"header, offered", utf8, []string{"smtputf8"}, 0, "", "1 MAIL FROM:<ana@from.test> SMTPUTF8"},
		{"recipient", beyond, nil, 553, "5.6.7 ", ""},
		{"sender", from, nil, 553, "5.6.7 ", ""},
		{"sender, offered", from, []string{"SMTPUTF8", "8BITMIME"}, 0, "", "1 MAIL FROM:<josé@from.test> SMTPUTF8"},
		{"size", large, []string{"SIZE 999"}, 552, "5.3.4 ", ""},
		{"just the size", large, []string{"SIZE 1000"}, 0, "", "1 MAIL FROM:<ana@from.test> SIZE=1000"},
		{"no limit", large, []string{"SIZE"}, 0, "", "1 MAIL FROM:<ana@from.test> SIZE=1000"},
		{"limit 0", large, []string{"SIZE 0"}, 0, "", "1 MAIL FROM:<ana@from.test> SIZE=1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, &fake{ext: c.ext})
			_, err := toFake(t, f).Send(t.Context(), c.p)
			mail := f.said("MAIL")
			if c.code == 0 {
				if err != nil || len(mail) != 1 || mail[0] != c.mail {
					t.Errorf("%v, %q", err, mail)
				}
				return
			}
			if e := refusal(t, err); e.Code != c.code || !e.Permanent || !strings.HasPrefix(e.Text, c.text) || e.Key == "" || len(mail) > 0 {
				t.Errorf("%+v, %q", e, mail)
			}
		})
	}
}

// What the sender asked of deliveries goes along where the next hop takes it (RFC 3461).
func TestDeliveryOptions(t *testing.T) {
	t.Parallel()
	p := raw(short, "a@x.test", "b@x.test", "c@x.test")
	p.EnvelopeID, p.Return = "QQ+2B1", "FULL"
	p.To[0].Notify, p.To[0].Original = []string{"SUCCESS", "DELAY"}, "rfc822;a+2Bx@y.test"
	p.To[1].Notify = []string{"NEVER"}
	null := raw(short, "a@x.test")
	null.From = mailaddr.Address{}
	for _, c := range []struct {
		name string
		ext  []string
		p    outbox.Parcel
		want []string
	}{
		{"taken", []string{"DSN", "PIPELINING"}, p, []string{"1 MAIL FROM:<ana@from.test> RET=FULL ENVID=QQ+2B1",
			"1 RCPT TO:<a@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bx@y.test", "1 RCPT TO:<b@x.test> NOTIFY=NEVER", "1 RCPT TO:<c@x.test>"}},
		{"not taken", []string{"PIPELINING"}, p,
			[]string{"1 MAIL FROM:<ana@from.test>", "1 RCPT TO:<a@x.test>", "1 RCPT TO:<b@x.test>", "1 RCPT TO:<c@x.test>"}},
		{"none, null sender", []string{"DSN"}, null, []string{"1 MAIL FROM:<> RET=HDRS", "1 RCPT TO:<a@x.test>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, &fake{ext: c.ext})
			if _, err := toFake(t, f).Send(t.Context(), c.p); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, f.said("MAIL", "RCPT")); d != "" {
				t.Error(d)
			}
		})
	}
}

// A server of the time before EHLO.
func TestHelo(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{say: func(_ int, line string) string {
		if strings.HasPrefix(line, "EHLO") {
			return "502 5.5.1 what?"
		}
		return ""
	}})
	if _, err := toFake(t, f).Send(t.Context(), raw(short, "a@x.test")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"1 EHLO pli.example", "1 HELO pli.example"}, f.said("EHLO", "HELO")); d != "" {
		t.Error(d)
	}
}

// Who gives up is answered at once, also when it happens while the mail is
// being read and not while the next hop is waited for.
func TestCancelWhileReading(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	defer close(wait)
	f := newFake(t, &fake{say: func(_ int, line string) string {
		if line == "." {
			<-wait
		}
		return ""
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := raw(short, "a@x.test")
	p.Raw.Open = func() (io.ReadCloser, error) {
		cancel() // and the mail goes on for long enough that the connection hears of it
		return io.NopCloser(strings.NewReader(strings.Repeat(strings.Repeat("x", 998)+"\r\n", 20_000))), nil
	}
	begun := time.Now()
	if _, err := toFake(t, f).Send(ctx, p); err == nil || time.Since(begun) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	if len(f.all()) > 0 {
		t.Error("the mail was sent")
	}
}
