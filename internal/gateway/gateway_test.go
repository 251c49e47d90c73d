package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/gateway"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/relay"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// letter is an ordinary message.
func letter(subject, body string) string {
	return "From: \"Ana Silva\" <ana@example.org>\r\nTo: Bob <bob@x.test>, carol@y.test\r\nCc: dan@z.test\r\nBcc: hidden@q.test\r\nSubject: " + subject +
		"\r\nDate: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <m1@example.org>\r\nIn-Reply-To: <m0@x.test>\r\nReferences: <r1@x.test> <m0@x.test>\r\n" +
		"Reply-To: desk@example.org\r\nReceived: from inside (10.1.2.3) by mta.example.org for <hidden@q.test>; Mon, 05 Jan 2026 10:00:00 +0100\r\nX-Mailer: Internal 1.0\r\nMIME-Version: 1.0\r\n\r\n" + body
}

// A message is sealed because its subject says so, goes out as one mail that
// keeps its place in the thread and tells nothing else, and opens to the very
// octets that were sent. Why is recorded (both engines).
func TestSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		raw := letter("Re: [secure] your =?utf-8?q?r=C3=A9sultats?=", "The secret is out.\r\n.\r\n..two\r\nFrom here\r\n")
		answer := h.send("ana@example.org", raw, "bob@x.test")
		h.sent(answer)
		got := h.hop.to(t, "bob@x.test", 1)[0]
		m, err := mail.ReadMessage(strings.NewReader(got.raw))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"From": "Ana Silva <ana@example.org>", "To": "Bob <bob@x.test>, carol@y.test", "Cc": "dan@z.test", "Reply-To": "desk@example.org",
			"Date": "Mon, 05 Jan 2026 10:00:00 +0100", "Message-Id": "<m1@example.org>", "In-Reply-To": "<m0@x.test>",
			"References": "<r1@x.test> <m0@x.test> " + thread(t, got.raw), "Subject": "Ana Silva (Example Health) sent you an envelope", "Bcc": "", "X-Mailer": "",
		} {
			if v := m.Header.Get(name); v != want {
				t.Errorf("%s: %q, want %q", name, v, want)
			}
		}
		if got.from != "ana@example.org" {
			t.Errorf("return path %s", got.from)
		}
		for _, secret := range []string{"secret is out", "sultats", "hidden@q", "10.1.2.3", "carol@y.test\r\n\r\n"} {
			if strings.Contains(got.raw, secret) {
				t.Errorf("the mail says %q", secret)
			}
		}
		visitor, ref := h.recipient(got.raw, "bob@x.test")
		if err := h.keys.SendCode(t.Context(), visitor, ref, ""); err != nil {
			t.Fatal(err)
		}
		code, err := mail.ReadMessage(strings.NewReader(h.hop.to(t, "bob@x.test", 2)[1].raw))
		if err != nil || code.Header.Get("In-Reply-To") != thread(t, got.raw) {
			t.Errorf("the code does not stand beside the mail: %v, %v", code.Header, err)
		}
		manifest, opened := h.open(got.raw, "bob@x.test")
		if opened != raw {
			t.Errorf("opened:\n%q\nsent:\n%q", opened, raw)
		}
		if manifest.Subject != "Re: your résultats" {
			t.Errorf("subject %q", manifest.Subject)
		}
		list := h.transits("m1@example.org")
		if len(list) != 1 || list[0].Upstream != "local" || list[0].Sender != "ana@example.org" || len(list[0].Outcomes) != 1 {
			t.Fatalf("%+v", list)
		}
		o := list[0].Outcomes[0]
		if o.Action != policy.Seal || o.Why.Source != policy.SourceKeyword || o.Why.What != "[secure]" || o.Envelope == "" || o.Recipient != "bob@x.test" {
			t.Errorf("%+v", o)
		}
		eventually(t, "the delivery to be known", func() bool { return h.transits("m1@example.org")[0].Outcomes[0].Result == policy.ResultSent })
		if trace := list[0].ID; !strings.Contains(answer, trace) || !strings.Contains(m.Header.Get("Received"), "id "+trace) {
			t.Errorf("trace %s is not in %q and %q", trace, answer, m.Header.Get("Received"))
		}
		for _, name := range []string{list[0].ID, o.Envelope, "<m1@example.org>"} {
			if again := h.transits(name); len(again) != 1 || again[0].ID != list[0].ID {
				t.Errorf("by %s: %+v", name, again)
			}
		}
		eventually(t, "the delivery to be recorded", func() bool {
			var slots []store.Slot
			err := db.View(t.Context(), func(tx *store.Tx) (err error) {
				slots, err = tx.ListSlots(o.Envelope)
				return err
			})
			return err == nil && len(slots) == 1 && slots[0].Delivery == store.DeliverySent
		})
	})
}

// thread is the message id that what is written to the recipient of a sealed mail answers.
func thread(t testing.TB, raw string) string {
	t.Helper()
	found := regexp.MustCompile(`Reference: (\w{3})-(\w{3})`).FindStringSubmatch(raw)
	if found == nil {
		t.Fatalf("no reference in %.1000s", raw)
	}
	return "<envelope." + strings.ToLower(found[1]+found[2]) + "@pli.example>"
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// What nothing says to seal passes as it came, octet for octet, behind one field.
func TestPlain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	raw := letter("hi", "caf\xc3\xa9\r\n.\r\n\r\n") + strings.Repeat("x", 70_000) + "\r\n"
	h.sent(h.send("ana@example.org", raw, "bob@x.test", "carol@y.test", "BOB@X.TEST"))
	for _, to := range []string{"bob@x.test", "carol@y.test"} {
		got := h.hop.to(t, to, 1)
		first, rest, _ := strings.Cut(got[0].raw, "\r\nX-Pli-Transit: ")
		_, rest, _ = strings.Cut(rest, "\r\n")
		if len(got) != 1 || rest != raw || !strings.HasPrefix(first, "Received: from mta.example.org ([127.0.0.1])\r\n\tby gw.example.org (Pli) with UTF8SMTP") {
			t.Errorf("%s: %d mails, %.300q", to, len(got), got[0].raw)
		}
		if !got[0].opts.UTF8 && got[0].opts.Body != "8BITMIME" {
			t.Errorf("options %+v", got[0].opts)
		}
	}
	o := h.transits("m1@example.org")[0].Outcomes
	if len(o) != 2 || o[0].Result != policy.ResultSent || o[0].Why.Source != policy.SourceDefault || !strings.Contains(o[0].Said, "queued as 4711") {
		t.Errorf("%+v", o)
	}
}

// Only who was told of may send, and only for their own account's domains:
// there is no open relay, whatever is configured (AT-69, I16).
func TestNoOpenRelay(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]mailaddr.Address{"closed": {}, "with the open address": mailaddr.MustParse(openAddress)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noOpenRelay(t, open)
		})
	}
}

func noOpenRelay(t *testing.T, open mailaddr.Address) {
	h := newHouse(t, storetest.Open(t), func(g *gateway.Config, c *smtpd.Config) { g.Open, c.TLS = open, certificate(t) })
	if err := h.accounts.RemoveUpstream(t.Context(), h.root, 100042, "local"); err != nil {
		t.Fatal(err)
	}
	token := h.upstream(account.NewUpstream{Name: "cloud", Networks: []string{"127.0.0.0/8"}, Token: true})
	password := h.upstream(account.NewUpstream{Name: "mta", Password: true})
	raw := letter("hi", "x\r\n")
	with := func(field string) string { return field + "\r\n" + raw }
	refused := func(what, answer, want string) {
		t.Helper()
		if !strings.HasPrefix(answer, want) {
			t.Errorf("%s: %q, want %s", what, answer, want)
		}
	}
	for _, from := range []string{"ana@example.com", "ana@elsewhere.test", "ana@sub.example.org", "ana%example.org@elsewhere.test", "\"ana@example.org\"@elsewhere.test"} {
		refused("foreign sender "+from, h.send(from, with("X-Pli-Upstream: "+token.Reveal()), "bob@x.test"), "550 5.7.1 ")
	}
	refused("no token", h.send("ana@example.org", raw, "bob@x.test"), "550 5.7.1 ")
	refused("wrong token", h.send("ana@example.org", with("X-Pli-Upstream: "+token.Reveal()+"x"), "bob@x.test"), "550 5.7.1 ")
	refused("the token in the body", h.send("ana@example.org", raw+"\r\nX-Pli-Upstream: "+token.Reveal()+"\r\n", "bob@x.test"), "550 5.7.1 ")
	foreign := strings.Replace(raw, "<ana@example.org>", "<ceo@elsewhere.test>", 1)
	refused("foreign From", h.send("ana@example.org", "X-Pli-Upstream: "+token.Reveal()+"\r\n"+foreign, "bob@x.test"), "550 5.7.1 ")
	twice := strings.Replace(raw, "To: Bob", "From: ceo@elsewhere.test\r\nTo: Bob", 1)
	refused("two From fields", h.send("ana@example.org", "X-Pli-Upstream: "+token.Reveal()+"\r\n"+twice, "bob@x.test"), "55")
	refused("bounce of nobody's", h.send("", "X-Pli-Upstream: "+token.Reveal()+"\r\n"+foreign, "bob@x.test"), "550 5.7.1 ")
	if n := len(h.hop.all()); n != 0 {
		t.Fatalf("%d mails went out", n)
	}

	h.sent(h.send("ana@example.org", "X-Pli-Upstream: "+token.Reveal()+"\r\n"+raw, "bob@x.test"))
	if got := h.hop.to(t, "bob@x.test", 1)[0]; strings.Contains(strings.ToLower(got.raw), "x-pli-upstream") || !strings.HasSuffix(got.raw, raw) {
		t.Errorf("the token went out: %.300q", got.raw)
	}
	// A password is taken under TLS, and counts as long as the connection.
	x := h.dial()
	refused("password in clear", x.say("AUTH PLAIN AG10YQB4"), "538 5.7.11 ")
	refused("starttls", x.say("STARTTLS"), "220 ")
	secure := tls.Client(x.c, &tls.Config{InsecureSkipVerify: true})
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.c = secure
	x.r.Reset(secure)
	x.say("EHLO mta.example.org")
	refused("wrong password", x.say("AUTH PLAIN "+plain("mta", password.Reveal()+"x")), "535 5.7.8 ")
	refused("right password", x.say("AUTH PLAIN "+plain("mta", password.Reveal())), "235 ")
	h.sent(x.send("ana@example.org", raw, "bob@x.test"))
	if err := h.accounts.RemoveUpstream(t.Context(), h.root, 100042, "mta"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed upstream to be refused", func() bool {
		return strings.HasPrefix(x.send("ana@example.org", raw, "bob@x.test"), "550 5.7.1 ")
	})
	if strings.Contains(h.log.String(), token.Reveal()) || strings.Contains(h.log.String(), password.Reveal()) {
		t.Error("a secret is in the log")
	}
	// A suspended account's mail stops within a second (I10).
	if err := h.accounts.SuspendAccount(t.Context(), h.root, 100042); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the suspended account to be refused", func() bool {
		r := h.send("ana@example.org", "X-Pli-Upstream: "+token.Reveal()+"\r\n"+raw, "bob@x.test")
		return r[0] == '5'
	})
}

// The next hop's answer is the upstream's answer, nothing is left of a message
// that it refused, and the one who tries again gets it through.
func TestNextHopRefuses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		no := func(code int, enhanced, text string) error {
			return &smtpd.Reply{Code: code, Enhanced: enhanced, Text: text}
		}
		raw := letter("[secure] hi", strings.Repeat("x", 200_000)+"\r\n") // its payload is a blob
		for _, c := range []struct {
			rcpt func(string) error
			data func() error
			want string
		}{
			{func(string) error { return no(550, "5.1.1", "no such mailbox") }, nil, "550 5.1.1 next hop: no such mailbox; trace "},
			{func(string) error { return no(450, "4.2.0", "greylisted") }, nil, "450 4.2.0 next hop: greylisted; trace "},
			{nil, func() error { return no(554, "5.7.1", "spam") }, "554 5.7.1 next hop: spam; trace "},
			{nil, func() error { return no(452, "4.3.1", "disk full") }, "452 4.3.1 next hop: disk full; trace "},
		} {
			h.hop.refuse(c.rcpt, c.data)
			for _, m := range []string{raw, letter("plain", "x\r\n")} {
				if r := h.send("ana@example.org", m, "bob@x.test"); !strings.HasPrefix(r, c.want) {
					t.Errorf("%q, want %q", r, c.want)
				}
			}
		}
		if m, s, o := storetest.Count(t, db, "messages"), storetest.Count(t, db, "slots"), storetest.Count(t, db, "outbox"); m != 0 || s != 0 || o != 0 {
			t.Errorf("left behind: %d messages, %d slots, %d letters", m, s, o)
		}
		if left, _ := filepath.Glob(filepath.Join(h.dir, "blobs", "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		h.hop.refuse(nil, nil)
		h.sent(h.send("ana@example.org", raw, "bob@x.test"))
		if _, opened := h.open(h.hop.to(t, "bob@x.test", 1)[0].raw, "bob@x.test"); opened != raw {
			t.Error("it does not open to what was sent")
		}
	})
}

// What was refused goes with its explanation, or both stay: no transit names an
// envelope that there is not.
func TestWithdrawnWithItsExplanation(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := newHouse(t, db, nil)
	h.hop.refuse(func(string) error { return &smtpd.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such mailbox"} }, nil)
	storetest.Exec(t, db, "CREATE TRIGGER no_more BEFORE UPDATE ON transits BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
	try := func(left int) policy.Outcome {
		t.Helper()
		if r := h.send("ana@example.org", letter("[secure] hi", "x\r\n"), "bob@x.test"); !strings.HasPrefix(r, "550 5.1.1 ") {
			t.Errorf("%q", r)
		}
		if n := storetest.Count(t, db, "messages"); n != left {
			t.Errorf("%d messages are left, want %d", n, left)
		}
		return h.transits("m1@example.org")[0].Outcomes[0]
	}
	if o := try(1); o.Envelope == "" || o.Result != policy.ResultPassing {
		t.Errorf("%+v", o)
	}
	storetest.Exec(t, db, "DROP TRIGGER no_more")
	if o := try(1); o.Envelope != "" || o.Result != policy.ResultRefused || !strings.Contains(o.Said, "no such mailbox") {
		t.Errorf("%+v", o)
	}
}

// A message of several outcomes goes through the outbox: each recipient gets
// their own, once, and no envelope names another recipient.
func TestSeveralOutcomes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		h.rules("[[rule]]\nname = 'Never there'\nrecipient = ['@bad.test']\nthen = 'refuse'\nreason = 'Not to this domain.'\n" +
			"[[rule]]\nname = 'Insurers'\nrecipient = ['@x.test']\nthen = 'seal'\nexpires = '3 days'\n")
		time.Sleep(1100 * time.Millisecond)                                                          // the gateway looks once a second
		raw := letter("hi", strings.Repeat("A line that is not in clear for everybody.\r\n", 5_000)) // larger than a letter holds itself
		h.sent(h.send("ana@example.org", raw, "bob@x.test", "eve@x.test", "carol@y.test", "mallory@bad.test"))
		for _, to := range []string{"bob@x.test", "eve@x.test"} {
			got := h.hop.to(t, to, 1)[0]
			if _, opened := h.open(got.raw, to); opened != raw {
				t.Errorf("%s opens something else", to)
			}
			if strings.Contains(got.raw, "not in clear") {
				t.Errorf("%s got plain text", to)
			}
		}
		if got := h.hop.to(t, "carol@y.test", 1)[0]; !strings.HasSuffix(got.raw, raw) {
			t.Errorf("carol got %.300q", got.raw)
		}
		report := h.hop.to(t, "ana@example.org", 1)[0]
		for _, part := range []string{"Content-Type: multipart/report; report-type=delivery-status", "Final-Recipient: rfc822; mallory@bad.test", "Action: failed",
			"Status: 5.7.1", "Not to this domain.", "Auto-Submitted: auto-replied", "Message-ID: <m1@example.org>"} {
			if !strings.Contains(report.raw, part) {
				t.Errorf("the report lacks %q:\n%s", part, report.raw)
			}
		}
		if report.from != "" || strings.Contains(report.raw, "Subject: hi") {
			t.Errorf("report from %q:\n%s", report.from, report.raw)
		}
		o := h.transits("m1@example.org")[0].Outcomes
		if len(o) != 4 || o[0].Action != policy.Seal || o[0].Why.Rule != "Insurers" || o[0].Envelope != o[1].Envelope || o[2].Action != policy.Plain || o[3].Action != policy.Refuse {
			t.Errorf("%+v", o)
		}
		if r := h.send("ana@example.org", raw, "mallory@bad.test"); !strings.HasPrefix(r, "550 5.7.1 Not to this domain.; trace ") {
			t.Errorf("%q", r)
		}
		if n := len(h.hop.all()); n != 4 {
			t.Errorf("%d mails, want 4", n)
		}
		// What was decided can be tried again by other rules.
		s, err := h.accounts.SimulateRules(t.Context(), h.root, 100042, "default = 'seal'", time.Now().Add(-time.Hour), "", 10)
		want := map[[2]policy.Action]int{{policy.Refuse, policy.Seal}: 2, {policy.Plain, policy.Seal}: 1, {policy.Seal, policy.Seal}: 2}
		if err != nil || s.Messages != 2 || s.Counts[policy.Changes] != 5 || !maps.Equal(s.Moves, want) {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// The ways to all recipients of a message are looked for within one time, as the
// upstream waits, and to one domain once.
func TestWaysAreAskedWithMeasure(t *testing.T) {
	t.Parallel()
	ways := &slowWays{until: map[time.Time]bool{}}
	h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { ways.NextHop, c.Next = c.Next, ways })
	h.rules("[[rule]]\nname = 'Proved'\nthen = 'tls'\n")
	time.Sleep(1100 * time.Millisecond) // the gateway looks once a second
	h.sent(h.send("ana@example.org", letter("hi", "x\r\n"), "a@safe.test", "b@x.test", "c@safe.test", "d@x.test", "e@y.test"))
	ways.mu.Lock()
	defer ways.mu.Unlock()
	if want := []string{"safe.test", "x.test", "y.test"}; !slices.Equal(ways.asked, want) || len(ways.until) != 1 {
		t.Errorf("asked for %v, until %d times", ways.asked, len(ways.until))
	}
	var got []policy.Action
	for _, o := range h.transits("m1@example.org")[0].Outcomes {
		got = append(got, o.Action)
	}
	if want := []policy.Action{policy.TLS, policy.Seal, policy.TLS, policy.Seal, policy.Seal}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// What became of a mail that passes and had to wait is known afterwards, also of
// several at once and of one that an operator removed.
func TestQueuedIsExplained(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		h.hop.refuse(func(to string) error {
			switch {
			case strings.HasPrefix(to, "gone@"):
				return &smtpd.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such mailbox"}
			case strings.HasPrefix(to, "later@"):
				return &smtpd.Reply{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}
			}
			return nil
		}, nil)
		h.rules("[[rule]]\nname = 'Insurers'\nrecipient = ['@x.test']\nthen = 'seal'\n")
		time.Sleep(1100 * time.Millisecond) // the gateway looks once a second
		to := []string{"bob@x.test", "later@y.test", "gone@y.test", "a@y.test", "b@y.test", "c@y.test", "d@y.test"}
		h.sent(h.send("ana@example.org", letter("hi", "x\r\n"), to...))
		var got map[string]policy.Outcome
		results := func(want map[string]string) func() bool {
			return func() bool {
				got = map[string]policy.Outcome{}
				for _, o := range h.transits("m1@example.org")[0].Outcomes {
					got[o.Recipient] = o
				}
				for to, result := range want {
					if got[to].Result != result {
						return false
					}
				}
				return len(got) == len(want)
			}
		}
		want := map[string]string{"bob@x.test": policy.ResultSent, "later@y.test": policy.ResultQueued, "gone@y.test": policy.ResultBounced,
			"a@y.test": policy.ResultSent, "b@y.test": policy.ResultSent, "c@y.test": policy.ResultSent, "d@y.test": policy.ResultSent}
		eventually(t, "the results", results(want))
		if !strings.Contains(got["a@y.test"].Said, "queued as 4711") || got["gone@y.test"].Said != "550 5.1.1 no such mailbox" {
			t.Errorf("said: %+v", got)
		}
		rows, err := h.box.List(t.Context(), store.OutboxWaiting, "", 10)
		i := slices.IndexFunc(rows, func(r outbox.Row) bool { return r.Recipient == "later@y.test" }) // beside the report, perhaps
		if err != nil || i < 0 {
			t.Fatalf("%+v, %v", rows, err)
		}
		if err := h.box.Drop(t.Context(), "operator:test", rows[i].ID); err != nil {
			t.Fatal(err)
		}
		want["later@y.test"] = policy.ResultBounced
		if !results(want)() {
			t.Errorf("removed: %+v", got)
		}
	})
}

// A queued mail that fails for good makes a report to its sender, once; a bounce
// makes none, and nor does a report that fails itself (AT-70).
func TestReports(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	h.hop.refuse(func(to string) error {
		if strings.HasSuffix(to, "@gone.test") || to == "gone@example.org" {
			return &smtpd.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such mailbox"}
		}
		return nil
	}, nil)
	h.sent(h.send("ana@example.org", letter("[secure] very secret subject", "secret text\r\n"), "bob@x.test", "x@gone.test"))
	report := h.hop.to(t, "ana@example.org", 1)[0]
	for _, part := range []string{"Diagnostic-Code: smtp; 550 5.1.1 no such mailbox", "Status: 5.1.1", "Reporting-MTA: dns; gw.example.org"} {
		if !strings.Contains(report.raw, part) {
			t.Errorf("the report lacks %q:\n%s", part, report.raw)
		}
	}
	for _, secret := range []string{"secret text", "very secret subject"} {
		if strings.Contains(report.raw, secret) {
			t.Errorf("the report says %q (AT-71)", secret)
		}
	}
	bounce := strings.Replace(letter("Undeliverable", "x\r\n"), "\"Ana Silva\" <ana@example.org>", "MAILER-DAEMON@mta.example.org", 1)
	h.sent(h.send("", bounce, "bob@x.test", "y@gone.test"))
	h.sent(h.send("gone@example.org", strings.Replace(letter("hi", "x\r\n"), "ana@", "gone@", 1), "bob@x.test", "z@gone.test"))
	eventually(t, "the outbox to be empty", func() bool { c, err := h.box.Count(t.Context()); return err == nil && c.Waiting == 0 })
	for _, m := range h.hop.all() {
		if m.to != "bob@x.test" && m.to != "ana@example.org" {
			t.Errorf("a mail to %s: %.200q", m.to, m.raw)
		}
	}
	if n := len(h.hop.to(t, "ana@example.org", 1)); n != 1 {
		t.Errorf("%d reports", n)
	}
}

// Who asks to hear of success hears from us what the next hop will not tell.
func TestRelayedReport(t *testing.T) {
	t.Parallel()
	l := silentHop(t, "250 2.0.0 taken\r\n")
	h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.Next = relayTo(t, l.addr) })
	x := h.dial()
	for _, s := range []string{"MAIL FROM:<ana@example.org> ENVID=4711", "RCPT TO:<bob@x.test> NOTIFY=SUCCESS ORCPT=rfc822;robert@x.test", "DATA"} {
		if r := x.say(s); r[0] != '2' && r[0] != '3' {
			t.Fatalf("%s: %s", s, r)
		}
	}
	h.sent(x.say(letter("[secure] hi", "x\r\n") + "."))
	report := h.hop.to(t, "ana@example.org", 1)[0].raw
	for _, part := range []string{"Action: relayed", "Status: 2.0.0", "Original-Envelope-Id: 4711", "Original-Recipient: rfc822; robert@x.test", "Diagnostic-Code: smtp; 250 2.0.0 taken"} {
		if !strings.Contains(report, part) {
			t.Errorf("the report lacks %q:\n%s", part, report)
		}
	}
}

// Whom the next hop refused beside others it has no mail for, so it is not said to.
func TestRefusedIsNotRelayed(t *testing.T) {
	t.Parallel()
	l := silentHop(t, "250 2.0.0 taken\r\n")
	h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.Next = relayTo(t, l.addr) })
	x := h.dial()
	for _, s := range []string{"MAIL FROM:<ana@example.org>", "RCPT TO:<bob@x.test> NOTIFY=SUCCESS", "RCPT TO:<gone@x.test> NOTIFY=SUCCESS", "DATA"} {
		if r := x.say(s); r[0] != '2' && r[0] != '3' {
			t.Fatalf("%s: %s", s, r)
		}
	}
	h.sent(x.say(letter("hi", "x\r\n") + "."))
	h.hop.to(t, "gone@x.test", 1) // the outbox has tried again, with a server that reports by itself
	eventually(t, "the outbox to be empty", func() bool { c, err := h.box.Count(t.Context()); return err == nil && c.Waiting == 0 })
	reports := h.hop.to(t, "ana@example.org", 1)
	if len(reports) != 1 || !strings.Contains(reports[0].raw, "Final-Recipient: rfc822; bob@x.test") {
		t.Errorf("%d reports: %+v", len(reports), reports)
	}
}

// A subject of any length and character set is sealed; what is shown of it has a limit.
func TestLongSubject(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	thai := "=?tis-620?b?" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa1}, 3033)) + "?="
	for i, subject := range []string{strings.Repeat("a\r\n ", 30000) + "b", thai} {
		raw := letter("[secure] "+subject, "x\r\n")
		h.sent(h.send("ana@example.org", raw, "bob@x.test"))
		if _, opened := h.open(h.hop.to(t, "bob@x.test", i+1)[i].raw, "bob@x.test"); opened != raw {
			t.Error("it opens to something else")
		}
	}
}

// A reminder is for who could still open it: one after the end is none.
func TestReminderAfterTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	for remind, want := range map[string]bool{"48": true, "96": false} {
		raw := strings.Replace(letter("[secure] hi", "x\r\n"), "X-Mailer:", "X-PostX-ExpirationDate: 72:00:00\r\nX-PostX-ReadNotificationDate: "+remind+":00:00\r\nX-Mailer:", 1)
		raw = strings.Replace(raw, "<m1@", "<r"+remind+"@", 1)
		h.sent(h.send("ana@example.org", raw, "bob@x.test"))
		o := h.transits("r" + remind + "@example.org")[0].Outcomes[0]
		err := h.db.View(t.Context(), func(tx *store.Tx) error {
			m, err := tx.FindMessage(o.Envelope)
			if m.RemindAt.IsZero() == want || m.ExpiresAt.IsZero() {
				t.Errorf("after %s h: reminded at %v of what ends at %v", remind, m.RemindAt, m.ExpiresAt)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A message that goes round is stopped (RFC 5321, section 6.3).
func TestLoops(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	long := strings.Repeat("Received: from a by b; Mon, 05 Jan 2026 10:00:00 +0100\r\n", 26) + letter("hi", "x\r\n")
	if r := h.send("ana@example.org", long, "bob@x.test"); !strings.HasPrefix(r, "554 5.4.6 ") {
		t.Errorf("%q", r)
	}
	m := letter("hi", "x\r\n")
	for range 3 {
		h.sent(h.send("ana@example.org", m, "bob@x.test"))
		all := h.hop.all()
		m = all[len(all)-1].raw
	}
	if r := h.send("ana@example.org", m, "bob@x.test"); !strings.HasPrefix(r, "554 5.4.6 ") {
		t.Errorf("%q", r)
	}
}

// An envelope that comes back is not sealed for ever.
func TestSealedLoops(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	h.rules("default = 'seal'")
	time.Sleep(1100 * time.Millisecond)
	m := letter("hi", "x\r\n")
	for range 3 {
		h.sent(h.send("ana@example.org", m, "bob@x.test"))
		all := h.hop.all()
		m = all[len(all)-1].raw
	}
	if r := h.send("ana@example.org", m, "bob@x.test"); !strings.HasPrefix(r, "554 5.4.6 ") {
		t.Errorf("%q", r)
	}
}

// A From that programs read in different ways is sealed under the address that
// was admitted, and does not go out in clear (AT-66). A header without end is refused.
func TestOddHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	for i, from := range []string{
		"ana@example.org, tom@example.org", "\"CEO\" <" + strings.Repeat("x", 65) + "@bank.test>, ana@example.org", "Staff: ana@example.org;",
		"ana@example.org\r\nFrom: tom@example.org", "not an address",
	} {
		m := strings.Replace(letter("hi", "x\r\n"), "\"Ana Silva\" <ana@example.org>", from, 1)
		if r := h.send("ana@example.org", m, "bob@x.test"); !strings.HasPrefix(r, "55") {
			t.Errorf("%s: %q", from, r)
		}
		to := fmt.Sprintf("s%d@x.test", i)
		if r := h.send("ana@example.org", strings.Replace(m, "Subject: hi", "Subject: [secure] hi", 1), to); r[0] == '2' {
			if got := h.hop.to(t, to, 1)[0].raw; !strings.Contains(got, "\nFrom: ana@example.org\r\n") {
				t.Errorf("%s became %.600s", from, got)
			}
		}
	}
	x := h.dial()
	if r := x.send("ana@example.org", strings.Repeat("A: b\r\n", 200_000)+letter("[secure] hi", "x\r\n"), "bob@x.test"); !strings.HasPrefix(r, "554 5.3.4 ") {
		t.Errorf("%q", r)
	}
	h.sent(x.send("ana@example.org", letter("[secure] hi", "x\r\n"), "bob@x.test"))
}

// A next hop that says nothing does not keep the server from stopping.
func TestStops(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.Next = relayTo(t, l.Addr().String()) })
	answer := make(chan string, 1)
	go func() { answer <- h.send("ana@example.org", letter("[secure] hi", "x\r\n"), "bob@x.test") }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	h.server.Shutdown(ctx)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := <-answer; r[0] == '2' {
		t.Errorf("%q", r)
	}
	if n := storetest.Count(t, h.db, "messages"); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// What mail parsers read in different ways travels octet for octet, and so do
// the messages of another test suite.
func TestCorpus(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	h.upstream(account.NewUpstream{Name: "forwarder", Networks: []string{"127.0.0.0/16"}, Forwards: true})
	if err := h.accounts.RemoveUpstream(t.Context(), h.root, 100042, "local"); err != nil {
		t.Fatal(err)
	}
	h.rules(`default = "seal"` + "\nencrypted = 'seal'\ncalendar = 'seal'\n")
	time.Sleep(1100 * time.Millisecond)
	n := 0
	x := h.dial()
	for _, glob := range []string{"testdata/mime/*.eml", "testdata/python/*.txt"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) < 20 {
			t.Fatalf("%s: %d messages, %v", glob, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			// A mail program sends CRLF, whatever it keeps.
			raw := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\r", "")
			raw = strings.ReplaceAll(strings.ReplaceAll(raw, "\x00", ""), "\n", "\r\n")
			if !strings.HasSuffix(raw, "\r\n") {
				raw += "\r\n"
			}
			to := fmt.Sprintf("c%d@x.test", n)
			answer := x.send("ana@example.org", raw, to)
			if strings.HasPrefix(answer, "554 5.4.6") { // one of them has passed fifty servers
				continue
			}
			if !strings.HasPrefix(answer, "250 ") {
				t.Errorf("%s: %s", f, answer)
				continue
			}
			if _, opened := h.open(h.hop.to(t, to, 1)[0].raw, to); opened != raw {
				t.Errorf("%s: opens to something else", f)
			}
			n++
		}
	}
	t.Logf("%d messages", n)
}

// 25 MiB go through, as a blob, and come back, sealed and as they came. While the
// next hop has not answered, what is on the disk cannot be read.
func TestLarge(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	raw := letter("[secure]", strings.Repeat(strings.Repeat("x", 76)+"\r\n", 25<<20/78))
	looked := 0
	h.hop.refuse(nil, func() error {
		return filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			looked++
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte("xxxxxxxxxxxxxxxx")) {
				t.Errorf("%s can be read", path)
			}
			return err
		})
	})
	h.sent(h.send("ana@example.org", raw, "bob@x.test"))
	if _, opened := h.open(h.hop.to(t, "bob@x.test", 1)[0].raw, "bob@x.test"); opened != raw {
		t.Error("opens to something else")
	}
	clear := strings.Replace(raw, "[secure]", "in clear", 1)
	h.sent(h.send("ana@example.org", clear, "carol@x.test"))
	if got := h.hop.to(t, "carol@x.test", 1)[0].raw; !strings.HasSuffix(got, clear) {
		t.Error("something else was passed on")
	}
	if looked < 2 {
		t.Errorf("only %d files were on the disk", looked)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "spool", "*")); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
}

// Where the rules cannot be read, or the database is gone, nothing goes out in
// clear and nothing is acknowledged (AT-74).
func TestFailsClosed(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := newHouse(t, db, nil)
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertRuleSet(store.RuleSet{AccountID: 100042, Version: 1, Body: "from_the_future = 1"})
	}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if r := h.send("ana@example.org", letter("hi", "x\r\n"), "bob@x.test"); !strings.HasPrefix(r, "451 4.3.0 ") {
		t.Errorf("%q", r)
	}
	h.rules(`default = "seal"`)
	time.Sleep(1100 * time.Millisecond)
	storetest.Exec(t, db, "ALTER TABLE audit RENAME TO audit_gone")
	if r := h.send("ana@example.org", letter("hi", "x\r\n"), "bob@x.test"); !strings.HasPrefix(r, "451 4.3.0 ") {
		t.Errorf("%q", r)
	}
	if n := len(h.hop.all()); n != 0 {
		t.Errorf("%d mails went out", n)
	}
	if strings.Contains(h.log.String(), "x\\r\\n") {
		t.Error("content is in the log")
	}
}

// A database that says nothing keeps connections waiting for a time that has an end,
// however many they are; who goes away waits no longer.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		get := gateway.Admitted(func(ctx context.Context) (*account.Admission, error) {
			loads++
			<-ctx.Done()
			return nil, ctx.Err()
		})
		begun := time.Now()
		gone, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := get(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if _, err := get(gone); !errors.Is(err, context.Canceled) || !time.Now().Equal(begun) {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
		leave()
		wg.Wait()
		if took := time.Since(begun); loads != 1 || took != 5*time.Second {
			t.Errorf("%d times, %v", loads, took)
		}
		time.Sleep(time.Second)
		if _, err := get(t.Context()); err == nil || loads != 2 {
			t.Errorf("%d times, %v", loads, err)
		}
	})
}

// A next hop that takes the mail and is not heard of again leaves keys that open.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	l := silentHop(t, "")
	h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.Next = relayTo(t, l.addr) })
	if r := h.send("ana@example.org", letter("[secure] hi", "x\r\n"), "bob@x.test"); !strings.HasPrefix(r, "451 4.4.2 ") {
		t.Errorf("%q", r)
	}
	raw := <-l.got
	if _, opened := h.open(raw, "bob@x.test"); !strings.HasSuffix(opened, "\r\n\r\nx\r\n") {
		t.Errorf("%q", opened)
	}
}

// What goes out passes DMARC: a signature in From's domain where its key is
// here, else the service's own From where the operator chose that (AT-72).
func TestIdentity(t *testing.T) {
	t.Parallel()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	lookup := &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if name != "s1._domainkey.example.org" {
			return nil, fmt.Errorf("no %s", name)
		}
		return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, nil
	}}
	for name, keys := range map[string][]relay.DKIM{"signed": {{Domain: "example.org", Selector: "s1", Key: key}}, "rewritten": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hop := newHop(t)
			next, err := relay.New(relay.Config{Addr: hop.addr, TLS: relay.None, Hello: "gw.example.org", DKIM: keys})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(next.Close)
			h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.RewriteFrom, c.Next = true, next })
			for _, m := range []string{letter("[secure] hi", "x\r\n"), letter("hi", "x\r\n"),
				strings.Replace(letter("[secure] hi", "x\r\n"), "Reply-To: desk@example.org\r\n", "", 1)} {
				h.sent(h.send("ana@example.org", m, "bob@x.test"))
			}
			for i, got := range hop.to(t, "bob@x.test", 3) {
				m, err := mail.ReadMessage(strings.NewReader(got.raw))
				if err != nil {
					t.Fatal(err)
				}
				sealed, answers := i != 1, []string{"desk@example.org", "desk@example.org", "ana@example.org"}[i]
				from, replyTo := m.Header.Get("From"), m.Header.Get("Reply-To")
				signed, err := dkim.VerifyWithOptions(strings.NewReader(got.raw), lookup)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case keys == nil && sealed:
					if !strings.HasSuffix(from, "<envelopes@pli.example>") || !strings.Contains(replyTo, answers) || len(signed) != 0 {
						t.Errorf("From: %s, Reply-To: %s, %d signatures", from, replyTo, len(signed))
					}
				case keys == nil: // what passes as it came is not ours to change
					if !strings.HasSuffix(from, "<ana@example.org>") || len(signed) != 0 {
						t.Errorf("From: %s, %d signatures", from, len(signed))
					}
				default:
					if !strings.HasSuffix(from, "<ana@example.org>") || len(signed) != 1 || signed[0].Err != nil || signed[0].Domain != "example.org" {
						t.Errorf("From: %s, signatures %+v", from, signed)
					}
				}
			}
		})
	}
}

// A blind copy is none of those whom the message names, so that nobody who
// answers to all comes to know of it.
func TestBlindCopy(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), nil)
	h.sent(h.send("ana@example.org", letter("[secure] for four", "Hello\r\n"), "bob@x.test", "Carol@Y.test", "dan@z.test", "hidden@q.test"))
	got := map[string]bool{}
	for _, o := range h.transits("m1@example.org")[0].Outcomes {
		if err := h.db.View(t.Context(), func(tx *store.Tx) error {
			slots, err := tx.ListSlots(o.Envelope)
			for _, s := range slots {
				got[s.Address] = s.Shown
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]bool{"bob@x.test": true, "carol@y.test": true, "dan@z.test": true, "hidden@q.test": false}; !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	v, ref := h.recipient(h.hop.to(t, "bob@x.test", 1)[0].raw, "bob@x.test")
	o, err := h.keys.Answerable(t.Context(), v, ref, keyserver.ReplyAll)
	if err != nil || len(o.To) != 3 || o.To[0].Address.String() != "ana@example.org" || o.Sent != "m1@example.org" {
		t.Errorf("%+v, %v", o, err)
	}
}

// An account that has used up its quota gets a temporary answer and loses nothing;
// its settings bind what its rules say of the subject and of the end.
func TestSettings(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		set := func(at account.Place, name, value string) {
			t.Helper()
			if _, err := h.accounts.SetSettings(t.Context(), h.root, at, []account.Setting{{Name: name, Value: value}}); err != nil {
				t.Fatal(err)
			}
		}
		h.rules("subject = 'keep'\ndefault = 'seal'\n")
		set(account.SettingsOf(100042), "subject", "neutral")
		set(account.LimitsOf(100042), "quota_day", "1")
		h.sent(h.send("ana@example.org", letter("The result", "Text\r\n"), "bob@x.test"))
		if got := h.hop.to(t, "bob@x.test", 1)[0].raw; strings.Contains(got, "The result") {
			t.Error("the subject went in clear")
		}
		if a := h.send("ana@example.org", letter("Another", "Text\r\n"), "bob@x.test"); !strings.HasPrefix(a, "452 4.2.2") {
			t.Errorf("over the day's quota: %s", a)
		}
		set(account.LimitsOf(100042), "quota_day", "")
		set(account.LimitsOf(100042), "quota_mib", "1")
		large := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20_000)
		if a := h.send("ana@example.org", letter("Another", large), "bob@x.test"); !strings.HasPrefix(a, "452 4.3.1 the account may store no more") {
			t.Errorf("over the storage: %s", a)
		}
		h.sent(h.send("ana@example.org", letter("Another", "Text\r\n"), "bob@x.test"))
		set(account.LimitsOf(100042), "quota_mib", "")
		h.sent(h.send("ana@example.org", letter("Another", large), "bob@x.test"))
	})
}
