// Package config reads Pli's configuration file, and tells everything that is
// wrong with it at once: which line, which key, and what to write instead. One
// table (keys.go) is the file's whole vocabulary; the example file and the
// reference manual are printed from it. Secrets are never in the file: a key
// names the file that holds one.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/webhook"
)

// Config is a checked configuration. Paths are absolute, or relative to the
// working directory if the path of the file was.
type Config struct {
	Path string // of the file it was read from

	Listen         []string // host:port
	PublicURL      string   // the origin: scheme, host and port
	Name           string   // of the site
	Support        string
	Accessibility  string // full, partial, none
	TrustedProxies []netip.Prefix

	TLS TLS

	Database             string // sqlite:PATH or postgres://…, without a password
	DatabasePasswordFile string
	DataDir              string
	MasterKeyFile        string
	BreachedPasswords    string // file; empty: the built-in list alone

	Mail     Mail
	Gateway  Gateway
	OIDC     []OIDC
	Audit    Audit
	Backup   Backup
	Metrics  Metrics
	Webhooks Webhooks
	Log      Log
	Limits   Limits

	oidc OIDC // one while it is read, or shown

	trustedProxies []string // as written
}

// TLS is the certificate that the server shows. Cert and Key are both set or both empty.
type TLS struct {
	Cert, Key    string
	HTTPRedirect string // address that answers plain HTTP with a redirect; empty: none
}

// Mail is how the service sends.
type Mail struct {
	Smarthost    string // host:port
	TLS          string // starttls, tls, none
	Username     string
	PasswordFile string
	CAFile       string // empty: the system's
	From         string // of the service's own mails: an address, or Name <address>
	DKIM         DKIM
	OpenAddress  string // that recipients may forward envelopes to; empty: none
	SPF          string // mechanism of SPF that lets the smart host send, for domains' owners; empty: not known
	DKIMDir      string // files of further keys, SELECTOR._domainkey.DOMAIN.pem; empty: none
}

// Gateway is the door for mail in flight. Without Listen there is none.
type Gateway struct {
	Listen      []string // host:port
	Hostname    string   // of the greeting and of Received; never empty in a checked configuration
	Cert, Key   string   // both empty: those of TLS
	NextHop     string   // host:port, "dns", or empty: Mail.Smarthost with all that belongs to it
	NextHopTLS  string   // starttls, tls, none
	NextHopCA   string
	Partners    []Partner
	DNS         []string // servers, host:port or host; empty: those of the system
	DNSTrusted  bool     // what they say of DNSSEC is believed though they are not on this machine
	DNSSECOff   bool     // it is not believed at all
	ProxyFrom   []netip.Prefix
	RewriteFrom bool

	MessageMiB, Connections, PerNetwork, PerMinute, KeepDays int64

	rewriteFrom, dnssec string // as written
	proxyFrom, partners []string
}

// OIDC is an organisation's OpenID provider.
type OIDC struct {
	Name       string // in addresses of pages
	Label      string // on the button; never empty in a checked configuration
	Issuer     string
	ClientID   string
	SecretFile string
	Domains    []string // A-labels in a checked configuration
}

// Partner is a domain whose mail goes to a next hop of its own, under TLS whose
// certificate must be for that host.
type Partner struct{ Domain, Addr string }

// DKIM signs outgoing mail. Its fields are all set or all empty.
type DKIM struct{ Domain, Selector, KeyFile string }

// Audit is where the events of the audit log are sent.
type Audit struct {
	Syslog    string // udp://, tcp:// or tcp+tls:// with host and port; empty: none
	HTTP      string // empty: none
	TokenFile string // of HTTP
	CAFile    string // of both; empty: the system's
	Format    string // json, cef
}

// Backup is where the server itself makes backups. Without To it makes none.
type Backup struct {
	To   string // directory
	At   string // hh:mm on its host's clock
	Keep int64  // how many
}

// Metrics are figures about the service for a monitoring system.
type Metrics struct {
	Listen string // host:port; empty: nowhere
}

// Webhooks is what the accounts' webhooks may reach beside https on port 443 of
// public addresses.
type Webhooks struct {
	Ports   []webhook.PortRange
	Private []netip.Prefix // of the operator's own network, also over http
	CAFile  string         // beside the system's certificates; empty: none

	ports, private []string // as written
}

// Log is what is logged, and how.
type Log struct{ Level, Format string }

// Limits bound what one person can ask of the service.
type Limits struct {
	AttachmentsMiB int64 // all files of one message composed on the web
	UndoSeconds    int64 // in which a sending from the web can be undone
	LargeGiB       int64 // one file that is sent beside a mail; 0: none is
	PasswordChecks int64 // at once, 64 MiB of memory each; 0: by the machine's size
}

// Load reads the file at path. What is wrong with its contents is a *Problems.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse reads the configuration in data. path is for relative paths and messages.
func Parse(path string, data []byte) (*Config, error) {
	c := &Config{Path: path}
	for i := range keys {
		keys[i].setDefault(c)
	}
	r := &reading{Config: c, set: map[string]bool{}, wrong: map[string]bool{}, ps: Problems{File: path}}
	if r.read(data) {
		r.check()
	}
	if err := r.ps.err(); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	for _, k := range keys {
		if s, ok := k.field(c).(*string); ok && k.path && *s != "" && !filepath.IsAbs(*s) {
			*s = filepath.Join(dir, *s)
		}
	}
	for i := range c.OIDC {
		if s := &c.OIDC[i].SecretFile; *s != "" && !filepath.IsAbs(*s) {
			*s = filepath.Join(dir, *s)
		}
	}
	if file, ok := strings.CutPrefix(c.Database, "sqlite:"); ok && !filepath.IsAbs(file) {
		c.Database = "sqlite:" + filepath.Join(dir, file)
	}
	return c, nil
}

// Origin is the public URL, parsed. It cannot fail on a checked configuration.
func (c *Config) Origin() *url.URL {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return &url.URL{}
	}
	return u
}

// DatabaseURL is Database with the password from its file, for store.Open.
func (c *Config) DatabaseURL() (string, error) {
	if c.DatabasePasswordFile == "" || strings.HasPrefix(c.Database, "sqlite:") {
		return c.Database, nil
	}
	u, err := url.Parse(c.Database)
	if err != nil {
		return "", errors.New("read database address: it is not a URL")
	}
	password, err := ReadSecret(c.DatabasePasswordFile)
	if err != nil {
		return "", fmt.Errorf("read database password: %w", err)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

// From is the sender of the service's own mails.
func (c *Config) From() (name string, address mailaddr.Address, err error) {
	return parseMailbox(c.Mail.From)
}

// parseMailbox reads an address or Name <address>.
func parseMailbox(s string) (string, mailaddr.Address, error) {
	name := ""
	if open := strings.LastIndexByte(s, '<'); open > 0 && strings.HasSuffix(s, ">") {
		name, s = strings.Trim(strings.TrimSpace(s[:open]), `"`), s[open+1:len(s)-1]
	}
	a, err := mailaddr.Parse(s)
	return name, a, err
}

// ReadSecret reads a file that holds one secret. A line end after it is not part of it.
func ReadSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return s, nil
}
