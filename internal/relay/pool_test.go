package relay_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/relay"
)

func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{ext: []string{"PIPELINING"}, say: func(_ int, line string) string {
		if strings.Contains(line, "<nobody@") {
			return "550 5.1.1 no"
		}
		return ""
	}})
	r := toFake(t, f)
	for _, to := range []string{"a@x.test", "nobody@x.test", "b@y.test", "c@z.test"} {
		r.Send(t.Context(), raw(short, to))
	}
	r.Close()
	if n := len(f.all()); n != 3 || f.connections() != 1 || len(f.said("EHLO")) != 1 || len(f.said("QUIT")) != 1 {
		t.Errorf("%d mails over %d connections: %q", n, f.connections(), f.said())
	}
	// What was refused must not be in the next mail's way.
	if n := len(f.said("RSET")); n != 1 {
		t.Errorf("%d RSET", n)
	}
	if _, err := r.Send(t.Context(), raw(short, "a@x.test")); err != nil || len(f.said("QUIT")) != 2 {
		t.Errorf("after Close nothing is kept: %v, %q", err, f.said("QUIT"))
	}
}

// That the server has ended an idle connection is no error for the next mail.
func TestKeptConnectionEnds(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"hangs up": hangUp, "says so": "421 4.4.2 idle for too long"} {
		for _, at := range []string{"MAIL", "RCPT"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				t.Parallel()
				lists(t, func(t *testing.T, ext ...string) {
					old := 0 // mails on the first connection
					f := newFake(t, &fake{ext: ext})
					f.say = func(conn int, line string) string {
						if conn == 1 && strings.HasPrefix(line, "MAIL") {
							old++
						}
						if conn == 1 && old == 2 && strings.HasPrefix(line, at) {
							return answer
						}
						return ""
					}
					r := toFake(t, f)
					for range 3 {
						if _, err := r.Send(t.Context(), raw(short, "a@x.test")); err != nil {
							t.Fatal(err)
						}
					}
					if len(f.all()) != 3 || f.connections() != 2 {
						t.Errorf("%d mails over %d connections", len(f.all()), f.connections())
					}
				})
			})
		}
	}
	t.Run("while idle", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, &fake{})
		r := toFake(t, f)
		for range 3 {
			if _, err := r.Send(t.Context(), raw(short, "a@x.test")); err != nil {
				t.Fatal(err)
			}
			f.hangUp()
		}
		if len(f.all()) != 3 || f.connections() != 3 {
			t.Errorf("%d mails over %d connections", len(f.all()), f.connections())
		}
	})
}

// A new connection that ends is an error: another would end too.
func TestNewConnectionEnds(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{say: func(_ int, line string) string {
		if strings.HasPrefix(line, "MAIL") {
			return hangUp
		}
		return ""
	}})
	if _, err := toFake(t, f).Send(t.Context(), raw(short, "a@x.test")); err == nil || f.connections() != 1 {
		t.Errorf("%v, %d connections", err, f.connections())
	}
}

func TestMailsOnOneConnection(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{ext: []string{"PIPELINING"}})
	r := toFake(t, f)
	for range 201 {
		if _, err := r.Send(t.Context(), raw(short, "a@x.test")); err != nil {
			t.Fatal(err)
		}
	}
	if f.connections() != 2 || len(f.said("QUIT")) != 1 {
		t.Errorf("%d connections, %q", f.connections(), f.said("QUIT"))
	}
}

// Two partners behind one address are proved each for itself, and the smart
// host is not given mail on a connection that did not sign in.
func TestKeptConnectionsArePartners(t *testing.T) {
	t.Parallel()
	cert, ca := authority(t, "hub.test")
	_, otherCA := authority(t, "hub.test")
	f := newFake(t, &fake{cert: &tls.Config{Certificates: []tls.Certificate{cert}}, ext: []string{"AUTH PLAIN"}, say: func(_ int, line string) string {
		if strings.HasPrefix(line, "AUTH ") {
			return "235 ok"
		}
		return ""
	}})
	r := newRelay(t, relay.Config{Addr: f.addr, CAFile: ca, ServerName: "hub.test", Username: "pli", Password: "right",
		Partners: map[string]relay.Partner{
			"good.test":  {Addr: f.addr, CAFile: ca, ServerName: "hub.test"},
			"other.test": {Addr: f.addr, CAFile: otherCA, ServerName: "hub.test"},
			"named.test": {Addr: f.addr, CAFile: ca, ServerName: "another.test"},
		}})
	t.Cleanup(r.Close)
	for _, c := range []struct {
		to   string
		ok   bool
		auth int
	}{{"a@good.test", true, 0}, {"a@other.test", false, 0}, {"a@named.test", false, 0}, {"a@good.test", true, 0}, {"a@else.test", true, 1}} {
		_, err := r.Send(t.Context(), raw(short, c.to))
		if (err == nil) != c.ok || len(f.said("AUTH")) != c.auth {
			t.Errorf("%s: %v, signed in %d times", c.to, err, len(f.said("AUTH")))
		}
	}
}
