package web

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
)

const year = 365 * 24 * time.Hour

// cookieName is of the one cookie that is a session. Without TLS, which is for
// trials on the loopback interface, browsers refuse the __Host- prefix.
func (k *Kit) cookieName() string {
	if k.secure {
		return "__Host-pli"
	}
	return "pli"
}

func (k *Kit) setCookie(w http.ResponseWriter, name, value string, age time.Duration, same http.SameSite) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: k.secure, HttpOnly: true, SameSite: same}
	switch {
	case age < 0:
		c.MaxAge = -1
	case age > 0:
		c.MaxAge = int(age / time.Second)
	}
	// The last word counts: two cookies of one name in an answer confuse browsers.
	kept := w.Header()["Set-Cookie"][:0]
	for _, line := range w.Header()["Set-Cookie"] {
		if !strings.HasPrefix(line, name+"=") {
			kept = append(kept, line)
		}
	}
	w.Header()["Set-Cookie"] = append(kept, c.String())
}

// setSession hands the session's token to the browser, until the browser closes:
// when the session ends is the database's to say.
func (k *Kit) setSession(w http.ResponseWriter, s *account.Session) {
	k.setCookie(w, k.cookieName(), s.Token.Reveal(), 0, http.SameSiteStrictMode)
}

// deviceCookie is of the cookie by which a browser is remembered, if a person
// wished that.
func (k *Kit) deviceCookie() string {
	if k.secure {
		return "__Host-pli-device"
	}
	return "pli-device"
}

// device is the token of the browser, the zero one where it is not remembered.
func (r *Request) device() id.Token {
	c, err := r.Cookie(r.kit.deviceCookie())
	if err != nil {
		return id.Token{}
	}
	token, _ := id.ParseToken(c.Value) // the zero one where it is none
	return token
}

// SetDevice makes token what this browser is remembered by from now on. How long
// that counts is the database's to say.
func (r *Request) SetDevice(token id.Token) {
	r.kit.setCookie(r.W, r.kit.deviceCookie(), token.Reveal(), year, http.SameSiteStrictMode)
}

// ForgetDevice takes that token from the browser. Forgetting it in the database
// is the key server's.
func (r *Request) ForgetDevice() {
	r.kit.setCookie(r.W, r.kit.deviceCookie(), "", -1, http.SameSiteStrictMode)
}

// session returns the session of a request, nil if there is none. A bearer
// token that opens nothing is an error; a cookie that does not is a session that ended.
func (k *Kit) session(req *http.Request, bearer bool) (*account.Session, error) {
	if h := req.Header.Get("Authorization"); bearer && h != "" {
		raw, ok := strings.CutPrefix(h, "Bearer ")
		find, said := k.conf.Accounts.Session, "sess.h1"
		token, err := id.ParseToken(strings.TrimSpace(raw))
		if err != nil {
			find, said = k.conf.Accounts.TokenSession, "api.badtoken"
			token, err = id.ParseAPIToken(strings.TrimSpace(raw))
		}
		if !ok || err != nil {
			return nil, fault.New(fault.Unauthenticated, "api.badtoken")
		}
		s, err := find(req.Context(), token)
		if err != nil && gone(err) {
			return nil, fault.New(fault.Unauthenticated, said).Because(err)
		}
		return s, err
	}
	c, err := req.Cookie(k.cookieName())
	if err != nil {
		return nil, nil
	}
	token, err := id.ParseToken(c.Value)
	if err != nil {
		return nil, nil
	}
	s, err := k.conf.Accounts.Session(req.Context(), token)
	if err != nil && gone(err) {
		return nil, nil
	}
	return s, err
}

func gone(err error) bool {
	return fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone)
}

func known(lang string) bool { return i18n.Known(lang) }

// printer chooses the language: the address, the cookie, the profile, the
// browser, English. Times are in the zone of the profile. A program with a token
// says itself which language it wants.
func (k *Kit) printer(req *http.Request, s *account.Session) i18n.Printer {
	var zone *time.Location
	lang := req.URL.Query().Get("lang")
	if c, err := req.Cookie("lang"); !known(lang) && err == nil {
		lang = c.Value
	}
	if s != nil && s.User != nil {
		if program := req.Header.Get("Authorization") != "" && req.Header.Get("Accept-Language") != ""; !known(lang) && !program {
			lang = s.User.Language
		}
		if z, err := time.LoadLocation(s.User.TimeZone); err == nil && s.User.TimeZone != "" {
			zone = z
		}
	}
	if !known(lang) {
		lang = i18n.Match(req.Header.Get("Accept-Language"))
	}
	return k.conf.Catalogue.Printer(lang, zone)
}

// theme is the appearance to render: "light", "dark", or "" for the system's.
func theme(req *http.Request) string {
	if c, err := req.Cookie("theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}

// client is the visitor's network address. X-Forwarded-For is read only when a
// trusted proxy speaks, from the right, up to the first address that is not
// one: what stands left of it is whatever the visitor wrote (AT-86).
func (k *Kit) client(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		host = req.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap()
	if !k.trusted(addr) {
		return addr.String()
	}
	hops := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
		if !k.trusted(addr) {
			break
		}
	}
	return addr.String()
}

func (k *Kit) trusted(a netip.Addr) bool {
	for _, p := range k.conf.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Flash is a message that the next page shows once.
type Flash struct {
	Kind string         `json:"k"` // ok, info, warn, bad
	Key  string         `json:"t"`
	Args map[string]any `json:"a,omitempty"`
	At   int64          `json:"s"` // Unix seconds
	Undo *Undo          `json:"u,omitempty"`
}

// Undo is the button in a message that takes back what it says, or with a Key
// one of that text that goes on with it.
type Undo struct {
	Key    string      `json:"t,omitempty"`
	Action string      `json:"p"` // path that it posts to
	Fields [][2]string `json:"f,omitempty"`
}

const (
	flashAge = 60 * time.Second
	maxFlash = 2900 // bytes; browsers keep cookies of 4096, in which they are a third more
)

// Flash leaves a catalogue text for the page that a redirect leads to. It
// travels in a signed cookie and is shown once, within a minute. A value named
// "n" must be an int. Nothing secret: the browser can read it.
func (r *Request) Flash(kind, key string, pairs ...any) { r.FlashUndo(kind, nil, key, pairs...) }

// FlashUndo is Flash with a button that takes it back. What is too long for a
// cookie, which holds the fields of a full page of a list, is left without.
func (r *Request) FlashUndo(kind string, undo *Undo, key string, pairs ...any) {
	f := Flash{Kind: kind, Key: key, At: time.Now().Unix(), Args: map[string]any{}, Undo: undo}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Args[pairs[i].(string)] = pairs[i+1]
	}
	raw, err := json.Marshal(f)
	if err == nil && len(raw) > maxFlash {
		f.Undo = nil
		raw, err = json.Marshal(f)
	}
	if err != nil {
		return
	}
	enc := base64.RawURLEncoding.EncodeToString
	r.kit.setCookie(r.W, "flash", enc(raw)+"."+enc(r.kit.sign(raw)), flashAge, http.SameSiteLaxMode)
}

func (k *Kit) sign(raw []byte) []byte { return k.conf.Root.MAC("web flash", raw) }

// takeFlash moves the message from the cookie into the page.
func (b *Base) takeFlash(r *Request) {
	c, err := r.Cookie("flash")
	if err != nil {
		return
	}
	r.kit.setCookie(r.W, "flash", "", -1, http.SameSiteLaxMode)
	payload, mac, _ := strings.Cut(c.Value, ".")
	raw, err1 := base64.RawURLEncoding.DecodeString(payload)
	sum, err2 := base64.RawURLEncoding.DecodeString(mac)
	if err1 != nil || err2 != nil || !equal(sum, r.kit.sign(raw)) {
		return
	}
	var f Flash
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&f); err != nil || time.Since(time.Unix(f.At, 0)) > flashAge {
		return
	}
	for name, v := range f.Args {
		if n, ok := v.(json.Number); ok {
			if i, err := strconv.Atoi(n.String()); err == nil {
				f.Args[name] = i // plural forms are chosen by an int
			}
		}
	}
	b.Flash = &f
}
