package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

const (
	streamBatch = 200 // records that are sent at once
	streamEvery = time.Second
	streamTime  = 30 * time.Second // for one batch
	streamClaim = time.Minute      // after which another node takes over
	streamWait  = 5 * time.Minute  // the longest wait after a failure
	// How long a receiver may take to close after us: then it has read all.
	closeTime = 5 * time.Second
)

// StreamConfig is a receiver of the events.
type StreamConfig struct {
	DB      *store.DB
	Log     *slog.Logger
	URL     string // udp://, tcp://, tcp+tls:// for syslog; https://, or http:// on this machine
	Format  string // json, cef
	CAFile  string // to check the receiver's certificate; empty: the system's
	Token   string // bearer token of HTTP; empty: none
	Host    string // this service's name in syslog
	Version string
	Say     Say

	Every time.Duration // between two looks; one second
}

// Stream sends the events of all accounts to one receiver, in the order of the
// notary, from where it was left, each at least once. Acts do not wait for it.
type Stream struct {
	c    StreamConfig
	to   *url.URL
	send func(ctx context.Context, rows []store.AuditRow) error
}

// NewStream checks c. It sends nothing until Run.
func NewStream(c StreamConfig) (*Stream, error) {
	if c.Every <= 0 {
		c.Every = streamEvery
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("send audit events: the receiver's address is no URL")
	}
	s := &Stream{c: c, to: u}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("send audit events: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("send audit events: %s holds no certificate", c.CAFile)
		}
	}
	switch u.Scheme {
	case "http", "https":
		client := &http.Client{
			Transport:     &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for this receiver
		}
		s.send = func(ctx context.Context, rows []store.AuditRow) error { return s.post(ctx, client, rows) }
	case "udp", "tcp":
		s.send = func(ctx context.Context, rows []store.AuditRow) error { return s.syslog(ctx, nil, rows) }
	case "tcp+tls":
		s.send = func(ctx context.Context, rows []store.AuditRow) error { return s.syslog(ctx, conf, rows) }
	default:
		return nil, fmt.Errorf("send audit events: %s is not a scheme of a receiver", u.Scheme)
	}
	return s, nil
}

// Name is what the receiver's cursor is kept under: another address begins anew.
func (s *Stream) Name() string { return s.to.Redacted() }

// Run sends until ctx ends. After a failure it waits, longer each time.
func (s *Stream) Run(ctx context.Context) {
	wait := s.c.Every
	for {
		sent, err := s.Once(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if wait = min(2*wait, streamWait); wait > 4*s.c.Every {
				s.c.Log.Warn("audit events are not taken", "receiver", s.Name(), "error", err, "wait", wait)
			}
		case sent == streamBatch:
			wait = 0
		default:
			wait = s.c.Every
		}
		select {
		case <-time.After(wait):
			wait = max(wait, s.c.Every)
		case <-ctx.Done():
			return
		}
	}
}

// Once sends the next batch, unless another node is sending or there is none, and
// returns how many records that were.
func (s *Stream) Once(ctx context.Context) (int, error) {
	var cursor store.AuditStream
	var rows []store.AuditRow
	next := func(tx *store.Tx) (err error) {
		cursor, err = tx.FindAuditStream(s.Name())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		rows, err = tx.ListAuditPos(cursor.Pos, streamBatch)
		return err
	}
	if err := s.c.DB.View(ctx, next); err != nil || len(rows) == 0 {
		return 0, err
	}
	ours := false
	if err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if ours, err = tx.ClaimAuditStream(s.Name(), 0, streamClaim); err != nil || !ours {
			return err
		}
		return next(tx) // another node may have sent meanwhile
	}); err != nil || !ours {
		return 0, err
	}
	var failure error
	if len(rows) > 0 {
		sending, cancel := context.WithTimeout(ctx, streamTime)
		failure = s.send(sending, rows)
		cancel()
	}
	sent := 0
	if failure == nil && len(rows) > 0 {
		cursor.Pos, sent = rows[len(rows)-1].Pos, len(rows)
		cursor.FailingSince, cursor.LastError = time.Time{}, ""
	}
	err := s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if failure != nil {
			if cursor.LastError = failure.Error(); cursor.FailingSince.IsZero() {
				cursor.FailingSince = tx.Now
			}
		}
		return tx.KeepAuditStream(cursor)
	})
	return sent, errors.Join(failure, err)
}

// State is how far the receiver is, and how many events wait for it.
func (s *Stream) State(ctx context.Context) (state store.AuditStream, waiting int64, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		pos, err := tx.NotaryPos()
		if err != nil {
			return err
		}
		state, err = tx.FindAuditStream(s.Name())
		waiting = pos - state.Pos
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return state, waiting, err
}

func (s *Stream) line(r store.AuditRow) []byte {
	if s.c.Format == "cef" {
		return CEF(r, s.c.Say, s.c.Version)
	}
	return JSON(r, s.c.Say)
}

// post sends rows as lines in one request, which is taken with a status of 200 to 299.
func (s *Stream) post(ctx context.Context, client *http.Client, rows []store.AuditRow) error {
	var b bytes.Buffer
	for _, r := range rows {
		b.Write(s.line(r))
		b.WriteByte('\n')
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.c.URL, &b)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if s.c.Format == "cef" {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	req.Header.Set("User-Agent", "Pli")
	if s.c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.c.Token)
	}
	res, err := client.Do(req)
	if whole := (*url.Error)(nil); errors.As(err, &whole) {
		return whole.Err // without the address, which may have a key in its query
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection is used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %s", res.Status)
	}
	return nil
}

// message is a syslog message of RFC 5424: facility 13 (log audit), severity 6
// for what was done and 4 for what was refused, the action as MSGID.
func (s *Stream) message(r store.AuditRow) []byte {
	priority := 13*8 + 6
	if r.Outcome == store.Refused {
		priority = 13*8 + 4
	}
	return fmt.Appendf(nil, "<%d>1 %s %s pli - %s - %s", priority, r.At.UTC().Format(timeForm), printUSASCII(s.c.Host, 255), printUSASCII(r.Action, 32), s.line(r))
}

// maxDatagram is what one datagram carries, over IPv6 and with room to spare.
const maxDatagram = 60 << 10

// datagram is message where it fits. Of a longer one the particulars stay here,
// and the hash says which they are: an event that could not be sent would keep
// all after it from being sent (RFC 5426, section 3.2).
func (s *Stream) datagram(r store.AuditRow) []byte {
	m := s.message(r)
	if len(m) <= maxDatagram {
		return m
	}
	if len(r.Target) > 500 {
		r.Target = strings.ToValidUTF8(r.Target[:500], "") + "…"
	}
	r.Detail = map[string]string{"left_out": "too long for a datagram"}
	return s.message(r)
}

// printUSASCII is s as a field of the header may have it.
func printUSASCII(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// syslog sends rows over a connection of their own: octet counting (RFC 6587)
// over TCP and TLS (RFC 5425), one datagram each over UDP (RFC 5426). A stream
// is closed from this side first; the receiver closing it too, without a reset,
// is the only sign that syslog has of all having been read.
func (s *Stream) syslog(ctx context.Context, conf *tls.Config, rows []store.AuditRow) error {
	network := "tcp"
	if s.to.Scheme == "udp" {
		network = "udp"
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, s.to.Host)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	if conf != nil {
		t := tls.Client(c, conf)
		if err := t.HandshakeContext(ctx); err != nil {
			return err
		}
		c = t
	}
	if network == "udp" {
		for _, r := range rows {
			if _, err := c.Write(s.datagram(r)); err != nil {
				return err
			}
		}
		return nil
	}
	var b bytes.Buffer
	for _, r := range rows {
		m := s.message(r)
		b.WriteString(strconv.Itoa(len(m)))
		b.WriteByte(' ')
		b.Write(m)
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		return err
	}
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the connection cannot be closed in one direction")
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(closeTime))
	_, err = io.Copy(io.Discard, c)
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() && ctx.Err() == nil {
		return nil // it does not close; it has not refused either
	}
	return err
}
