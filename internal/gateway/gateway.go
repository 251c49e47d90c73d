// Package gateway is mail in flight: it admits an upstream, receives a message,
// decides by the account's rules, seals what is to be sealed, hands it to the
// next hop while the upstream waits, and leaves a record that says why.
//
// smtpd speaks; here is what is said. A message is never lost: until the
// upstream has its 250, its queue is the queue, and after that the outbox is.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store"
)

// NextHop is where mail goes from here; relay.Relay is one.
type NextHop interface {
	outbox.Sender
	// Signs reports whether mail from that address is signed here (DKIM).
	Signs(a mailaddr.Address) bool
	// Protects says how the way to a domain is proved, or gives outbox.ErrUnprotected.
	Protects(ctx context.Context, domain string) (how string, err error)
	// Together reports whether mail for both domains goes to one next hop.
	Together(a, b string) bool
}

// Config is what a Gateway needs; all of it is required but what says otherwise.
type Config struct {
	DB       *store.DB
	Accounts *account.Service
	Keys     *keyserver.Service
	Sealing  *sealing.Service
	Outbox   *outbox.Outbox
	Post     *sealing.Postman
	Next     NextHop
	Spool    string // directory of encrypted scratch files
	Hostname string // in Received
	Log      *slog.Logger

	// RewriteFrom writes sealed mail under the service's own address where the
	// sender's domain has no DKIM key here; else From stays as it came.
	RewriteFrom bool
	MaxPerMin   int // messages of one upstream in a minute; 0: no limit

	// Open is the address that anybody may forward an envelope to; zero: there is none.
	Open mailaddr.Address
}

// Gateway is an smtpd.Handler. Run must be running while it is served.
type Gateway struct {
	c        Config
	admitted admitted
	limits   limits
	opening  opening
	recorder recorder
	buffers  sync.Pool // of *[]byte, to receive with
}

// New returns a Gateway.
func New(c Config) *Gateway {
	g := &Gateway{c: c}
	g.admitted = admitted{load: c.Accounts.Admission, turn: make(chan struct{}, 1)}
	g.limits.perMinute = c.MaxPerMin
	g.opening = opening{limits: limits{perMinute: forwardedPerMinute}}
	g.recorder = recorder{db: c.DB, log: c.Log, in: make(chan string, recordsMost)}
	return g
}

// Run records what became of messages until ctx ends; then it records the rest.
func (g *Gateway) Run(ctx context.Context) { g.recorder.run(ctx) }

// Knows reports an address that mail is expected from: an upstream's, whose network
// strangers do not share.
func (g *Gateway) Knows(ctx context.Context, a netip.Addr) bool {
	state, err := g.admitted.get(ctx)
	return err == nil && slices.ContainsFunc(state.Match(a, "", "", ""), func(u store.Upstream) bool { return !hasToken(u) })
}

var _ smtpd.Handler = (*Gateway)(nil)

// admissionAge is how old a picture of who may send may be: what an operator
// or administrator changes counts after this time (security.md I10).
const admissionAge = time.Second

// admissionTime is how long may be waited for it: connections wait.
const admissionTime = 5 * time.Second

// admitted keeps the picture of upstreams, domains and rules for a moment, or
// that it could not be had.
type admitted struct {
	load func(context.Context) (*account.Admission, error)

	turn chan struct{} // of one place, which guards the rest: one loads for all
	last *account.Admission
	err  error
	at   time.Time
}

func (a *admitted) get(ctx context.Context) (*account.Admission, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !a.at.IsZero() && time.Since(a.at) < admissionAge {
		return a.last, a.err
	}
	begun := time.Now()
	loading, cancel := context.WithTimeout(context.WithoutCancel(ctx), admissionTime)
	defer cancel()
	if a.last, a.err = a.load(loading); a.err != nil {
		begun = time.Now() // who has waited meanwhile does not wait once more
	}
	a.at = begun
	return a.last, a.err
}

// reply is an answer with its enhanced status code (RFC 3463).
func reply(code int, enhanced, text string) *smtpd.Reply {
	return &smtpd.Reply{Code: code, Enhanced: enhanced, Text: text}
}

// notAdmitted is for who may not send.
func notAdmitted() *smtpd.Reply {
	return reply(550, "5.7.1", "this server takes mail only from the mail servers that it was told of")
}

// answer is what an upstream is told of a failure: the next hop's own words,
// or that something here does not work, whose cause is for the log.
func (g *Gateway) answer(trace string, err error) *smtpd.Reply {
	var own *smtpd.Reply
	var said *outbox.Error
	var lost *outbox.Unconfirmed
	switch {
	case errors.As(err, &own):
		r := *own
		if !strings.Contains(r.Text, trace) {
			r.Text += "; trace " + trace
		}
		return &r
	case errors.As(err, &lost):
		return reply(451, "4.4.2", "the next mail server did not confirm the mail; it may have it already; trace "+trace)
	case errors.As(err, &said) && said.Code >= 400:
		return nextHopReply(said, trace)
	case isFault(err, "quota.mib"):
		return reply(452, "4.3.1", "the account may store no more now; who runs this service can raise its quota; trace "+trace)
	case isFault(err, "quota.day"):
		return reply(452, "4.2.2", "the account has sealed as many messages today as it may; who runs this service can raise its quota; trace "+trace)
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.TooLarge), errors.Is(err, message.ErrInjection):
		return reply(554, "5.6.0", "this message cannot be sealed as it is; trace "+trace) // nor ever
	case errors.As(err, &said) && said.Permanent:
		return reply(554, enhancedOf(said.Text, "5.0.0"), textOf(said.Text)+"; trace "+trace)
	}
	return reply(451, "4.3.0", "the mail could not be taken now, try again later; trace "+trace)
}

func isFault(err error, key string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Key == key
}

func mailbox(name string, a mailaddr.Address) message.Mailbox {
	return message.Mailbox{Name: name, Addr: a}
}
