// Package webhook sends an event to an address that a customer named, as the
// specification Standard Webhooks 1.0 says, and reaches nothing by it that is
// inside the operator's own network.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"
)

const (
	sendTime    = 15 * time.Second // for one delivery, from the name's look-up to the end of the answer
	dialTime    = 5 * time.Second
	idleTime    = 10 * time.Second // for which a connection is kept for the next event
	answerBody  = 4 << 10          // bytes of an answer that are read, and thrown away
	answerHead  = 16 << 10
	secretBytes = 32
	prefix      = "whsec_"
)

// Secret is the key that deliveries of one hook are signed with. Its String
// does not tell it.
type Secret struct{ key []byte }

// NewSecret makes a key of 32 bytes.
func NewSecret() Secret {
	b := make([]byte, secretBytes)
	rand.Read(b) // never fails (crypto/rand)
	return Secret{b}
}

// ParseSecret reads what Reveal gave.
func ParseSecret(s string) (Secret, error) {
	raw, ok := strings.CutPrefix(s, prefix)
	b, err := base64.StdEncoding.DecodeString(raw)
	if !ok || err != nil || len(b) < 24 || len(b) > 64 {
		return Secret{}, errors.New("not the secret of a webhook")
	}
	return Secret{b}, nil
}

// Reveal is the secret as its receiver needs it, whsec_…
func (s Secret) Reveal() string { return prefix + base64.StdEncoding.EncodeToString(s.key) }

// String is the same for every secret.
func (s Secret) String() string { return prefix + "…" }

// Format keeps every verb of fmt from printing the key.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// Sign is the signature of a delivery, v1,… over its id, its time and its body.
func (s Secret) Sign(id string, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s.%d.", id, at.Unix())
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// How a delivery can fail. They are few, and the same for what does not exist,
// does not listen and may not be reached, so that a hook looks at no network
// for whoever makes it.
const (
	Unreachable = "unreachable" // there is no connection
	Certificate = "certificate" // it shows none for its name that is trusted
	NoAnswer    = "no_answer"   // in time, or it broke off
	Status      = "status"      // it answered, not with 2xx
)

// Message is one event for one receiver.
type Message struct {
	URL     string // that Rules.Check has let pass
	ID      string // the same at each try, so that a receiver knows what it has
	At      time.Time
	Body    []byte
	Secrets []Secret // two while one takes the other's place
}

// Result is what came of a try. Failure is "" where the receiver has taken it;
// Code is the HTTP status, 0 without an answer.
type Result struct {
	Failure string
	Code    int
}

// Gone reports whether the receiver wants no more events.
func (r Result) Gone() bool { return r.Code == http.StatusGone }

// Client sends. It is safe for concurrent use.
type Client struct {
	rules         Rules
	secure, plain http.Client
}

// NewClient returns a client that reaches what rules allow.
func NewClient(rules Rules) *Client {
	c := &Client{rules: rules}
	c.secure.Transport, c.plain.Transport = c.transport(false), c.transport(true)
	for _, h := range []*http.Client{&c.secure, &c.plain} {
		h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return c
}

// Rules are what the client was made with.
func (c *Client) Rules() Rules { return c.rules }

// transport asks for each connection whether it may be made, after its name was
// looked up: what the name says at another time does not count. No proxy of the
// environment takes part, which would look names up itself.
func (c *Client) transport(plain bool) *http.Transport {
	d := &net.Dialer{Timeout: dialTime, KeepAlive: -1, Control: c.rules.control(plain), Resolver: c.rules.resolver}
	return &http.Transport{
		DialContext: d.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.rules.Roots},
		TLSHandshakeTimeout: dialTime, MaxIdleConnsPerHost: 2, MaxIdleConns: 100, IdleConnTimeout: idleTime,
		MaxResponseHeaderBytes: answerHead, DisableCompression: true, ForceAttemptHTTP2: false,
	}
}

// Send posts m once.
func (c *Client) Send(ctx context.Context, m Message) Result {
	u, err := c.rules.Check(m.URL)
	if err != nil {
		return Result{Failure: Unreachable}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(m.Body))
	if err != nil {
		return Result{Failure: Unreachable}
	}
	var signatures []string
	for _, s := range m.Secrets {
		signatures = append(signatures, s.Sign(m.ID, m.At, m.Body))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Pli-Webhooks")
	req.Header.Set("webhook-id", m.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(m.At.Unix(), 10))
	req.Header.Set("webhook-signature", strings.Join(signatures, " "))
	client := &c.secure
	if u.Scheme == "http" {
		client = &c.plain
	}
	res, err := client.Do(req)
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil:
	case errors.As(err, &certificate):
		return Result{Failure: Certificate}
	case connected:
		return Result{Failure: NoAnswer}
	default:
		return Result{Failure: Unreachable}
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, answerBody) // so that the connection is used again; what it says is nobody's business
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return Result{Failure: Status, Code: res.StatusCode}
	}
	return Result{Code: res.StatusCode}
}

// waits are the times between the tries of one event, some three days in all.
var waits = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// Wait is how long to wait after so many tries that failed, with a tenth more or
// less, so that what failed together is not tried together. After the last one
// it reports false.
func Wait(tries int) (time.Duration, bool) {
	if tries < 1 || tries > len(waits) {
		return 0, false
	}
	w := waits[tries-1]
	return w - w/10 + mathrand.N(w/5), true
}
