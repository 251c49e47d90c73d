package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/store"
)

// Limits of the open address, which strangers send to.
const (
	forwardedPerMinute = 30       // messages from one network, on this node
	forwardedAtOnce    = 4        // messages, each of which may fill a scratch file
	forwardedMost      = 50 << 20 // octets of a message
	forwardedDepth     = 3        // messages inside each other
	forwardedParts     = 20       // parts that are looked into, as each costs a reading

	mostRefused = 20 // times on one connection, after which a stranger is sent away
)

// opening is what the open address counts.
type opening struct {
	limits limits
	places chan struct{}
}

func sentAway() *smtpd.Reply {
	r := reply(421, "4.7.0", "too many errors")
	r.Close = true
	return r
}

func tooLong() *smtpd.Reply {
	return reply(552, "5.3.4", fmt.Sprintf("the message is larger than %d octets", forwardedMost))
}

// rcptOpen takes the open address as the recipient, while the client's network
// has not sent too much.
func (s *session) rcptOpen() error {
	switch {
	case s.open:
		return nil
	case s.opts.Size > forwardedMost:
		return tooLong()
	case !s.g.opening.limits.allow(store.Network(s.peer.Addr.String()), time.Now()):
		return tooMany()
	}
	s.open = true
	return nil
}

// takeForwarded takes a message to the open address: one envelope is kept, and
// its recipient, who need not have sent it, gets a link (keyserver.Forward).
// Everything else is logged and forgotten: an answer would go to whomever a
// stranger names, and a refusal become a bounce to them (AT-75).
func (s *session) takeForwarded(ctx context.Context, body io.Reader) (*smtpd.Reply, error) {
	select {
	case s.g.opening.places <- struct{}{}:
		defer func() { <-s.g.opening.places }()
	default:
		return reply(451, "4.3.2", "busy, try again later"), nil
	}
	trace := id.Ordered()
	log := s.g.c.Log.With("trace", trace, "peer", s.peer.Addr)
	in := newIntake(s.g.c.Spool)
	defer in.close()
	if err := in.receive(&atMost{body, forwardedMost}, make([]byte, 32<<10)); err != nil {
		log.Warn("gateway: to the open address, not received", "bytes", in.plain.Size(), "err", err)
		return nil, err
	}
	done := reply(250, "2.0.0", "ok; trace "+trace)
	if why := s.automatic(in.header); why != "" {
		log.Info("gateway: to the open address, dropped", "why", why, "bytes", in.plain.Size())
		return done, nil
	}
	ref, told, err := s.g.forward(context.WithoutCancel(ctx), s.peer.Addr.String(), in)
	switch {
	case err == nil && told:
		log.Info("gateway: to the open address, answered", "ref", ref, "bytes", in.plain.Size())
	case err == nil:
		log.Info("gateway: to the open address, dropped", "why", "answered a moment ago", "ref", ref)
	case errors.Is(err, errNotOne), fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid), fault.Is(err, fault.TooLarge):
		log.Info("gateway: to the open address, dropped", "bytes", in.plain.Size(), "err", err)
	default:
		log.Log(ctx, slog.LevelError, "gateway: to the open address, not taken", "err", err)
		return reply(451, "4.3.0", "the mail could not be taken now, try again later; trace "+trace), nil
	}
	return done, nil
}

// automatic says why a message is not a person's, "" if it may be: a program's
// mail is not answered (RFC 3834, section 2).
func (s *session) automatic(h message.Header) string {
	if s.from.Null {
		return "no return path"
	}
	for _, v := range h.All("auto-submitted") {
		if kind, _, _ := strings.Cut(v, ";"); !strings.EqualFold(strings.TrimSpace(kind), "no") {
			return "Auto-Submitted"
		}
	}
	for _, v := range h.All("precedence") {
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "bulk", "list", "junk":
			return "Precedence"
		}
	}
	for _, name := range []string{"list-id", "list-post", "list-unsubscribe", "list-unsubscribe-post", "list-help", "list-subscribe", "list-owner", "list-archive"} {
		if _, there := h.First(name); there {
			return "List"
		}
	}
	if len(h.All("received")) > maxHops {
		return "loop"
	}
	return ""
}

// errNotOne is of a message that does not carry exactly one envelope that can be
// opened.
var errNotOne = errors.New("look for the envelope in a message")

func notOne(why string) error { return fmt.Errorf("%w: %s", errNotOne, why) }

// forward finds the envelope and gives it to the key server.
func (g *Gateway) forward(ctx context.Context, origin string, in *intake) (ref string, told bool, err error) {
	l := looker{dir: g.c.Spool}
	defer l.close()
	if err := l.look(in.manifest, in.plain.Reader, 1); err != nil {
		return "", false, err
	}
	if len(l.found) != 1 {
		return "", false, notOne(fmt.Sprintf("there are %d", len(l.found)))
	}
	file := l.found[0]()
	defer file.Close()
	payload, part, err := envelope.FindArmor(file)
	if err != nil {
		return "", false, err
	}
	if part == nil {
		return "", false, notOne("it has no part of the key")
	}
	return g.c.Keys.Forward(ctx, origin, payload, *part, forwardedMost)
}

// looker finds the envelopes in a message and in those that it carries.
type looker struct {
	dir    string
	looked int
	found  []func() io.ReadCloser
	inner  []*spool.File
}

func (l *looker) close() {
	for _, f := range l.inner {
		f.Close()
	}
}

// look looks at the parts of one message, which open gives from its start.
func (l *looker) look(m *envelope.Manifest, open func() (io.ReadCloser, error), depth int) error {
	for _, p := range m.Parts {
		inner := p.Type == "message/rfc822"
		if !inner && !mayCarry(p) || inner && depth == forwardedDepth {
			continue
		}
		if l.looked++; l.looked > forwardedParts {
			return notOne("too many parts")
		}
		if !inner {
			file := func() io.ReadCloser { return decoded(p, open) }
			if isEnvelope(file()) {
				l.found = append(l.found, file)
			}
			continue
		}
		f, index := spool.New(l.dir), message.NewIndexer()
		l.inner = append(l.inner, f)
		err := message.WritePart(io.MultiWriter(f, index), p, open)
		if err == nil {
			err = f.Finish()
		}
		if err != nil {
			return err
		}
		manifest, _ := index.Finish()
		if err := l.look(manifest, f.Reader, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// mayCarry reports whether an envelope may be in the part: an HTML file, or the
// bare binary.
func mayCarry(p envelope.Part) bool {
	name := strings.ToLower(p.Name)
	return p.Type == "text/html" || strings.HasSuffix(name, ".html") || strings.HasSuffix(name, ".htm") || strings.HasSuffix(name, ".pli")
}

func isEnvelope(file io.ReadCloser) bool {
	defer file.Close()
	payload, _, err := envelope.FindArmor(file)
	if err == nil {
		_, err = envelope.Parse(payload, forwardedMost)
	}
	return err == nil
}

// decoded reads a part without its encoding. It must be closed.
func decoded(p envelope.Part, open func() (io.ReadCloser, error)) io.ReadCloser {
	r, w := io.Pipe()
	d := &pipe{r, make(chan struct{})}
	go func() {
		defer close(d.done)
		w.CloseWithError(message.WritePart(w, p, open))
	}()
	return d
}

// pipe waits at its end for who writes to it, since that reads the scratch file.
type pipe struct {
	*io.PipeReader
	done chan struct{}
}

func (p *pipe) Close() error {
	err := p.PipeReader.Close()
	<-p.done
	return err
}

// atMost refuses what is longer.
type atMost struct {
	r    io.Reader
	left int64
}

func (a *atMost) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	if a.left -= int64(n); a.left < 0 {
		return n, tooLong()
	}
	return n, err
}
