package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
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
	forwardedPerMinute = 30              // messages from one network, on this node
	forwardedAtOnce    = 4               // messages, each of which may fill a scratch file
	forwardedOneNet    = 2               // of them, from one network
	forwardedTime      = 5 * time.Minute // for the content of one; the last of it may be late by smtpd's DataTimeout
	forwardedMost      = 50 << 20        // octets of a message
	forwardedDepth     = 3               // messages inside each other
	forwardedParts     = 20              // parts that are looked into, as each costs a reading

	mostRefused = 20 // times on one connection, after which a stranger is sent away
)

// opening is what the open address counts.
type opening struct {
	limits limits

	mu   sync.Mutex     // guards the rest
	all  int            // messages that are being taken
	from map[string]int // of them, from each network
}

// enter takes a place for one message of a network, if there is one.
func (o *opening) enter(network string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all >= forwardedAtOnce || o.from[network] >= forwardedOneNet {
		return false
	}
	if o.from == nil {
		o.from = make(map[string]int)
	}
	o.all++
	o.from[network]++
	return true
}

func (o *opening) leave(network string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all--
	if o.from[network]--; o.from[network] == 0 {
		delete(o.from, network)
	}
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
	network := store.Network(s.peer.Addr.String())
	if !s.g.opening.enter(network) {
		return reply(451, "4.3.2", "busy, try again later"), nil
	}
	defer s.g.opening.leave(network)
	trace := id.Ordered()
	log := s.g.c.Log.With("trace", trace, "peer", s.peer.Addr)
	in := newReceived(s.g.c.Spool)
	defer in.close()
	if err := in.receive(&atMost{body, forwardedMost, time.Now().Add(forwardedTime)}, make([]byte, 32<<10)); err != nil {
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
func (g *Gateway) forward(ctx context.Context, origin string, in *received) (ref string, told bool, err error) {
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

// mayCarry reports whether an envelope's file may be in the part. Mail programs
// and filters give it other types and names (.html.txt, .htm_, .bin), so what it
// is shows in its content. The bare binary has no half of the key and opens
// nothing here; nothing is unpacked.
func mayCarry(p envelope.Part) bool {
	name := strings.ToLower(p.Name)
	return strings.HasPrefix(p.Type, "text/") || p.Type == "application/octet-stream" || p.Type == "application/xhtml+xml" ||
		strings.Contains(name, ".htm")
}

// isEnvelope reports whether a file is an envelope with its half of the key.
func isEnvelope(file io.ReadCloser) bool {
	defer file.Close()
	payload, part, err := envelope.FindArmor(file)
	if err == nil {
		_, err = envelope.Parse(payload, forwardedMost)
	}
	return err == nil && part != nil
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

// atMost refuses what is longer, and takes longer.
type atMost struct {
	r     io.Reader
	left  int64
	until time.Time
}

func (a *atMost) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	if a.left -= int64(n); a.left < 0 {
		return n, tooLong()
	}
	if err == nil && time.Now().After(a.until) {
		return n, &smtpd.Reply{Code: 421, Enhanced: "4.4.2", Text: "the message took too long", Close: true}
	}
	return n, err
}
