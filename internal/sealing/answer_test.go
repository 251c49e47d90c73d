package sealing_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
)

// recipient is a session that has proved the address and the mail that it got.
func (h *house) recipient(t *testing.T, address string) (v keyserver.Visitor, ref string) {
	t.Helper()
	eventually(t, "the mail to "+address, func() bool { return len(h.peer.to(address)) > 0 })
	bytesOf, part, err := envelope.FindArmor(strings.NewReader(openMail(t, h.peer.to(address)[0]).file))
	if err != nil || part == nil {
		t.Fatal(part, err)
	}
	e, err := envelope.Parse(bytesOf, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 32)
	rand.Read(nonce)
	s := store.Session{TokenHash: id.NewToken().Hash(), Scope: store.ScopeVisitor, Address: address, Nonce: hex.EncodeToString(nonce), Client: "test",
		ExpiresAt: h.db.Now().Add(time.Hour)}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertSession(s) }); err != nil {
		t.Fatal(err)
	}
	v = keyserver.Visitor{Session: s.TokenHash, Origin: "192.0.2.7", Language: "en"}
	proof := envelope.Possession(envelope.Pop(part.E, e.Slot, e.HH), nonce)
	if ref, err = h.keys.Prove(t.Context(), v, e.Slot, proof[:]); err != nil {
		t.Fatal(err)
	}
	return v, ref
}

func (h *house) set(t *testing.T, s policy.Layer) {
	t.Helper()
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.SetAccountSettings(100042, s.Encode()) }); err != nil {
		t.Fatal(err)
	}
}

// An answer is an envelope of the same account, from the recipient's proved
// address, of no organisation of theirs, and beside the notices of the original.
func TestAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.start(t)
	sent, err := h.seal.Seal(t.Context(), h.request("jean@x.test", "carol@y.test"))
	if err != nil {
		t.Fatal(err)
	}
	v, ref := h.recipient(t, "jean@x.test")
	const secret = "The answer nobody else may read."
	a := sealing.Answer{Visitor: v, Ref: ref, Kind: keyserver.ReplyAll, Subject: "Re: Your results of Monday", Text: secret + "\n",
		Files: files(file("photo.jpg", "image/jpeg", strings.Repeat(secret, 9000)))}
	if err := h.seal.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	h.each(t, func(name string, raw []byte) {
		if bytes.Contains(raw, []byte(secret)) || bytes.Contains(raw, []byte("VGhlIGFuc3dlciBub2JvZHk")) {
			t.Errorf("the answer is readable in %s", name)
		}
	})
	eventually(t, "the answer", func() bool { return len(h.peer.to("ana@example.org")) == 1 })
	m := openMail(t, h.peer.to("ana@example.org")[0])
	for field, want := range map[string]string{
		"From": `"jean@x.test via Example Health" <envelopes@pli.example>`, "Reply-To": `"jean@x.test" <jean@x.test>`, "Auto-Submitted": "",
		"In-Reply-To": "<sent." + sent.MessageID.String() + "@pli.example>", "X-Pli-Transit": "service", "To": "ana@example.org", "Cc": "", "Bcc": "",
	} {
		if got := m.head.Get(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if m.subject != "jean@x.test answered your envelope" || strings.Contains(m.text+m.html, "Your results") || strings.Contains(m.text, "Example Health") {
		t.Errorf("%s\n%s", m.subject, m.text)
	}
	manifest, got := h.open(t, m.file, "ana@example.org")
	if manifest.Subject != a.Subject || len(manifest.Parts) != 2 || manifest.Parts[1].Name != "photo.jpg" || !bytes.Contains(got, []byte(secret)) ||
		manifest.From[0].Address != "jean@x.test" || len(manifest.To) != 2 {
		t.Errorf("%+v", manifest)
	}
	eventually(t, "the other recipient's", func() bool { return len(h.peer.to("carol@y.test")) == 2 })
	carol := openMail(t, h.peer.to("carol@y.test")[1])
	if carol.subject != "jean@x.test answered an envelope that you received" || carol.head.Get("In-Reply-To") != "<envelope."+strings.ToLower(sent.Refs[1])+"@pli.example>" {
		t.Errorf("%s, %s", carol.subject, carol.head.Get("In-Reply-To"))
	}
	if len(h.peer.to("jean@x.test")) != 1 {
		t.Error("who answers got the answer")
	}

	// The sender goes on with the conversation in the envelope that they got.
	back, answered := h.recipient(t, "ana@example.org")
	card, err := h.keys.Landing(t.Context(), back, answered)
	if err != nil || card.Sender != (keyserver.Sender{Address: "jean@x.test", Name: "jean@x.test", Outsider: true, Proved: true}) || !card.Answers.Reply || !card.Answers.ReplyAll {
		t.Errorf("%+v, %v", card, err)
	}
	if err := h.seal.Answer(t.Context(), sealing.Answer{Visitor: back, Ref: answered, Kind: keyserver.Reply, Subject: "Re:", Text: "Thank you."}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer to the answer", func() bool { return len(h.peer.to("jean@x.test")) == 2 })
	d, err := h.keys.SentDetail(t.Context(), h.ana.UserID, sent.MessageID.String())
	if err != nil || !slices.ContainsFunc(d.Activity, func(e keyserver.Event) bool { return e.Action == "envelope.reply" && e.Recipient == "jean@x.test" }) {
		t.Errorf("%+v, %v", d.Activity, err)
	}
}

// What is passed on is sealed whatever the account has chosen for answers, ends
// with the original, allows no more than it, and holds the original as a file,
// larger than others may be. The sender sees to whom it went.
func TestForward(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *sealing.Config) {
		c.MaxFiles = 1 << 20
		c.Protects = func(context.Context, string) (string, error) { return "pinned", nil }
	})
	h.set(t, policy.Layer{"forward": "true", "replies": policy.RepliesTLS})
	h.start(t)
	r, no := h.request("jean@x.test"), false
	r.ExpiresAt = h.db.Now().Add(48 * time.Hour).Truncate(time.Second)
	r.Permissions = policy.Permissions{Reply: &no, Level: policy.Low}
	sent, err := h.seal.Seal(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	v, ref := h.recipient(t, "jean@x.test")
	eml := strings.Repeat("x", 5<<18)
	a := sealing.Answer{Visitor: v, Ref: ref, Kind: keyserver.Forward, To: []mailaddr.Address{mailaddr.MustParse("dan@example.org")},
		Subject: "Fwd: it", Files: files(file("message.eml", "message/rfc822", eml))}
	if err := h.seal.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mail", func() bool { return len(h.peer.to("dan@example.org")) == 1 })
	m := openMail(t, h.peer.to("dan@example.org")[0])
	if m.subject != "jean@x.test passed an envelope on to you" || m.head.Get("In-Reply-To") != "" {
		t.Errorf("%s", m.subject)
	}
	dan, forwarded := h.recipient(t, "dan@example.org")
	card, err := h.keys.Landing(t.Context(), dan, forwarded)
	if err != nil || !card.ExpiresAt.Equal(r.ExpiresAt) || card.Level != policy.Low || card.Answers != (keyserver.Answers{Forward: true}) {
		t.Errorf("%+v, %v", card, err)
	}
	manifest, _ := h.open(t, m.file, "dan@example.org")
	if f := manifest.Parts[1]; f.Name != "message.eml" || f.Size != int64(len(eml)) || f.Type != "application/octet-stream" {
		t.Errorf("%+v", f)
	}
	d, err := h.keys.SentDetail(t.Context(), h.ana.UserID, sent.MessageID.String())
	if err != nil || !slices.ContainsFunc(d.Activity, func(e keyserver.Event) bool { return e.Action == "envelope.forward" && e.To == "dan@example.org" }) {
		t.Errorf("%+v, %v", d.Activity, err)
	}
	a.Files = files(file("message.eml", "", strings.Repeat("x", 4<<20)))
	if err := h.seal.Answer(t.Context(), a); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// AT-65: no field of an answer writes a header, and nothing of one that was
// refused is left.
func TestAnswerInjection(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.start(t)
	if _, err := h.seal.Seal(t.Context(), h.request("jean@x.test")); err != nil {
		t.Fatal(err)
	}
	v, ref := h.recipient(t, "jean@x.test")
	for _, bad := range []string{"a\r\nBcc: eve@z.test", "a\nBcc: eve@z.test", "a\rb", "a\x00b", "a\x1bb"} {
		a := sealing.Answer{Visitor: v, Ref: ref, Kind: keyserver.Reply, Subject: bad, Text: "Text"}
		if err := h.seal.Answer(t.Context(), a); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	a := sealing.Answer{Visitor: v, Ref: ref, Kind: keyserver.Reply, Subject: "Re:", Text: "Bcc: eve@z.test\r\n.\r\n", Name: "Jean\r\nBcc: eve@z.test",
		Files: files(file("a\r\nBcc: eve@z.test.txt", "text/plain\r\nBcc: eve@z.test", "x"))}
	if err := h.seal.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer", func() bool { return len(h.peer.to("ana@example.org")) == 1 })
	m := openMail(t, h.peer.to("ana@example.org")[0])
	_, inner := h.open(t, m.file, "ana@example.org")
	if head, _, _ := strings.Cut(string(inner), "\r\n\r\n"); m.head.Get("Bcc") != "" || strings.Contains(head, "\nBcc:") {
		t.Errorf("%v\n%s", m.head, head)
	}
	if len(h.peer.to("eve@z.test")) != 0 {
		t.Error("eve got mail")
	}
}

// hop is a next hop that keeps what it is handed, and says that a way is proved
// as long as proved is true.
type hop struct {
	mu     sync.Mutex // guards the rest
	proved bool
	took   []outbox.Parcel
	raw    []string
}

func (h *hop) Protects(context.Context, string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.proved {
		return "", outbox.ErrUnprotected
	}
	return "dane", nil
}

func (h *hop) Send(_ context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.Protected && !h.proved {
		return outbox.Accepted{}, outbox.ErrUnprotected
	}
	h.took = append(h.took, p)
	if p.Raw != nil {
		r, err := p.Raw.Open()
		if err != nil {
			return outbox.Accepted{}, err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			return outbox.Accepted{}, err
		}
		h.raw = append(h.raw, string(b))
	}
	return outbox.Accepted{Host: "mx.example.org"}, nil
}

func (h *hop) is(proved bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proved = proved
}

func (h *hop) mails() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.raw)
}

// runWith sends by n instead of the peer, and returns what stops it.
func (h *house) runWith(t *testing.T, n outbox.Sender) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.box.Run(ctx, n, h.post.Bounced) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// "TLS replies": an answer to a domain of the account goes as plain mail where
// the way is proved now, and waits encrypted; everybody else, and where there is
// no such way, gets an envelope. It never goes in clear: with its way gone it
// waits, and at the end who answered hears that it did not arrive, and no more.
func TestAnswerOverTLS(t *testing.T) {
	t.Parallel()
	next := &hop{proved: true}
	h := newHouse(t, func(c *sealing.Config) { c.Protects = next.Protects })
	h.set(t, policy.Layer{"replies": policy.RepliesTLS})
	if _, err := h.seal.Seal(t.Context(), h.request("jean@x.test", "carol@y.test")); err != nil {
		t.Fatal(err)
	}
	stop := h.runWith(t, relayOf(t, h))
	v, ref := h.recipient(t, "jean@x.test")
	eventually(t, "all mails to leave", func() bool { return len(h.waiting(t)) == 0 })
	stop()
	const secret = "Plain, but only over a proved way."
	answer := func(kind string, n int) error {
		return h.seal.Answer(t.Context(), sealing.Answer{Visitor: v, Ref: ref, Kind: kind, Subject: "Re: it", Text: secret,
			Files: files(file("a.txt", "text/plain", strings.Repeat(secret+"\n", n)))})
	}
	for _, n := range []int{1, 9000} { // in the letter itself, and in a blob
		if err := answer(keyserver.Reply, n); err != nil {
			t.Fatal(err)
		}
		rows := h.waiting(t)
		if len(rows) != 1 || rows[0].Kind != outbox.Passing || rows[0].Recipient != "ana@example.org" {
			t.Fatalf("%+v", rows)
		}
		h.each(t, func(name string, raw []byte) {
			if bytes.Contains(raw, []byte("over a proved way")) || bytes.Contains(raw, []byte("UGxhaW4sIGJ1dCBvbmx5")) {
				t.Errorf("readable while it waits, in %s", name)
			}
		})
		stop = h.runWith(t, next)
		eventually(t, "the mail", func() bool { return len(h.waiting(t)) == 0 })
		stop()
	}
	mails := next.mails()
	if len(mails) != 2 || !next.took[0].Protected || next.took[0].To[0].Addr.String() != "ana@example.org" {
		t.Fatalf("%d mails, %+v", len(mails), next.took)
	}
	m := openMail(t, mails[0])
	for field, want := range map[string]string{
		"From": `"jean@x.test via Example Health" <envelopes@pli.example>`, "Reply-To": `"jean@x.test" <jean@x.test>`, "To": "ana@example.org",
		"Subject": "Re: it", "Auto-Submitted": "", "X-Pli-Transit": "service", "Bcc": "",
	} {
		if got := m.head.Get(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if !strings.Contains(m.text, secret) || m.fileName != "a.txt" || !strings.HasSuffix(mails[0], "\r\n") {
		t.Errorf("%s", mails[0])
	}
	if n := len(next.took); n != 2 {
		t.Errorf("%d mails left", n)
	}

	// To all: an envelope for those of other domains.
	if err := answer(keyserver.ReplyAll, 1); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, r := range h.waiting(t) {
		kinds[r.Recipient] = r.Kind
	}
	if len(kinds) != 2 || kinds["ana@example.org"] != outbox.Passing || kinds["carol@y.test"] != outbox.Envelope {
		t.Errorf("%v", kinds)
	}
	// The way is gone while it waits: not sent, not even the first time.
	next.is(false)
	stop = h.runWith(t, next)
	eventually(t, "an attempt", func() bool {
		rows := h.waiting(t)
		return len(rows) == 1 && rows[0].Kind == outbox.Passing && strings.Contains(rows[0].LastError, "no proved and encrypted way")
	})
	stop()
	if len(next.mails()) != 2 {
		t.Error("it left in clear")
	}
	// And no way at the time of the answer: sealed.
	if err := answer(keyserver.Reply, 1); err != nil {
		t.Fatal(err)
	}
	if rows := h.waiting(t); len(rows) != 2 || rows[1].Kind != outbox.Envelope {
		t.Errorf("%+v", rows)
	}
	// Given up, the mail is emptied and who answered is told, without a word of it.
	real := h.db.Now
	h.db.Now = func() time.Time { return real().Add(5 * 24 * time.Hour) }
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.HurryOutbox(h.waiting(t)[0].ID, real()) }); err != nil {
		t.Fatal(err)
	}
	stop = h.runWith(t, &both{next, relayOf(t, h)})
	before := len(h.peer.to("jean@x.test"))
	eventually(t, "the report", func() bool { return len(h.peer.to("jean@x.test")) > before })
	stop()
	report := h.peer.to("jean@x.test")[before]
	if strings.Contains(report, "Plain, but") || strings.Contains(report, "Re: it") || !strings.Contains(report, "ana@example.org") {
		t.Errorf("%s", report)
	}
}

// both sends what must be protected by one way and all else by another.
type both struct{ protected, other outbox.Sender }

func (b *both) Send(ctx context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	if p.Protected {
		return b.protected.Send(ctx, p)
	}
	return b.other.Send(ctx, p)
}

// A domain that is not the account's gets an envelope, whatever its way; and so
// does everybody where the account has chosen nothing.
func TestAnswerSealedByDefault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings policy.Layer
		domain   bool
	}{"no choice": {nil, true}, "sealed": {policy.Layer{"replies": policy.RepliesSealed}, true}, "a domain of nobody": {policy.Layer{"replies": policy.RepliesTLS}, false}} {
		h := newHouse(t, func(c *sealing.Config) {
			c.Protects = func(context.Context, string) (string, error) { return "dane", nil }
		})
		h.set(t, c.settings)
		if !c.domain {
			if err := h.db.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.DeleteDomain(100042, "example.org"); return err }); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.seal.Seal(t.Context(), h.request("jean@x.test")); err != nil {
			t.Fatal(err)
		}
		stop := h.runWith(t, relayOf(t, h))
		v, ref := h.recipient(t, "jean@x.test")
		eventually(t, "the mail to leave", func() bool { return len(h.waiting(t)) == 0 })
		stop()
		if err := h.seal.Answer(t.Context(), sealing.Answer{Visitor: v, Ref: ref, Kind: keyserver.Reply, Text: "x"}); err != nil {
			t.Fatal(err)
		}
		if rows := h.waiting(t); len(rows) != 1 || rows[0].Kind != outbox.Envelope {
			t.Errorf("%s: %+v", name, rows)
		}
	}
}
