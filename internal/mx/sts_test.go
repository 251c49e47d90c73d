package mx_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/mx/mxtest"
)

// stsWorld is the domain x.test with a policy server.
type stsWorld struct {
	zone     *mxtest.Zone
	policies *mxtest.Policies
	r        *mx.Resolver
	clock    atomic.Int64 // seconds since the beginning
}

func newSTS(t *testing.T) *stsWorld {
	t.Helper()
	a := mxtest.NewAuthority(t)
	w := &stsWorld{policies: mxtest.NewPolicies(t, a)}
	w.zone = mxtest.New(t, "x.test. MX 10 a.x.test.", "a.x.test. A 192.0.2.1", "mta-sts.x.test. A 127.0.0.1")
	begun := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	w.r = resolver(t, mx.Config{Local: true, Roots: a.Pool(), STSPort: w.policies.Port,
		Now: func() time.Time { return begun.Add(time.Duration(w.clock.Load()) * time.Second) }}, w.zone)
	return w
}

// publish says in DNS that there is a policy of this id; "" that there is none.
func (w *stsWorld) publish(t *testing.T, id string) {
	t.Helper()
	w.zone.Drop("_mta-sts.x.test.", "TXT")
	if id != "" {
		w.zone.Add(t, `_mta-sts.x.test. TXT "v=STSv1; id=`+id+`;"`)
	}
}

func (w *stsWorld) policy(t *testing.T) *mx.Policy {
	t.Helper()
	return lookup(t, w.r, "x.test").Policy
}

const enforce = "version: STSv1\r\nmode: enforce\r\nmx: a.x.test\r\nmx: *.mail.test\r\nmax_age: 86400\r\n"

func TestPolicyText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		mode       string // "" for no policy
		mx         string
	}{
		{"enforce", enforce, "enforce", "a.x.test *.mail.test"},
		{"LF, blanks, unknown keys", "version: STSv1\nmode:enforce  \nmx:  a.x.test\nx-note: hello\nno colon\nmax_age: 1", "enforce", "a.x.test"},
		{"testing", "version: STSv1\nmode: testing\nmx: a.x.test\nmax_age: 60\n", "testing", "a.x.test"},
		{"none", "version: STSv1\nmode: none\nmax_age: 60\n", "none", ""},
		// RFC 8461, section 3.2: of a key that stands twice the first counts.
		{"twice", "version: STSv1\nversion: STSv2\nmode: enforce\nmode: none\nmx: a.x.test\nmax_age: 60\nmax_age: x\n", "enforce", "a.x.test"},
		{"nothing", "", "", ""},
		{"no version", "mode: enforce\nmx: a.x.test\nmax_age: 60\n", "", ""},
		{"another version", "version: STSv2\nmode: enforce\nmx: a.x.test\nmax_age: 60\n", "", ""},
		{"no mode", "version: STSv1\nmx: a.x.test\nmax_age: 60\n", "", ""},
		{"another mode", "version: STSv1\nmode: Enforce\nmx: a.x.test\nmax_age: 60\n", "", ""},
		{"no servers", "version: STSv1\nmode: enforce\nmax_age: 60\n", "", ""},
		{"no age", "version: STSv1\nmode: enforce\nmx: a.x.test\n", "", ""},
		{"an age below zero", "version: STSv1\nmode: enforce\nmx: a.x.test\nmax_age: -1\n", "", ""},
		{"an age over a year", "version: STSv1\nmode: enforce\nmx: a.x.test\nmax_age: 31557601\n", "", ""},
		{"an age in words", "version: STSv1\nmode: enforce\nmx: a.x.test\nmax_age: 1 day\n", "", ""},
		{"a web page", "<html><body>mode: enforce</body></html>", "", ""},
		// One that was cut off would forbid the servers behind the cut.
		{"too long", enforce + strings.Repeat("mx: b.x.test\r\n", 64<<10/14+1), "", ""},
		{"a line too long", enforce + "mx: " + strings.Repeat("b", 70<<10), "", ""},
		{"long", enforce + strings.Repeat("x: y\r\n", 10_000), "enforce", "a.x.test *.mail.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newSTS(t)
			w.publish(t, "1")
			w.policies.Set("x.test", c.text)
			p := w.policy(t)
			switch {
			case c.mode == "" && p != nil:
				t.Errorf("a policy %s with %d servers", p.Mode, len(p.MX))
			case c.mode != "" && (p == nil || p.Mode != c.mode || strings.Join(p.MX, " ") != c.mx || p.ID != "1"):
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestPolicyRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		records []string
		id      string
	}{
		{"plain", []string{`"v=STSv1; id=20261126;"`}, "20261126"},
		{"no last semicolon, other fields", []string{`"v=STSv1;x=y ;id=7"`}, "7"},
		{"in pieces", []string{`"v=STS" "v1; i" "d=8"`}, "8"},
		{"among others", []string{`"v=spf1 -all"`, `"v=STSv1; id=9"`}, "9"},
		{"two", []string{`"v=STSv1; id=1"`, `"v=STSv1; id=2"`}, ""}, // section 3.1
		{"no id", []string{`"v=STSv1; x=1"`}, ""},
		{"another version", []string{`"v=STSv2; id=1"`}, ""},
		{"none", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newSTS(t)
			for _, r := range c.records {
				w.zone.Add(t, "_mta-sts.x.test. TXT "+r)
			}
			w.policies.Set("x.test", enforce)
			p := w.policy(t)
			if (p == nil) != (c.id == "") || p != nil && p.ID != c.id {
				t.Errorf("%+v", p)
			}
			if c.id == "" && w.policies.Asked() > 0 {
				t.Error("asked for a policy that nobody announced")
			}
		})
	}
}

// The policy comes from its own host, under its own name, and from nowhere else (section 3.3).
func TestPolicyFetch(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"led elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://mta-sts.other.test/.well-known/mta-sts.txt", http.StatusFound)
		},
		"not found": http.NotFound,
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusNonAuthoritativeInfo)
			io.WriteString(w, enforce)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, enforce)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSTS(t)
			w.publish(t, "1")
			w.policies.Set("other.test", enforce)
			w.policies.Handle("x.test", h)
			if p := w.policy(t); p != nil {
				t.Errorf("%+v", p)
			}
		})
	}
	t.Run("charset", func(t *testing.T) {
		t.Parallel()
		w := newSTS(t)
		w.publish(t, "1")
		w.policies.Handle("x.test", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/Plain; charset=utf-8")
			io.WriteString(w, enforce)
		})
		if p := w.policy(t); p == nil {
			t.Error("no policy")
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		t.Parallel()
		w := newSTS(t)
		w.publish(t, "1")
		w.policies.Set("x.test", enforce)
		w.r = resolver(t, mx.Config{Local: true, Roots: mxtest.NewAuthority(t).Pool(), STSPort: w.policies.Port}, w.zone)
		if p := w.policy(t); p != nil || w.policies.Asked() > 0 {
			t.Errorf("%+v", p)
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	route := &mx.Route{Policy: &mx.Policy{Mode: "enforce", MX: []string{"A.x.test", "*.mail.test"}}}
	for host, want := range map[string]bool{
		"a.x.test": true, "b.x.test": false, "x.test": false, "one.mail.test": true, "ONE.Mail.test": true,
		"mail.test": false, "two.one.mail.test": false, "mail.test.evil.test": false, "": false,
	} {
		if route.Matches(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	if !route.Enforced() {
		t.Error("not enforced")
	}
	for _, mode := range []string{"testing", "none"} {
		if (&mx.Route{Policy: &mx.Policy{Mode: mode}}).Enforced() {
			t.Errorf("%s is enforced", mode)
		}
	}
	if !(&mx.Route{Policy: &mx.Policy{Mode: "none"}}).Matches("any.test") {
		t.Error("a policy that wants nothing forbids a host")
	}
}

// A policy counts until its time is over, whatever DNS says meanwhile; a new id brings the new one.
func TestPolicyIsKept(t *testing.T) {
	t.Parallel()
	w := newSTS(t)
	w.publish(t, "1")
	w.policies.Set("x.test", enforce)
	want := func(what, mode, id string, asked int) {
		t.Helper()
		p := w.policy(t)
		if (p == nil) != (mode == "") || p != nil && (p.Mode != mode || p.ID != id) || w.policies.Asked() != asked {
			t.Fatalf("%s: %+v, asked %d times, want %s %s and %d", what, p, w.policies.Asked(), mode, id, asked)
		}
	}
	want("first", "enforce", "1", 1)
	want("again", "enforce", "1", 1)
	w.publish(t, "")
	want("record gone", "enforce", "1", 1)
	w.publish(t, "2")
	w.policies.Handle("x.test", http.NotFound)
	want("new one not to be had", "enforce", "1", 2)
	want("not asked for at once", "enforce", "1", 2)
	w.clock.Add(301)
	w.policies.Set("x.test", "version: STSv1\nmode: testing\nmx: a.x.test\nmax_age: 100\n")
	want("new", "testing", "2", 3)
	w.clock.Add(99)
	want("a second before its end", "testing", "2", 3)
	w.clock.Add(1)
	want("asked for anew", "testing", "2", 4)
	w.clock.Add(100)
	w.policies.Handle("x.test", http.NotFound)
	want("over", "", "", 5)
	w.publish(t, "")
	want("over, and no record", "", "", 5)
}

// A policy server that says nothing holds up mail for a while, and does not end it.
func TestPolicyServerHangs(t *testing.T) {
	t.Parallel()
	w := newSTS(t)
	w.publish(t, "1")
	release := make(chan struct{})
	defer close(release)
	w.policies.Handle("x.test", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	mx.SetTimes(w.r, 5*time.Second, 100*time.Millisecond)
	for range 2 { // the second time nobody asks
		if p := w.policy(t); p != nil || w.policies.Asked() > 1 {
			t.Errorf("%+v, asked %d times", p, w.policies.Asked())
		}
	}
}

// An upstream that goes away while the policy is fetched does not make the
// domain one without a policy.
func TestPolicyFetchCancelled(t *testing.T) {
	t.Parallel()
	w := newSTS(t)
	w.publish(t, "1")
	ctx, cancel := context.WithCancel(t.Context())
	w.policies.Handle("x.test", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	w.r.Lookup(ctx, "x.test")
	w.policies.Set("x.test", enforce)
	if p := w.policy(t); p == nil {
		t.Error("no policy")
	}
}
