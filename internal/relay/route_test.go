package relay_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/mx/mxtest"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
)

// world is the domain x.test, whose server a.x.test is on loopback.
type world struct {
	authority *mxtest.Authority
	zone      *mxtest.Zone
	policies  *mxtest.Policies
	host      *fake
	relay     *relay.Relay
}

// newWorld starts it; the host shows cert, where that is set.
func newWorld(t *testing.T, cert func(*mxtest.Authority) tls.Certificate) *world {
	t.Helper()
	a := mxtest.NewAuthority(t)
	w := &world{authority: a, policies: mxtest.NewPolicies(t, a), host: &fake{ext: []string{"PIPELINING"}}}
	if cert != nil {
		w.host.cert = &tls.Config{Certificates: []tls.Certificate{cert(a)}}
	}
	newFake(t, w.host)
	w.zone = mxtest.New(t, "x.test. MX 10 a.x.test.", "a.x.test. A 127.0.0.1", "mta-sts.x.test. A 127.0.0.1")
	w.relay = newRelay(t, relay.Config{Hello: "pli.example", Resolver: w.resolver(t), Port: port(w.host.addr)})
	t.Cleanup(w.relay.Close)
	return w
}

func (w *world) resolver(t *testing.T) *mx.Resolver {
	t.Helper()
	r, err := mx.New(mx.Config{Servers: []string{w.zone.Addr}, Local: true, Roots: w.authority.Pool(), STSPort: w.policies.Port})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) tlsa(t *testing.T, record string) {
	t.Helper()
	w.zone.Add(t, "_25._tcp.a.x.test. TLSA "+record)
}

func (w *world) policy(t *testing.T, mode, host string) {
	t.Helper()
	w.zone.Add(t, `_mta-sts.x.test. TXT "v=STSv1; id=1;"`)
	w.policies.Set("x.test", "version: STSv1\nmode: "+mode+"\nmx: "+host+"\nmax_age: 86400\n")
}

func port(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }

// AT-73: mail that may only travel protected goes where the host is proved, and
// nowhere else; other mail goes as far as DNS does not forbid it, and is never
// sent in clear where DNS says that there is TLS.
func TestProtection(t *testing.T) {
	t.Parallel()
	named := func(names ...string) func(*mxtest.Authority) tls.Certificate {
		return func(a *mxtest.Authority) tls.Certificate { return a.Issue(t, names...) }
	}
	right, wrong := named("a.x.test"), named("b.x.test")
	stranger := func(*mxtest.Authority) tls.Certificate { return mxtest.NewAuthority(t).Issue(t, "a.x.test") }
	tooOld := func(a *mxtest.Authority) tls.Certificate { return a.IssueFor(t, -1, "a.x.test") }
	key := func(t *testing.T, w *world) { w.tlsa(t, mxtest.TLSA(3, 1, 1, w.host.cert.Certificates[0].Leaf)) }
	otherKey := func(t *testing.T, w *world) { w.tlsa(t, mxtest.TLSA(3, 1, 1, w.authority.Cert)) }
	ta := func(t *testing.T, w *world) { w.tlsa(t, mxtest.TLSA(2, 0, 1, w.authority.Cert)) }
	sts := func(mode, host string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) { w.policy(t, mode, host) }
	}
	enforce, testingMode := sts("enforce", "a.x.test"), sts("testing", "a.x.test")
	unsigned := func(t *testing.T, w *world) { w.zone.Unsigned("_25._tcp.a.x.test.") }
	const clear = "clear"
	for _, c := range []struct {
		name  string
		cert  func(*mxtest.Authority) tls.Certificate // nil: STARTTLS is not offered
		set   []func(*testing.T, *world)
		how   string // the protection, "" for none
		other string // how other mail goes: tls, clear, or "" for not at all
	}{
		{"nothing, self-signed", stranger, nil, "", "tls"},
		{"nothing, good certificate", right, nil, "", "tls"},
		{"nothing, no STARTTLS", nil, nil, "", clear},
		{"DANE", stranger, []func(*testing.T, *world){key}, "dane", "tls"},
		{"DANE, its own key under another name and too old", tooOld, []func(*testing.T, *world){key}, "dane", "tls"},
		{"DANE, authority", right, []func(*testing.T, *world){ta}, "dane", "tls"},
		{"DANE, authority, another name", wrong, []func(*testing.T, *world){ta}, "", ""},
		{"DANE, another key", right, []func(*testing.T, *world){otherKey}, "", ""},
		{"DANE, no STARTTLS", nil, []func(*testing.T, *world){otherKey}, "", ""},
		{"DANE, unsigned", right, []func(*testing.T, *world){otherKey, unsigned}, "", "tls"},
		{"DANE, unusable", stranger, []func(*testing.T, *world){func(t *testing.T, w *world) { w.tlsa(t, "1 1 3 00") }}, "", "tls"},
		{"DANE, unusable, no STARTTLS", nil, []func(*testing.T, *world){func(t *testing.T, w *world) { w.tlsa(t, "1 1 3 00") }}, "", ""},
		{"DANE, cannot be asked", right, []func(*testing.T, *world){func(_ *testing.T, w *world) { w.zone.Fail("_25._tcp.a.x.test.", "TLSA", "SERVFAIL") }}, "", ""},
		{"MTA-STS", right, []func(*testing.T, *world){enforce}, "mta-sts", "tls"},
		{"MTA-STS, self-signed", stranger, []func(*testing.T, *world){enforce}, "", ""},
		{"MTA-STS, wrong name", wrong, []func(*testing.T, *world){enforce}, "", ""},
		{"MTA-STS, too old", tooOld, []func(*testing.T, *world){enforce}, "", ""},
		{"MTA-STS, no STARTTLS", nil, []func(*testing.T, *world){enforce}, "", ""},
		{"MTA-STS, a host that is not of the policy", right, []func(*testing.T, *world){sts("enforce", "b.x.test")}, "", ""},
		{"MTA-STS, testing", right, []func(*testing.T, *world){testingMode}, "", "tls"},
		{"MTA-STS, testing, no STARTTLS", nil, []func(*testing.T, *world){testingMode}, "", clear},
		{"MTA-STS, testing, another host", stranger, []func(*testing.T, *world){sts("testing", "b.x.test")}, "", "tls"},
		{"MTA-STS, none", right, []func(*testing.T, *world){sts("none", "a.x.test")}, "", "tls"},
		{"both", right, []func(*testing.T, *world){enforce, key}, "dane", "tls"},
		{"both, another key", right, []func(*testing.T, *world){enforce, otherKey}, "", ""}, // RFC 8461, section 2
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.cert)
			for _, set := range c.set {
				set(t, w)
			}
			how, err := w.relay.Protects(t.Context(), "x.test")
			if how != c.how || (err == nil) != (how != "") || err != nil && !errors.Is(err, outbox.ErrUnprotected) {
				t.Errorf("protected by %q, %v", how, err)
			}
			p := raw(short, "bob@x.test")
			p.Protected = true
			_, err = w.relay.Send(t.Context(), p)
			if sent := len(w.host.all()); (err == nil) != (c.how != "") || err != nil && !errors.Is(err, outbox.ErrUnprotected) || (sent == 1) != (err == nil) {
				t.Errorf("protected: %v, %d sent", err, sent)
			}
			if c.how == "" && len(w.host.said("MAIL", "RCPT")) > 0 {
				t.Errorf("the host was told whose mail it is: %q", w.host.said())
			}

			before, secure := len(w.host.all()), w.host.handshakes()
			p.Protected = false
			_, err = w.relay.Send(t.Context(), p)
			sent := len(w.host.all()) - before
			if (err == nil) != (c.other != "") || (sent == 1) != (err == nil) {
				t.Fatalf("other mail: %v, %d sent", err, sent)
			}
			var final *outbox.Error
			if errors.As(err, &final) && final.Permanent {
				t.Errorf("what may be mended is tried again: %v", err)
			}
			if err == nil && (w.host.handshakes()+secure > 0) != (c.other == "tls") {
				t.Errorf("%d handshakes", w.host.handshakes())
			}
		})
	}
}

// A pinned partner needs no DNS; without any resolver nothing else is protected.
func TestProtectedPartner(t *testing.T) {
	t.Parallel()
	cert, ca := authority(t, "127.0.0.1")
	f := newFake(t, &fake{cert: &tls.Config{Certificates: []tls.Certificate{cert}}})
	open := newFake(t, &fake{})
	r := newRelay(t, relay.Config{Addr: open.addr, TLS: relay.None, Partners: map[string]relay.Partner{
		"x.test": {Addr: f.addr, CAFile: ca}, "stripped.test": {Addr: open.addr}}})
	t.Cleanup(r.Close)
	for domain, ok := range map[string]bool{"x.test": true, "y.test": false, "stripped.test": false} {
		p := raw(short, "bob@"+domain)
		p.Protected = true
		if _, err := r.Send(t.Context(), p); (err == nil) != ok || !ok && !errors.Is(err, outbox.ErrUnprotected) {
			t.Errorf("%s: %v", domain, err)
		}
		if how, err := r.Protects(t.Context(), domain); (how == "pinned") != ok || (err == nil) != ok {
			t.Errorf("%s: %q, %v", domain, how, err)
		}
	}
	if len(f.all()) != 1 || f.handshakes() != 1 || len(open.all()) != 0 {
		t.Errorf("%d mails, %d handshakes, %d in clear", len(f.all()), f.handshakes(), len(open.all()))
	}
	if !r.Together("a.test", "b.test") || r.Together("a.test", "x.test") || !r.Together("x.test", "x.test") {
		t.Error("what goes together")
	}
}

// Mail with a protected way by DNS, and all other by the smart host.
func TestProtectedBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(a *mxtest.Authority) tls.Certificate { return a.Issue(t, "a.x.test") })
	w.policy(t, "enforce", "a.x.test")
	smart := newFake(t, &fake{})
	r := newRelay(t, relay.Config{Addr: smart.addr, TLS: relay.None, ProtectedBy: w.resolver(t), Port: port(w.host.addr)})
	t.Cleanup(r.Close)
	p := raw(short, "bob@x.test")
	if _, err := r.Send(t.Context(), p); err != nil || len(smart.all()) != 1 {
		t.Errorf("%v, %d by the smart host", err, len(smart.all()))
	}
	p.Protected = true
	if _, err := r.Send(t.Context(), p); err != nil || len(w.host.all()) != 1 || w.host.handshakes() != 1 {
		t.Errorf("%v, %d by DNS", err, len(w.host.all()))
	}
	// What is proved of one domain's way is proved of no other's.
	p.To = append(p.To, outbox.Receiver{Addr: mailaddr.MustParse("eve@y.test")})
	if _, err := r.Send(t.Context(), p); !errors.Is(err, outbox.ErrUnprotected) || len(w.host.all()) != 1 {
		t.Errorf("%v, %d by DNS", err, len(w.host.all()))
	}
}

// The next host of a domain gets the mail that the first does not take for now,
// and not what it refused for good.
func TestHostsInTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, first   string // answer to RCPT; "down" for no server at all
		second        bool   // whether the second host is asked
		code          int    // 0: the mail is taken
		secondRefuses string
	}{
		{"down", "down", true, 0, ""},
		{"later", "451 4.3.0 later", true, 0, ""},
		{"no", "550 5.1.1 no", false, 550, ""},
		{"lost at its end", hangUp, false, -1, ""},
		{"both later", "451 4.3.0 later", true, 451, "450 4.2.0 later"},
		{"later, then no", "451 4.3.0 later", true, 550, "550 5.1.1 no"},
		{"down, then later", "down", true, 450, "450 4.2.0 later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answers := func(s string) func(int, string) string {
				return func(_ int, line string) string {
					if strings.HasPrefix(line, "RCPT") && s != hangUp || line == "." && s == hangUp {
						return s
					}
					return ""
				}
			}
			first := newFakeAt(t, "127.0.0.1:0", &fake{say: answers(c.first)})
			second := newFakeAt(t, "127.0.0.2:"+port(first.addr), &fake{say: answers(c.secondRefuses)})
			a := "127.0.0.1"
			if c.first == "down" {
				a = "127.0.0.3"
			}
			z := mxtest.New(t, "x.test. MX 10 a.test.", "x.test. MX 20 b.test.", "a.test. A "+a, "b.test. A 127.0.0.2")
			resolver, err := mx.New(mx.Config{Servers: []string{z.Addr}, Local: true})
			if err != nil {
				t.Fatal(err)
			}
			r := newRelay(t, relay.Config{Hello: "pli.example", Resolver: resolver, Port: port(first.addr)})
			t.Cleanup(r.Close)
			got, err := r.Send(t.Context(), raw(short, "bob@x.test"))
			if (second.connections() > 0) != c.second {
				t.Errorf("the second host was asked %d times", second.connections())
			}
			var lost *outbox.Unconfirmed
			switch {
			case c.code == 0:
				if err != nil || got.Host != "b.test" {
					t.Errorf("%+v, %v", got, err)
				}
			case c.code < 0:
				if !errors.As(err, &lost) {
					t.Errorf("%v", err)
				}
			default:
				if e := refusal(t, err); e.Code != c.code {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// Where this server stands among a domain's, mail goes only to those that are
// preferred to it (RFC 5321, section 5.1); else it would come back.
func TestOwnNameAmongHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.zone.Add(t, "pli.example. A 127.0.0.9",
		"own.test. MX 10 PLI.example.", "own.test. MX 20 a.x.test.",
		"backup.test. MX 10 a.x.test.", "backup.test. MX 20 pli.example.",
		"tie.test. MX 10 a.x.test.", "tie.test. MX 10 pli.example.")
	for _, domain := range []string{"own.test", "tie.test"} {
		e := refused(t)(w.relay.Send(t.Context(), raw(short, "bob@"+domain)))
		if !e.Permanent || e.Code != 554 || !strings.HasPrefix(e.Text, "5.4.6 ") || w.host.connections() != 0 {
			t.Errorf("%s: %+v", domain, e)
		}
	}
	if _, err := w.relay.Send(t.Context(), raw(short, "bob@backup.test")); err != nil || len(w.host.all()) != 1 {
		t.Errorf("%v", err)
	}
}

// What DNS says of a domain is passed on in the next hop's place.
func TestDomainsWithoutMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.zone.Add(t, "null.test. MX 0 .", `nohost.test. TXT "x"`)
	w.zone.Fail("later.test.", "MX", "SERVFAIL")
	for domain, want := range map[string]string{"null.test": "5.1.10 ", "gone.test": "5.1.2 ", "nohost.test": "5.4.4 ", "later.test": ""} {
		_, err := w.relay.Send(t.Context(), raw(short, "bob@"+domain))
		var e *outbox.Error
		if want == "" {
			if err == nil || errors.As(err, &e) {
				t.Errorf("%s: %v", domain, err)
			}
			continue
		}
		if e := refusal(t, err); !e.Permanent || e.Code != 550 || e.Key == "" || !strings.HasPrefix(e.Text, want) {
			t.Errorf("%s: %+v", domain, e)
		}
	}
}

// Mail for several domains goes together only where the way is the same.
func TestTogetherByDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if w.relay.Together("x.test", "y.test") || !w.relay.Together("x.test", "x.test") {
		t.Error("what goes together")
	}
}
