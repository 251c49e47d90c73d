package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store"
)

// maxHops is how many mail servers a message may have passed (RFC 5321, section
// 6.3; security.md AT-70), and ownHops how often this one.
const (
	maxHops = 25
	ownHops = 2
)

// transfer is one message from the end of DATA to the answer.
type transfer struct {
	g     *Gateway
	s     *session
	trace string
	begun time.Time
	log   *slog.Logger
	in    *received
	cut   context.Context // ends when the server cannot wait any longer
	due   time.Time       // when the upstream must have its answer

	upstream store.Upstream
	account  store.Account
	from     mailaddr.Address // of the header, where it is one address of the account; else zero
	outcomes []outcome        // one for each recipient
	sketch   []byte           // of the message, sealed
	kept     *outbox.RawMail  // the mail as it came, once it is durable
}

// outcome is what becomes of the message for one recipient.
type outcome struct {
	to        outbox.Receiver
	decision  policy.Decision
	protected bool // plain, over a proved way only
	result    string
	said      string
	envelope  string // message id, where it was sealed
}

// refusal is what a rule that refuses says.
func (o *outcome) refusal() string {
	return cmp.Or(o.decision.Refusal, "refused by a rule of the account")
}

// run decides and acts. A *smtpd.Reply as error is the answer.
func (t *transfer) run(ctx context.Context) (*smtpd.Reply, error) {
	t.due = time.Now().Add(handOn)
	// MAIL may be hours ago.
	if err := t.s.admit(ctx, t.s.from); err != nil {
		return nil, err
	}
	if err := t.identify(); err != nil {
		return nil, err
	}
	if err := t.decide(ctx); err != nil {
		return nil, err
	}
	return t.act(ctx)
}

// identify checks what could not be known before the message had come: the token,
// the loop, and the address in From.
func (t *transfer) identify() error {
	all, own := t.in.hops(t.g.c.Hostname)
	if all > maxHops || own > ownHops {
		return reply(554, "5.4.6", "routing loop: this message has passed too many mail servers")
	}
	may := t.s.may
	if t.s.from.Null {
		// A bounce belongs to the account whose address sends it.
		may = nil
		for _, b := range t.in.header.Mailboxes("from") {
			may = append(may, sendsFor(t.s.state, t.s.may, parentOf(t.s.state, b.Addr.Domain()))...)
		}
		if len(may) == 0 {
			return reply(550, "5.7.1", "a message without a return path must be from an address of the account's domains")
		}
	}
	for _, u := range may {
		if !hasToken(u) || u.SecretHash == hashOf(t.in.token) {
			t.upstream = u
			break
		}
	}
	if t.upstream.ID == "" {
		return notAdmitted()
	}
	if slices.ContainsFunc(t.s.may, hasToken) && !t.g.limits.allow(t.upstream.ID, t.begun) {
		return tooMany()
	}
	var ok bool
	if t.account, ok = t.s.state.Account(t.upstream.AccountID); !ok {
		return reply(550, "5.7.1", "the account is suspended")
	}
	return t.readFrom()
}

// parentOf is the domain of an account that domain is, or is below.
func parentOf(state *account.Admission, domain string) string {
	for d := domain; d != ""; {
		if _, ok := state.Owner(d); ok {
			return d
		}
		_, rest, ok := strings.Cut(d, ".")
		if !ok {
			break
		}
		d = rest
	}
	return domain
}

// readFrom looks at the address in From: it may name the account's own domains
// only, unless the upstream forwards others' mail.
func (t *transfer) readFrom() error {
	ownerOf := func(domain string) (store.Account, bool) {
		if t.s.from.Null {
			domain = parentOf(t.s.state, domain)
		}
		return t.s.state.Owner(domain)
	}
	for _, b := range t.in.header.Mailboxes("from") {
		owner, ok := ownerOf(b.Addr.Domain())
		if (!ok || owner.ID != t.account.ID) && !t.upstream.Forwards {
			return reply(550, "5.7.1", "From names an address outside the account's domains: "+b.Addr.Domain())
		}
	}
	b, one := t.in.header.Mailbox("from")
	owner, ok := ownerOf(b.Addr.Domain())
	// Mail that is forwarded is whoever's; only what its sender sends as themselves
	// is signed here, and shown as theirs.
	if one && ok && owner.ID == t.account.ID && (!t.upstream.Forwards || b.Addr.Canonical() == t.s.from.Address.Canonical()) {
		t.from = b.Addr
	}
	return nil
}

// ambiguous reports a From that programs read in different ways; such a message
// is not passed in clear under the account's name (AT-66).
func (t *transfer) ambiguous() bool { return t.from.IsZero() && !t.upstream.Forwards }

// act does what was decided, unless the upstream does not wait for it any more:
// it will come again, and nobody is to get the mail twice.
func (t *transfer) act(ctx context.Context) (*smtpd.Reply, error) {
	if time.Now().After(t.due) {
		return nil, reply(451, "4.4.7", "it took too long to find out how the mail may go, try again later")
	}
	var sealed, plain, refused int
	for _, o := range t.outcomes {
		switch o.decision.Action {
		case policy.Seal:
			sealed++
		case policy.Refuse:
			refused++
		default:
			plain++
		}
	}
	if plain > 0 && t.ambiguous() {
		return nil, reply(554, "5.6.0", "From is not one address that can be read in one way only")
	}
	switch n := len(t.outcomes); {
	case refused == n:
		return nil, t.refuse(ctx)
	case n == 1 && sealed == 1:
		return t.seal(ctx)
	case plain == n && t.together():
		return t.pass(ctx)
	}
	return t.queue(ctx)
}

// together reports whether one transaction with the next hop serves all.
func (t *transfer) together() bool {
	first := t.outcomes[0]
	for _, o := range t.outcomes[1:] {
		// What is proved is the way to one domain.
		if o.protected != first.protected || o.protected && o.to.Addr.Domain() != first.to.Addr.Domain() || !t.g.c.Next.Together(first.to.Addr.Domain(), o.to.Addr.Domain()) {
			return false
		}
	}
	return true
}

// refuse answers for a message that nobody may get, and records why.
func (t *transfer) refuse(ctx context.Context) error {
	for i := range t.outcomes {
		t.outcomes[i].result = policy.ResultRefused
	}
	if err := t.record(ctx); err != nil {
		return err
	}
	return reply(550, "5.7.1", t.outcomes[0].refusal()+"; trace "+t.trace)
}

// pass hands the mail on as it came, in one transaction.
func (t *transfer) pass(ctx context.Context) (*smtpd.Reply, error) {
	p := outbox.Parcel{From: t.s.from.Address, Raw: t.raw(), Transit: t.trace, EnvelopeID: t.s.opts.EnvelopeID, Return: t.s.opts.Return,
		Protected: t.outcomes[0].protected}
	for _, o := range t.outcomes {
		p.To = append(p.To, o.to)
	}
	accepted, err := t.send(ctx, p)
	if errors.Is(err, outbox.ErrUnprotected) {
		t.unprotected()
		return t.act(ctx)
	}
	if err != nil {
		result := policy.ResultRefused
		if lost := (*outbox.Unconfirmed)(nil); errors.As(err, &lost) {
			result = policy.ResultPassing
		}
		for i := range t.outcomes {
			t.outcomes[i].result, t.outcomes[i].said = result, oneLine(err.Error())
		}
		if rerr := t.record(ctx); rerr != nil {
			t.log.Error("gateway: record a refusal", "err", rerr)
		}
		return nil, err
	}
	for i := range t.outcomes {
		t.outcomes[i].result, t.outcomes[i].said = policy.ResultSent, accepted.Text
	}
	for _, r := range accepted.Refused {
		for i := range t.outcomes {
			if o := &t.outcomes[i]; o.to.Addr == r.Addr {
				o.result, o.said = policy.ResultQueued, oneLine(r.Err.Error()) // the outbox tries, or reports
			}
		}
	}
	letters, err := t.refusedLetters(ctx, accepted)
	if err == nil {
		err = t.g.c.DB.Update(ctx, func(tx *store.Tx) error {
			if err := tx.InsertTransit(t.transit()); err != nil {
				return err
			}
			if err := t.g.c.Outbox.Enqueue(tx, letters...); err != nil {
				return err
			}
			return t.reportRelayed(tx, accepted)
		})
	}
	// The next hop has the mail. What goes wrong now must not bring it there twice,
	// unless somebody would not get it at all.
	if err != nil && len(accepted.Refused) > 0 {
		return nil, err // some have it and will get it again; the others would never
	}
	if err != nil {
		t.log.Error("gateway: record what was passed on", "err", err)
	} else if len(accepted.Refused) > 0 || slices.ContainsFunc(t.outcomes, func(o outcome) bool { return t.relayedFor(accepted, &o) }) {
		t.g.c.Outbox.Wake()
	}
	return reply(250, "2.0.0", "passed on to "+accepted.Host), nil
}

// handOn is how long the next hop has: an upstream waits for ten minutes (RFC
// 5321, section 4.5.3.2.6), and then comes again.
const handOn = 9 * time.Minute

func (t *transfer) send(ctx context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	ctx, cancel := context.WithDeadline(ctx, t.due)
	defer cancel()
	defer context.AfterFunc(t.cut, cancel)()
	return t.g.c.Next.Send(ctx, p)
}

// refusedLetters are for those whom the next hop refused beside others: the outbox
// tries what may yet go, and reports what did not.
func (t *transfer) refusedLetters(ctx context.Context, accepted outbox.Accepted) (letters []outbox.Letter, err error) {
	for _, r := range accepted.Refused {
		for _, o := range t.outcomes {
			if o.to.Addr != r.Addr {
				continue
			}
			l, err := t.rawLetter(ctx, o)
			if err != nil {
				return nil, err
			}
			letters = append(letters, l)
		}
	}
	return letters, nil
}

// relayedFor reports whether the sender is to hear from us that the next hop has
// the mail for o, because that does not answer for it (RFC 3461, section 5.2.2).
func (t *transfer) relayedFor(accepted outbox.Accepted, o *outcome) bool {
	return !accepted.DSN && !t.s.from.Null && outbox.Wants(o.to.Notify, "SUCCESS")
}

func (t *transfer) reportRelayed(tx *store.Tx, accepted outbox.Accepted) error {
	for i := range t.outcomes {
		o := &t.outcomes[i]
		if o.result == policy.ResultQueued || !t.relayedFor(accepted, o) { // that one was refused, and is tried again
			continue
		}
		b := t.bounce(o, outbox.Relayed, "2.0.0")
		b.Said = "250 " + oneLine(accepted.Text)
		if err := t.tell(tx, b); err != nil {
			return err
		}
	}
	return nil
}

// bounce is what the sender is told of o.
func (t *transfer) bounce(o *outcome, action, status string) outbox.Bounce {
	return outbox.Bounce{Action: action, Status: status, AccountID: t.account.ID, Answer: t.answerTo(), To: o.to.Addr,
		SentAt: t.begun, EnvelopeID: t.s.opts.EnvelopeID, Original: o.to.Original}
}

func (t *transfer) tell(tx *store.Tx, b outbox.Bounce) error {
	reports, err := t.g.c.Post.Bounced(tx, b)
	if err != nil {
		return err
	}
	return t.g.c.Outbox.Enqueue(tx, reports...)
}

// seal cuts a sealed mail through to its one recipient.
func (t *transfer) seal(ctx context.Context) (*smtpd.Reply, error) {
	o := &t.outcomes[0]
	o.result = policy.ResultPassing
	sealed, err := t.enclose(ctx, []*outcome{o}, true, func(tx *store.Tx, _ []outbox.Letter) error {
		return tx.InsertTransit(t.transit())
	})
	if err != nil {
		return nil, err
	}
	parcel, err := t.g.c.Outbox.Parcel(sealed[0])
	var accepted outbox.Accepted
	if err == nil {
		accepted, err = t.send(ctx, parcel)
	}
	var lost *outbox.Unconfirmed
	switch {
	case err == nil:
		t.g.recorder.sent(sealed[0].SlotID)
		if t.relayedFor(accepted, o) {
			if err := t.g.c.DB.Update(ctx, func(tx *store.Tx) error { return t.reportRelayed(tx, accepted) }); err != nil {
				t.log.Error("gateway: report what was passed on", "err", err)
			}
			t.g.c.Outbox.Wake()
		}
		return reply(250, "2.0.0", "sealed, and passed on to "+accepted.Host), nil
	case errors.As(err, &lost):
		return nil, err // the recipient may have it: its keys stay
	}
	message, said := o.envelope, oneLine(err.Error())
	if werr := t.g.c.Keys.Withdraw(ctx, message, said, func(tx *store.Tx) error { return t.withdrawn(tx, o, said) }); werr != nil {
		t.log.Error("gateway: withdraw what was refused", "message", message, "err", werr)
	}
	return nil, err
}

// withdrawn says in the message's transit that nothing is left of o, and why.
func (t *transfer) withdrawn(tx *store.Tx, o *outcome, why string) error {
	o.result, o.said, o.envelope = policy.ResultRefused, why, ""
	return tx.SetTransitDetail(t.trace, t.detail())
}

// queue leaves a message of several outcomes to the outbox.
func (t *transfer) queue(ctx context.Context) (*smtpd.Reply, error) {
	var sealed []*outcome
	var letters []outbox.Letter
	for i := range t.outcomes {
		o := &t.outcomes[i]
		switch o.decision.Action {
		case policy.Seal:
			o.result = policy.ResultQueued
			sealed = append(sealed, o)
		case policy.Refuse:
			o.result = policy.ResultRefused
		default:
			o.result = policy.ResultQueued
			l, err := t.rawLetter(ctx, *o)
			if err != nil {
				return nil, err
			}
			letters = append(letters, l)
		}
	}
	commit := func(tx *store.Tx, more []outbox.Letter) error {
		if err := tx.InsertTransit(t.transit()); err != nil {
			return err
		}
		if err := t.g.c.Outbox.Enqueue(tx, append(more, letters...)...); err != nil {
			return err
		}
		return t.reportRules(tx)
	}
	var err error
	if len(sealed) > 0 {
		_, err = t.enclose(ctx, sealed, false, commit)
	} else {
		err = t.g.c.DB.Update(ctx, func(tx *store.Tx) error { return commit(tx, nil) })
	}
	if err != nil {
		return nil, err
	}
	t.g.c.Outbox.Wake()
	return reply(250, "2.0.0", fmt.Sprintf("queued, %d of %d sealed", len(sealed), len(t.outcomes))), nil
}

// reportRules tells the sender of recipients whom a rule keeps the message from.
func (t *transfer) reportRules(tx *store.Tx) error {
	for _, o := range t.outcomes {
		if o.decision.Action != policy.Refuse || t.s.from.Null || !outbox.Wants(o.to.Notify, "FAILURE") {
			continue
		}
		b := t.bounce(&o, outbox.Failed, "5.7.1")
		b.Reason = o.refusal()
		if err := t.tell(tx, b); err != nil {
			return err
		}
	}
	return nil
}

// record writes the transit in a transaction of its own.
func (t *transfer) record(ctx context.Context) error {
	return t.g.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.InsertTransit(t.transit()) })
}

func (t *transfer) transit() store.Transit {
	messageID := ""
	if v, ok := t.in.header.First("message-id"); ok {
		if ids := message.IDs(v); len(ids) > 0 {
			messageID = ids[0]
		}
	}
	sender := ""
	if !t.s.from.Null {
		sender = t.s.from.Address.Canonical()
	}
	return store.Transit{ID: t.trace, AccountID: t.account.ID, Upstream: t.upstream.Name, MessageID: messageID,
		Sender: sender, Size: t.in.plain.Size(), Detail: t.detail(), Sketch: t.sketch}
}

func (t *transfer) detail() string {
	list := make([]policy.Outcome, len(t.outcomes))
	for i, o := range t.outcomes {
		list[i] = policy.Outcome{Recipient: o.to.Addr.String(), Action: o.decision.Action, Why: o.decision.Why,
			Envelope: o.envelope, Result: o.result, Said: o.said}
	}
	return policy.EncodeOutcomes(list)
}

// peerText is how Received names the upstream.
func peerText(hello string, a netip.Addr) string {
	literal := a.String()
	if a.Is6() {
		literal = "IPv6:" + literal
	}
	return oneLine(hello) + " ([" + literal + "])"
}
