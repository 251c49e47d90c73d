package mx_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/mx/mxtest"
)

// resolver asks the zones, in this order.
func resolver(t *testing.T, c mx.Config, zones ...*mxtest.Zone) *mx.Resolver {
	t.Helper()
	for _, z := range zones {
		c.Servers = append(c.Servers, z.Addr)
	}
	r, err := mx.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func lookup(t *testing.T, r *mx.Resolver, domain string) *mx.Route {
	t.Helper()
	route, err := r.Lookup(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	return route
}

// hosts is a route as "name=address,address name=…".
func hosts(route *mx.Route) string {
	var list []string
	for _, h := range route.Hosts {
		var addrs []string
		for _, a := range h.Addrs {
			addrs = append(addrs, a.String())
		}
		list = append(list, h.Name+"="+strings.Join(addrs, ","))
	}
	return strings.Join(list, " ")
}

func TestHosts(t *testing.T) {
	t.Parallel()
	z := mxtest.New(t,
		"order.test. MX 30 c.test.", "order.test. MX 10 A.test.", "order.test. MX 20 b.test.",
		"a.test. A 192.0.2.1", "a.test. AAAA 2001:db8::1", "b.test. A 192.0.2.2", "b.test. A 192.0.2.3", "c.test. AAAA 2001:db8::3",
		"address.test. A 192.0.2.9",
		"some.test. MX 10 gone.test.", "some.test. MX 20 empty.test.", "some.test. MX 30 b.test.", `empty.test. TXT "x"`,
		"alias.test. CNAME order.test.",
		"aliased.test. MX 10 other.test.", "other.test. CNAME c.test.",
		"mapped.test. AAAA ::ffff:192.0.2.7",
		"half.test. MX 10 a.test.", "half.test. MX 5 broken.test.", "broken.test. A 192.0.2.8",
		"six.test. A 192.0.2.6", "six.test. AAAA 2001:db8::6",
		"dot.test. MX 0 .", "dot.test. MX 10 b.test.",
		"long.test. MX 10 c.test.", "local.test. MX 10 here.test.", "here.test. A 127.0.0.1", "here.test. A 10.1.2.3", "here.test. A 0.0.0.0",
		"here.test. A 169.254.169.254", "here.test. AAAA ::1", "here.test. AAAA ::ffff:127.0.0.2", "here.test. AAAA fe80::1",
	)
	z.Fail("broken.test.", "", "SERVFAIL")
	z.Fail("six.test.", "A", "SERVFAIL")
	z.Cut("long.test.")
	z.Cut("c.test.")
	for domain, want := range map[string]string{
		"order.test":   "a.test=192.0.2.1,2001:db8::1 b.test=192.0.2.2,192.0.2.3 c.test=2001:db8::3",
		"ORDER.test":   "a.test=192.0.2.1,2001:db8::1 b.test=192.0.2.2,192.0.2.3 c.test=2001:db8::3",
		"address.test": "address.test=192.0.2.9", // RFC 5321, section 5.1: an implicit MX
		"some.test":    "b.test=192.0.2.2,192.0.2.3",
		"alias.test":   "a.test=192.0.2.1,2001:db8::1 b.test=192.0.2.2,192.0.2.3 c.test=2001:db8::3",
		"aliased.test": "other.test=2001:db8::3", // not allowed, and common; the name that MX gives is the one to prove
		"mapped.test":  "mapped.test=192.0.2.7",
		"half.test":    "a.test=192.0.2.1,2001:db8::1", // what can be found is enough
		"six.test":     "six.test=2001:db8::6",
		"dot.test":     "b.test=192.0.2.2,192.0.2.3", // no null MX where there is another (RFC 7505, section 3)
		"long.test":    "c.test=2001:db8::3",         // truncated: asked again over TCP
		"local.test":   "here.test=10.1.2.3",         // a name of a stranger's does not lead to this machine
	} {
		t.Run(domain, func(t *testing.T) {
			t.Parallel()
			r := resolver(t, mx.Config{}, z)
			route := lookup(t, r, domain)
			if got := hosts(route); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if route.Policy != nil || route.Enforced() || !route.Matches("any.test") {
				t.Errorf("a policy from nowhere: %+v", route.Policy)
			}
		})
	}
	t.Cleanup(func() {
		if !slices.Contains(z.Asked(), "tcp MX long.test.") {
			t.Error("TCP was not used")
		}
	})
}

// Servers of one preference share the mail (RFC 5321, section 5.1).
func TestTiesAreShuffled(t *testing.T) {
	t.Parallel()
	z := mxtest.New(t, "x.test. MX 10 a.test.", "x.test. MX 10 b.test.", "x.test. MX 5 first.test.", "x.test. MX 20 last.test.",
		"a.test. A 192.0.2.1", "b.test. A 192.0.2.2", "first.test. A 192.0.2.3", "last.test. A 192.0.2.4")
	r := resolver(t, mx.Config{}, z)
	seen := map[string]bool{}
	for range 64 { // that one order comes each time: 1 in 2^63
		seen[hosts(lookup(t, r, "x.test"))] = true
	}
	want := map[string]bool{
		"first.test=192.0.2.3 a.test=192.0.2.1 b.test=192.0.2.2 last.test=192.0.2.4": true,
		"first.test=192.0.2.3 b.test=192.0.2.2 a.test=192.0.2.1 last.test=192.0.2.4": true,
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
}

// What DNS says for sure ends the mail; what it could not say is asked again.
func TestNoHosts(t *testing.T) {
	t.Parallel()
	z := mxtest.New(t, "null.test. MX 0 .", `nothing.test. TXT "x"`, "lost.test. MX 10 gone.test.",
		"later.test. MX 10 broken.test.", "dots.test. MX 0 .", "dots.test. MX 5 .", "broken.test. A 192.0.2.1",
		"cname.test. CNAME gone.test.", "bad.test. MX 10 a.test.", "no.test. MX 10 a.test.")
	z.Fail("broken.test.", "", "SERVFAIL")
	z.Fail("bad.test.", "MX", "SERVFAIL")
	z.Fail("no.test.", "MX", "REFUSED")
	for domain, want := range map[string]string{ // "" for one that passes
		"unknown.test": "5.1.2", "cname.test": "5.1.2",
		"null.test":    "5.1.10", // RFC 7505, section 4.2
		"nothing.test": "5.4.4", "lost.test": "5.4.4", "dots.test": "5.4.4",
		"later.test": "", "bad.test": "", "no.test": "",
	} {
		t.Run(domain, func(t *testing.T) {
			t.Parallel()
			route, err := resolver(t, mx.Config{}, z).Lookup(t.Context(), domain)
			var final *mx.Error
			switch {
			case err == nil:
				t.Fatalf("found %s", hosts(route))
			case want == "" && errors.As(err, &final) && final.Permanent:
				t.Errorf("given up: %v", err)
			case want != "" && (!errors.As(err, &final) || !final.Permanent || !strings.HasPrefix(final.Text, want+" ") || final.Key == ""):
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func TestServersInTurn(t *testing.T) {
	t.Parallel()
	records := []string{"x.test. MX 10 a.test.", "a.test. A 192.0.2.1"}
	bad, good, silent := mxtest.New(t), mxtest.New(t, records...), mxtest.New(t, records...)
	for _, name := range []string{"x.test.", "a.test.", "_mta-sts.x.test.", "_25._tcp.a.test."} {
		bad.Fail(name, "", "SERVFAIL")
	}
	silent.Silence()
	if got := hosts(lookup(t, resolver(t, mx.Config{}, bad, good), "x.test")); got != "a.test=192.0.2.1" {
		t.Error(got)
	}

	// One that is down is waited for once, not at each question of a lookup,
	// which has to end in half a minute.
	r := resolver(t, mx.Config{}, silent, good)
	mx.SetTimes(r, 100*time.Millisecond, time.Second)
	for range 3 {
		lookup(t, r, "x.test")
	}
	if n := len(silent.Asked()); n != 1 {
		t.Errorf("the server that is down was asked %d times", n)
	}
	good.Silence()
	begun := time.Now()
	var final *mx.Error
	if _, err := r.Lookup(t.Context(), "x.test"); err == nil || errors.As(err, &final) || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestLookupCancelled(t *testing.T) {
	t.Parallel()
	z := mxtest.New(t)
	z.Silence()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := resolver(t, mx.Config{}, z).Lookup(ctx, "x.test"); err == nil || time.Since(begun) > 4*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestErrorsSayWhy(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	e := &mx.Error{Text: "4.4.3 no", Cause: cause}
	if !errors.Is(e, cause) || e.Error() != "4.4.3 no: the cause" || (&mx.Error{Text: "5.1.2 no"}).Error() != "5.1.2 no" {
		t.Error(e)
	}
	z := mxtest.New(t)
	z.Fail("x.test.", "MX", "SERVFAIL")
	_, err := resolver(t, mx.Config{}, z).Lookup(t.Context(), "x.test")
	if want := fmt.Sprintf("ask for MX of x.test: %s answers SERVFAIL", z.Addr); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
