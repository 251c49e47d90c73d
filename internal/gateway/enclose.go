package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store"
)

// maxReferences is how many message ids of a thread go outside, the newest.
const maxReferences = 30

// kept are the fields of a message that stand on its sealed mail too, besides
// those that are read and written anew. Everything else stays inside.
var kept = []struct{ field, name string }{
	{"auto-submitted", "Auto-Submitted"}, {"importance", "Importance"}, {"x-priority", "X-Priority"},
}

// enclose seals the message for some recipients, who have the same options or
// get the strictest of them, and fills in which envelope they got.
func (t *transfer) enclose(ctx context.Context, list []*outcome, through bool, then func(*store.Tx, []outbox.Letter) error) ([]outbox.Letter, error) {
	options := list[0].decision.Options
	for _, o := range list[1:] {
		options = options.Strictest(o.decision.Options)
	}
	shown := *t.in.manifest // the keyword is for us; the message itself keeps it
	shown.Subject = options.Subject(shown.Subject)
	in := sealing.Incoming{
		Account: t.account, Sender: t.s.from.Address, From: t.sender(), Manifest: &shown,
		Plain:     func() (io.ReadCloser, error) { return t.in.plain.Reader() },
		Subject:   shown.Subject,
		MessageID: t.messageID(), Header: t.headerOutside(),
		Receipt: options.Receipt, ServerMayOpen: options.ServerDecrypt, ScriptFree: options.ScriptFree,
		Through: through, Transit: t.trace, ENVID: t.s.opts.EnvelopeID, Origin: t.s.peer.Addr.String(), Answer: t.answerTo(),
	}
	for _, o := range list {
		in.To = append(in.To, o.to)
	}
	if options.KeepSubject {
		in.Outer = in.Subject
	}
	if t.g.c.RewriteFrom && !t.g.c.Next.Signs(in.From.Addr) {
		in.Rewrite = true
	}
	in.Lives = options.Expires
	if options.Remind > 0 {
		in.RemindAt = t.g.c.DB.Now().Add(options.Remind)
	}
	in.Permissions = options.Permissions()
	in.Then = func(tx *store.Tx, m envelope.MessageID, letters []outbox.Letter) error {
		for _, o := range list {
			o.envelope = m.String()
		}
		return then(tx, letters)
	}
	in.Undone = func(tx *store.Tx, why string) error { return t.withdrawn(tx, list[0], why) }
	return t.g.c.Sealing.SealIncoming(ctx, in)
}

// sender is who stands in From outside: the address that the upstream was
// admitted for, or the one in the message where it is one of the account's too.
func (t *transfer) sender() message.Mailbox {
	boxes := t.in.header.Mailboxes("from")
	if !t.from.IsZero() {
		return mailbox(boxes[0].Name, t.from)
	}
	return mailbox("", t.s.from.Address)
}

func (t *transfer) messageID() string {
	if v, ok := t.in.header.First("message-id"); ok {
		if ids := message.IDs(v); len(ids) > 0 {
			return ids[0]
		}
	}
	return outbox.NewMessageID(t.s.from.Address)
}

// headerOutside is what the sealed mail keeps of the message's header.
func (t *transfer) headerOutside() outbox.Header {
	in := t.in
	h := outbox.Header{
		To: message.Mailboxes(in.manifest.To), Cc: message.Mailboxes(in.manifest.Cc), ReplyTo: in.header.Mailboxes("reply-to"),
		Date:  t.begun.Truncate(time.Second),
		Trace: []message.Field{{Name: "Received", Value: t.received()}, {Name: message.TransitField, Value: t.trace}},
	}
	// How often it has been here stays known: else one that comes back would go round.
	for _, v := range in.header.All("received") {
		if strings.Contains(v, ownMark(t.g.c.Hostname)) && isPrintable(v) && len(v) < 500 && len(h.Trace) < 2+2*ownHops {
			h.Trace = append(h.Trace, message.Field{Name: "Received", Value: v})
		}
	}
	if d, err := time.Parse(time.RFC3339, in.manifest.Date); err == nil {
		h.Date = d
	}
	if v, ok := in.header.First("in-reply-to"); ok {
		h.InReplyTo = message.IDs(v)
	}
	if v, ok := in.header.First("references"); ok {
		ids := message.IDs(v)
		h.References = ids[max(0, len(ids)-maxReferences):]
	}
	for _, k := range kept {
		if v, ok := in.header.First(k.field); ok && v != "" && len(v) < 200 && isPrintable(v) {
			h.Fields = append(h.Fields, message.Field{Name: k.name, Value: v})
		}
	}
	return h
}

// received is the trace field (RFC 5321, section 4.4). It does not say for
// whom: a blind copy would be seen.
func (t *transfer) received() string {
	return "from " + peerText(t.s.peer.Hello, t.s.peer.Addr) + " by " + t.g.c.Hostname + " (Pli) with " + t.s.protocol() +
		" id " + t.trace + "; " + t.begun.Format("Mon, 02 Jan 2006 15:04:05 -0700")
}

// raw is the mail as it came, with the trace field before it.
func (t *transfer) raw() *outbox.Raw {
	first := "Received: " + strings.Replace(t.received(), " by ", "\r\n\tby ", 1) + "\r\n" + message.TransitField + ": " + t.trace + "\r\n"
	return &outbox.Raw{
		Size: int64(len(first)) + t.in.plain.Size(), From: t.from, UTF8: t.in.utf8Header, EightBit: t.in.eightBit,
		Open: func() (io.ReadCloser, error) {
			r, err := t.in.plain.Reader()
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(first), r), r}, nil
		},
	}
}

// rawLetter keeps the mail as it came, for the outbox.
func (t *transfer) rawLetter(ctx context.Context, o outcome) (outbox.Letter, error) {
	if t.kept == nil {
		raw := t.raw()
		r, err := raw.Open()
		if err != nil {
			return outbox.Letter{}, err
		}
		defer r.Close()
		k := outbox.RawMail{Size: raw.Size, From: raw.From, UTF8: raw.UTF8, EightBit: raw.EightBit}
		if k.Short, k.Blob, k.Key, err = t.g.c.Outbox.Keep(ctx, raw.Size, r); err != nil {
			return outbox.Letter{}, err
		}
		t.kept = &k
	}
	return outbox.Letter{
		Kind: outbox.Passing, AccountID: t.account.ID, Answer: t.answerTo(), Bounces: t.s.from.Address, To: mailbox("", o.to.Addr),
		Raw: t.kept, Protected: o.protected, Transit: t.trace, EnvelopeID: t.s.opts.EnvelopeID, Notify: o.to.Notify, Original: o.to.Original,
	}, nil
}

// answerTo is who gets reports about this message: its sender, whom the
// upstream was admitted for; nobody for a message without a return path (AT-70).
func (t *transfer) answerTo() *outbox.Answer {
	if t.s.from.Null {
		return nil
	}
	return &outbox.Answer{To: t.s.from.Address, Arrived: t.begun, Header: t.headerOfReport()}
}

// headerOfReport is what a report says of the message: enough to find it, and
// not the subject (AT-71).
func (t *transfer) headerOfReport() string {
	var b strings.Builder
	for _, name := range []string{"Date", "From", "To", "Message-ID"} {
		if v, ok := t.in.header.First(strings.ToLower(name)); ok && isPrintable(v) && len(v) < 900 {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	return b.String()
}

// decide asks the account's rules, for each recipient.
func (t *transfer) decide(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, t.due)
	defer cancel()
	rules, err := t.s.state.Rules(t.account.ID)
	if err != nil {
		return err // rules that cannot be read decide nothing: 451, and an operator looks
	}
	facts := &policy.Facts{
		Sender: t.s.from.Address, NullSender: t.s.from.Null, Subject: t.in.manifest.Subject, Header: t.in.header,
		Size: t.in.plain.Size(), Parts: t.in.manifest.Parts, Invites: t.in.index.Invites(),
		Groups: func(a mailaddr.Address) ([]string, error) { return t.g.c.Accounts.GroupNames(ctx, t.account.ID, a) },
		Text: func(dst io.Writer, limit int64) error {
			return message.TextOf(dst, t.in.manifest, func() (io.ReadCloser, error) { return t.in.plain.Reader() }, limit)
		},
	}
	c := rules.Case(facts)
	for _, to := range t.s.to {
		d, err := c.Decide(to.Addr)
		if err != nil {
			return err
		}
		t.outcomes = append(t.outcomes, outcome{to: to, decision: d})
	}
	t.tryTLS(ctx)
	t.sketch, err = t.g.c.Accounts.SealSketch(t.trace, c.Sketch())
	return err
}

// askWay is how long the ways to all domains of a message are looked for: the
// upstream waits. To whom none is found by then, it is sealed.
const askWay = 30 * time.Second

// tryTLS makes "TLS first, else seal" one or the other.
func (t *transfer) tryTLS(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWay)
	defer cancel()
	ways := make(map[string]string) // by domain; "" is none
	for i := range t.outcomes {
		o := &t.outcomes[i]
		if o.decision.Action != policy.TLS {
			continue
		}
		domain := o.to.Addr.Domain()
		how, asked := ways[domain]
		if !asked {
			var err error
			if how, err = t.g.c.Next.Protects(ctx, domain); err != nil {
				t.log.Info("gateway: no protected way, so it is sealed", "domain", domain, "err", err)
				how = ""
			}
			ways[domain] = how
		}
		if how == "" {
			o.decision.Action, o.decision.Why.Way = policy.Seal, policy.WayNone
			continue
		}
		o.protected, o.decision.Why.Way = true, how
	}
}

// unprotected seals what was to go over a protected way that is gone since.
func (t *transfer) unprotected() {
	for i := range t.outcomes {
		if o := &t.outcomes[i]; o.protected {
			o.protected, o.decision.Action, o.decision.Why.Way = false, policy.Seal, policy.WayNone
		}
	}
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// oneLine makes one line of printable ASCII, for a header or a reply.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r < ' ' || r > '~' || r == '(' || r == ')' || r == ';' || r == '\\':
			return -1
		}
		return r
	}, s)
	if len(s) > 400 {
		s = s[:400]
	}
	return strings.TrimSpace(s)
}

// nextHopReply passes on what the next hop said.
func nextHopReply(e *outbox.Error, trace string) *smtpd.Reply {
	class := "5"
	if e.Code < 500 {
		class = "4"
	}
	return reply(e.Code, enhancedOf(e.Text, class+".0.0"), "next hop: "+textOf(e.Text)+"; trace "+trace)
}

// enhancedOf is the enhanced code that text begins with.
func enhancedOf(text, other string) string {
	first, _, _ := strings.Cut(text, " ")
	if len(first) >= 5 && first[1] == '.' && first[0] == other[0] && strings.Trim(first, "0123456789.") == "" && strings.Count(first, ".") == 2 {
		return first
	}
	return other
}

// textOf is text without its enhanced code, on one line.
func textOf(text string) string {
	if first, rest, ok := strings.Cut(text, " "); ok && strings.Trim(first, "0123456789.") == "" && strings.Count(first, ".") == 2 {
		text = rest
	}
	return oneLine(strings.ReplaceAll(text, "\n", " "))
}
