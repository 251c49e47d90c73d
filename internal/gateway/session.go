package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store"
)

// session is one upstream's connection.
type session struct {
	g    *Gateway
	peer *smtpd.Peer
	user string // of AUTH, "" for none
	hash string // of its password

	from  smtpd.Path
	opts  smtpd.MailOptions
	may   []store.Upstream // who it may be, for this message
	to    []outbox.Receiver
	seen  map[string]bool // recipients, canonical
	state *account.Admission

	stranger *smtpd.Reply // who may send nothing is told this, unless it is for the open address
	refused  int          // times on this connection
	open     bool         // the message is for the open address
}

// Connect begins a session. Who is nobody's upstream is told so at MAIL, since
// AUTH may come before.
func (g *Gateway) Connect(_ context.Context, p *smtpd.Peer) (smtpd.Session, error) {
	return &session{g: g, peer: p}, nil
}

// AuthOffered: there is a password only where somebody has been given one, but
// to say so would tell strangers.
func (s *session) AuthOffered() bool { return true }

// Auth takes the password of an upstream. It is random, so that its hash can be looked up.
func (s *session) Auth(ctx context.Context, user, password string) error {
	state, err := s.g.admitted.get(ctx)
	if err != nil {
		s.g.c.Log.Error("gateway: read who may send", "err", err)
		return reply(454, "4.7.0", "temporary authentication failure")
	}
	sum := sha256.Sum256([]byte(password))
	hash := hex.EncodeToString(sum[:])
	if len(state.Match(netip.Addr{}, "", user, hash)) == 0 {
		s.g.c.Log.Warn("gateway: sign-in refused", "user", user, "peer", s.peer.Addr)
		return reply(535, "5.7.8", "authentication failed")
	}
	s.user, s.hash = user, hash
	return nil
}

// certificate is the hash of the public key that the upstream showed under TLS.
func (s *session) certificate() string {
	if s.peer.TLS == nil || len(s.peer.TLS.PeerCertificates) == 0 {
		return ""
	}
	sum := sha256.Sum256(s.peer.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func (s *session) Mail(ctx context.Context, from smtpd.Path, o smtpd.MailOptions) error {
	s.Reset()
	if err := s.admit(ctx, from); err != nil {
		var r *smtpd.Reply
		if s.g.c.Open.IsZero() || !errors.As(err, &r) || r.Code < 500 {
			return err
		}
		if s.refused >= mostRefused {
			return sentAway()
		}
		s.refused++
		s.stranger, s.from, s.opts = r, from, o // until it is known to whom
		return smtpd.ErrStranger
	}
	// Of one that shows a token, the message must come first: else strangers from
	// the same network would use its number up.
	if !slices.ContainsFunc(s.may, hasToken) && !s.g.limits.allow(s.may[0].ID, time.Now()) {
		return tooMany()
	}
	s.from, s.opts = from, o
	return nil
}

// admit finds out who the client may be, as of now.
func (s *session) admit(ctx context.Context, from smtpd.Path) error {
	state, err := s.g.admitted.get(ctx)
	if err != nil {
		s.g.c.Log.Error("gateway: read who may send", "err", err)
		return reply(451, "4.3.0", "who may send cannot be read now, try again later")
	}
	may := state.Match(s.peer.Addr, s.certificate(), s.user, s.hash)
	if len(may) == 0 {
		s.g.c.Log.Warn("gateway: not an upstream", "peer", s.peer.Addr, "hello", s.peer.Hello)
		if s.user == "" {
			return reply(530, "5.7.0", "authentication required: this server takes mail only from the mail servers that it was told of")
		}
		return notAdmitted()
	}
	if !from.Null {
		if may = sendsFor(state, may, from.Address.Domain()); len(may) == 0 {
			s.g.c.Log.Warn("gateway: foreign sender", "peer", s.peer.Addr, "sender", from.Address.String())
			return reply(550, "5.7.1", "no account of this mail server may send for the domain "+from.Address.Domain())
		}
	}
	s.state, s.may = state, may
	return nil
}

// hasToken reports an upstream of a network that strangers send from too.
func hasToken(u store.Upstream) bool { return u.Kind == store.UpstreamNetwork && u.SecretHash != "" }

func tooMany() *smtpd.Reply {
	return reply(450, "4.7.1", "too many messages in this minute, try again later")
}

// sendsFor keeps the upstreams of the account that has the domain.
func sendsFor(state *account.Admission, may []store.Upstream, domain string) []store.Upstream {
	owner, ok := state.Owner(domain)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(may), func(u store.Upstream) bool { return u.AccountID != owner.ID })
}

// Rcpt takes the open address from everybody, and alone: that mail goes no further.
func (s *session) Rcpt(_ context.Context, to mailaddr.Address, o smtpd.RcptOptions) error {
	alone := reply(452, "4.5.3", "this address and others in messages of their own, please")
	switch isOpen := !s.g.c.Open.IsZero() && to.Canonical() == s.g.c.Open.Canonical(); {
	case isOpen && len(s.to) > 0:
		return alone
	case isOpen:
		return s.rcptOpen()
	case s.stranger != nil:
		if s.refused++; s.refused > mostRefused {
			return sentAway()
		}
		return s.stranger
	case s.open:
		return alone
	}
	if s.seen[to.Canonical()] {
		return nil // one mail is enough
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[to.Canonical()] = true
	s.to = append(s.to, outbox.Receiver{Addr: to, Notify: o.Notify, Original: o.Original})
	return nil
}

func (s *session) Reset() {
	s.from, s.opts, s.may, s.to, s.seen, s.state = smtpd.Path{}, smtpd.MailOptions{}, nil, nil, nil, nil
	s.stranger, s.open = nil, false
}

func (s *session) Close() {}

// Data takes the message. Its answer is given when it is certain.
func (s *session) Data(ctx context.Context, body io.Reader) (*smtpd.Reply, error) {
	if s.open {
		return s.takeForwarded(ctx, body)
	}
	t := &transfer{g: s.g, s: s, trace: id.Ordered(), begun: time.Now(), cut: ctx}
	t.log = s.g.c.Log.With("trace", t.trace, "peer", s.peer.Addr)
	t.in = newReceived(s.g.c.Spool)
	defer t.in.close()
	buf, ok := s.g.buffers.Get().(*[]byte)
	if !ok {
		b := make([]byte, 32<<10)
		buf = &b
	}
	err := t.in.receive(body, *buf)
	s.g.buffers.Put(buf)
	if err != nil {
		t.log.Warn("gateway: not received", "sender", s.sender(), "recipients", len(s.to), "bytes", t.in.plain.Size(), "err", err)
		return nil, err
	}
	// What has begun is recorded to its end; only the way out is cut with the server.
	done, err := t.run(context.WithoutCancel(ctx))
	if err != nil {
		answer := s.g.answer(t.trace, err)
		t.log.Log(ctx, level(answer), "gateway: not taken", "reply", answer.Error(), "sender", s.sender(), "recipients", len(s.to),
			"bytes", t.in.plain.Size(), "took", time.Since(t.begun), "err", err)
		return answer, nil
	}
	t.log.Info("gateway: "+done.Text, "account", t.account.ID, "sender", s.sender(), "recipients", len(s.to),
		"bytes", t.in.plain.Size(), "took", time.Since(t.begun))
	done.Text += "; trace " + t.trace
	return done, nil
}

func level(r *smtpd.Reply) slog.Level {
	if r.Code == 451 {
		return slog.LevelError
	}
	return slog.LevelWarn
}

func (s *session) sender() string {
	if s.from.Null {
		return "<>"
	}
	return s.from.Address.Canonical()
}

// protocol is what Received says of how the message came (RFC 3848, RFC 6531).
func (s *session) protocol() string {
	p := "SMTP"
	if s.peer.Extended {
		p = "ESMTP"
		if s.peer.TLS != nil {
			p += "S"
		}
		if s.user != "" {
			p += "A"
		}
	}
	if s.opts.UTF8 {
		p = "UTF8" + p
		if p[4] == 'E' {
			p = "UTF8" + p[5:]
		}
	}
	return p
}

var _ smtpd.Session = (*session)(nil)
