package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/envelope"
)

// connection speaks to one server's JSON API (docs/reference/openapi.json).
type connection struct {
	origin string
	token  string // of a session; empty before there is one
	lang   string
	http   *http.Client
}

// connect is a client of the server at origin, with the session that is kept
// for it, if there is one. It sends nothing.
func (a *app) connect(_ context.Context, server string) (*connection, error) {
	origin, err := parseOrigin(server)
	if err != nil {
		return nil, err
	}
	kept, err := a.loadSessions()
	if err != nil {
		return nil, err
	}
	return &connection{origin: origin, token: kept.Servers[origin].Token, lang: a.p.Lang, http: &http.Client{
		Timeout: 2 * time.Minute,
		// Another host must never get the token or a proof.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// signedIn is a client with a session: of server, else of PLI_SERVER, else of
// the server that was signed in to last.
func (a *app) signedIn(ctx context.Context, server string) (*connection, error) {
	server, err := a.serverName(server)
	if err != nil {
		return nil, err
	}
	c, err := a.connect(ctx, server)
	if err != nil {
		return nil, err
	}
	if c.token == "" {
		return nil, notSignedIn(c.origin)
	}
	return c, nil
}

func (a *app) serverName(server string) (string, error) {
	if server == "" {
		server = a.getenv("PLI_SERVER")
	}
	if server == "" {
		kept, err := a.loadSessions()
		if err != nil {
			return "", err
		}
		server = kept.Last
	}
	if server == "" {
		return "", usage("cli.noserver")
	}
	return server, nil
}

func notSignedIn(origin string) error {
	f := failed("cli.notsignedin", "server", origin)
	f.code = exitNotAllowed
	f.hints = []string{"pli signin --server " + origin}
	return f
}

// parseOrigin reads the address of a server as an envelope would carry it.
func parseOrigin(server string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(server, "/"))
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return "", usage("cli.badserver", "value", server)
	}
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if (envelope.Header{ID: envelope.MessageID{1}, SealedAt: time.Unix(0, 0), Origin: origin}).Check() != nil {
		return "", usage("cli.badserver", "value", server)
	}
	return origin, nil
}

// exitOf is the status that says the same as the HTTP status of a refusal.
func exitOf(p *client.Problem) int {
	switch p.Key {
	case "code.wrong", "code.old", "code.none": // as a wrong password is: not let in
		return exitNotAllowed
	}
	switch p.Status {
	case http.StatusUnauthorized:
		return exitNotAllowed
	case http.StatusForbidden:
		if strings.HasPrefix(p.Key, "open.") {
			return exitClosed
		}
		return exitNotAllowed
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusGone:
		return exitClosed
	case http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusBadRequest:
		return exitUsage
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitLater
	}
	return exitFailed
}

// call sends in as JSON and reads the answer into out; either may be nil.
func (c *connection) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	header := http.Header{}
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
		header.Set("Content-Type", "application/json")
	}
	return c.read(ctx, method, path, header, body, -1, out)
}

// read sends a body of size bytes, -1 where that is known from its type, and
// reads the answer into out, unless it is nil.
func (c *connection) read(ctx context.Context, method, path string, header http.Header, body io.Reader, size int64, out any) error {
	r, err := c.send(ctx, method, path, header, body, size)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", c.origin, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		f := failed("cli.strange", "server", c.origin)
		f.cause = err
		return f
	}
	return nil
}

// send sends a request and returns its answer, whose body the caller must close,
// or a *client.Problem.
func (c *connection) send(ctx context.Context, method, path string, header http.Header, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	if size >= 0 {
		req.ContentLength = size
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Language", c.lang)
	req.Header.Set("User-Agent", "pli/"+version)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	r, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f := failed("cli.unreachable", "server", c.origin)
		f.code, f.cause = exitLater, err
		return nil, f
	}
	if r.StatusCode < 300 {
		return r, nil
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", c.origin, err)
	}
	p := &client.Problem{}
	if json.Unmarshal(raw, p) != nil || p.Error() == "" {
		p.Title = r.Status
	}
	p.Status = r.StatusCode
	return nil, p
}

// serverInfo is what a server says of itself to whoever is signed in.
type serverInfo struct {
	Online      bool  `json:"online"`      // envelopes of their account say that the server may open them
	Attachments int64 `json:"attachments"` // bytes of the files of a mail
	Large       int64 `json:"large"`       // bytes of a file beside it, 0 = none is taken
}

// policy is what the headers of their envelopes say.
func (i serverInfo) policy() uint32 {
	if i.Online {
		return envelope.PolicyServerMayOpen
	}
	return 0
}

// register gives the server its halves, and gets the seal and the references.
func (c *connection) register(ctx context.Context, s *sealed, f sealFlags) error {
	type slotIn struct {
		Slot    string `json:"slot"`
		Address string `json:"address"`
		RH      string `json:"rh"`
		Wrap    string `json:"wrap"`
		S       string `json:"s"`
		Pop     string `json:"pop"`
	}
	in := struct {
		MH          string   `json:"mh"`
		HH          string   `json:"hh"`
		PH          string   `json:"ph"`
		PayloadSize int64    `json:"payload_size"`
		Subject     string   `json:"subject"`
		Note        string   `json:"note"`
		ExpiresAt   string   `json:"expires_at,omitempty"`
		Level       string   `json:"level,omitempty"`
		Passphrase  bool     `json:"passphrase,omitempty"`
		Larges      []string `json:"larges,omitempty"`
		Slots       []slotIn `json:"slots"`
	}{MH: b64(s.mh), HH: b64(s.hh[:]), PH: b64(s.payload.Hash[:]), PayloadSize: s.payload.Size, Subject: s.subject, Note: f.note, Level: f.level, Passphrase: f.secret, Larges: s.larges}
	if f.expires != "" {
		d, err := parseDays(f.expires)
		if err != nil {
			return err
		}
		in.ExpiresAt = s.header.SealedAt.Add(d).Format(time.RFC3339)
	}
	for _, slot := range s.slots {
		in.Slots = append(in.Slots, slotIn{slot.ID.String(), slot.address.String(), b64(slot.RH), b64(slot.Wrap[:]), slot.S.Base64(), b64(slot.Pop[:])})
	}
	var out struct {
		Seal  string `json:"seal"`
		Slots []struct {
			Slot string `json:"slot"`
			Ref  string `json:"ref"`
		} `json:"slots"`
	}
	if err := c.call(ctx, "POST", "/api/v1/messages", in, &out); err != nil {
		return c.explain(err)
	}
	seal, err := base64.RawURLEncoding.DecodeString(out.Seal)
	if err != nil || len(seal) != len(s.seal) {
		return failed("cli.strange", "server", c.origin)
	}
	copy(s.seal[:], seal)
	for i := range s.slots {
		for _, o := range out.Slots {
			if o.Slot == s.slots[i].ID.String() {
				s.slots[i].ref = o.Ref
			}
		}
	}
	return nil
}

// explain turns a refusal of the server into a failure of the program.
func (c *connection) explain(err error) error {
	var p *client.Problem
	if !errors.As(err, &p) {
		return err
	}
	if p.Status == http.StatusUnauthorized {
		return notSignedIn(c.origin)
	}
	f := failed("cli.said", "sentence", p.Error())
	f.code, f.said = exitOf(p), p.Key
	for _, x := range p.Fields {
		if x.Detail != "" && x.Detail != p.Error() {
			f.hints = append(f.hints, x.Detail)
		}
	}
	return f
}

// released is what the server gives to someone who may open.
type released struct {
	s      envelope.Secret
	hh, ph [32]byte
	sender string
}

// codeReader asks somebody for the code that they were mailed.
type codeReader struct {
	ready func() error                             // whether anybody can be asked: before a code is mailed for nothing
	read  func(masked, ref string) (string, error) // asks
}

// open proves that the envelope is held, proves the address with a mailed code
// where the session has not, and gets the server's half.
func (c *connection) open(ctx context.Context, slot envelope.SlotID, pop [32]byte, code codeReader) (*released, error) {
	if c.token == "" {
		if err := c.visit(ctx); err != nil {
			return nil, c.explain(err)
		}
	}
	ref, err := c.prove(ctx, slot, pop)
	var p *client.Problem
	if errors.As(err, &p) && p.Status == http.StatusUnauthorized { // the session that was kept has ended
		if err = c.visit(ctx); err == nil {
			ref, err = c.prove(ctx, slot, pop)
		}
	}
	if err != nil {
		return nil, c.explain(err)
	}
	r, err := c.release(ctx, slot)
	if errors.As(err, &p) && p.Key == "release.address" { // signed in as somebody else
		if err = c.visit(ctx); err == nil {
			if ref, err = c.prove(ctx, slot, pop); err == nil {
				r, err = c.release(ctx, slot)
			}
		}
	}
	if !errors.As(err, &p) || p.Key != "release.code" {
		return r, c.explain(err)
	}
	if err := code.ready(); err != nil {
		return nil, err
	}
	var sent struct {
		Masked string `json:"masked"`
	}
	if err := c.call(ctx, "POST", "/api/v1/open/code", map[string]string{"ref": ref}, &sent); err != nil {
		return nil, c.explain(err)
	}
	typed, err := code.read(sent.Masked, ref)
	if err != nil {
		return nil, err
	}
	var verified struct {
		Token string `json:"token"`
	}
	if err := c.call(ctx, "POST", "/api/v1/open/verify", map[string]string{"ref": ref, "code": typed}, &verified); err != nil {
		return nil, c.explain(err)
	}
	if verified.Token != "" {
		c.token = verified.Token
	}
	r, err = c.release(ctx, slot)
	return r, c.explain(err)
}

func (c *connection) visit(ctx context.Context) error {
	c.token = ""
	var out struct {
		Token string `json:"token"`
	}
	err := c.call(ctx, "POST", "/api/v1/visit", struct{}{}, &out)
	c.token = out.Token
	return err
}

func (c *connection) prove(ctx context.Context, slot envelope.SlotID, pop [32]byte) (ref string, err error) {
	var challenge struct {
		Nonce string `json:"nonce"`
	}
	if err := c.call(ctx, "POST", "/api/v1/open/challenge", map[string]string{"slot": slot.String()}, &challenge); err != nil {
		return "", err
	}
	nonce, err := base64.RawURLEncoding.DecodeString(challenge.Nonce)
	if err != nil {
		return "", failed("cli.strange", "server", c.origin)
	}
	proof := envelope.Possession(pop, nonce)
	var out struct {
		Ref string `json:"ref"`
	}
	err = c.call(ctx, "POST", "/api/v1/open/possession", map[string]string{"slot": slot.String(), "proof": b64(proof[:])}, &out)
	return out.Ref, err
}

func (c *connection) release(ctx context.Context, slot envelope.SlotID) (*released, error) {
	var out struct {
		S      string `json:"s"`
		HH     string `json:"hh"`
		PH     string `json:"ph"`
		Sender struct {
			Name    string `json:"name"`
			Address string `json:"address"`
		} `json:"sender"`
	}
	if err := c.call(ctx, "POST", "/api/v1/open/release", map[string]string{"slot": slot.String()}, &out); err != nil {
		return nil, err
	}
	r := &released{sender: out.Sender.Address}
	if out.Sender.Name != "" {
		r.sender = out.Sender.Name + " <" + out.Sender.Address + ">"
	}
	var err error
	if r.s, err = envelope.ParseSecret(out.S); err != nil {
		return nil, failed("cli.strange", "server", c.origin)
	}
	if !readHash(&r.hh, out.HH) || !readHash(&r.ph, out.PH) {
		return nil, failed("cli.strange", "server", c.origin)
	}
	return r, nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// readHash reads 32 bytes of base64url or hex.
func readHash(dst *[32]byte, s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if len(s) == 64 {
		b, err = hex.DecodeString(s)
	}
	if err != nil || len(b) != len(dst) {
		return false
	}
	copy(dst[:], b)
	return true
}

// parseDays reads a time span: 30d, 12h.
func parseDays(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, usage("cli.badspan", "value", s)
}
