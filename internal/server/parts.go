package server

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/breached"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/gateway"
	"github.com/pli-mail/pli/internal/intake"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/webhook"
)

// Parts are the services of one configuration without their doors: what the
// server serves, and what an operator's command uses beside a running server.
type Parts struct {
	DB       *store.DB
	Root     *masterkey.Root
	Audit    *audit.Notary
	Blobs    *blob.Store
	Outbox   *outbox.Outbox
	Postman  *sealing.Postman
	Accounts *account.Service
	Keys     *keyserver.Service
	Sealing  *sealing.Service
	Intakes  *intake.Service

	spool string // directory of encrypted scratch files
	// protects is the running server's relay.Relay.Protects; nil in a command,
	// which knows no way out.
	protects func(ctx context.Context, domain string) (how string, err error)
}

// Open opens the database, brings its schema up to date, opens the root key
// and builds the services. The caller must Close the result.
func Open(ctx context.Context, c Config) (_ *Parts, err error) {
	conf := c.Config
	p := &Parts{spool: filepath.Join(conf.DataDir, "spool")}
	if p.Root, err = openRoot(conf); err != nil {
		return nil, err
	}
	if p.Blobs, err = blob.New(filepath.Join(conf.DataDir, "blobs")); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.spool, 0o700); err != nil {
		return nil, fmt.Errorf("make spool directory: %w", err)
	}
	if conf.BreachedPasswords != "" {
		if err := breached.Check(conf.BreachedPasswords); err != nil {
			return nil, fmt.Errorf("read breached_passwords: %w", err)
		}
	}
	url, err := conf.DatabaseURL()
	if err != nil {
		return nil, err
	}
	if p.DB, err = store.Open(ctx, url); err != nil {
		return nil, err
	}
	if err := p.build(c); err != nil {
		return nil, errors.Join(err, p.DB.Close())
	}
	return p, nil
}

func openRoot(conf *config.Config) (*masterkey.Root, error) {
	return masterkey.Open(conf.MasterKeyFile)
}

func (p *Parts) build(c Config) error {
	conf := c.Config
	words, err := notice.New(c.Catalogue, conf.PublicURL)
	if err != nil {
		return err
	}
	name, from, err := conf.From()
	if err != nil {
		return err
	}
	p.Audit = audit.New(audit.Config{DB: p.DB, Root: p.Root, Log: c.Log, Mark: filepath.Join(conf.DataDir, "audit.mark")})
	p.Outbox = outbox.New(outbox.Config{DB: p.DB, Root: p.Root, Blobs: p.Blobs, Log: c.Log, Passed: gateway.Passed})
	p.Postman = &sealing.Postman{Outbox: p.Outbox, Words: words, From: message.Mailbox{Name: name, Addr: from}, Hostname: conf.Gateway.Hostname}
	hooks, err := webhooks(conf.Webhooks)
	if err != nil {
		return err
	}
	var events []string
	for _, e := range account.EventTypes(c.Catalogue.Printer("en", nil)) {
		events = append(events, e.Name)
	}
	p.Accounts = account.New(account.Config{Webhooks: hooks, Events: events, DB: p.DB, Root: p.Root, Origin: conf.PublicURL, SiteName: conf.Name, Post: p.Postman, Wake: p.Outbox.Wake, Log: c.Log,
		Hash: c.Hash, Hashers: int(conf.Limits.PasswordChecks), BreachedFile: conf.BreachedPasswords, Contact: contact(conf.Support), DNS: dnsOf(c), SPF: conf.Mail.SPF,
		Blobs: p.Blobs, Catalogue: c.Catalogue})
	p.Keys = keyserver.New(keyserver.Config{DB: p.DB, Root: p.Root, Blobs: p.Blobs, Origin: conf.PublicURL,
		Post: p.Postman.Keys(), Log: c.Log, MaxLarge: conf.Limits.LargeGiB << 30, KeepTransits: time.Duration(conf.Gateway.KeepDays) * 24 * time.Hour})
	p.Sealing = sealing.New(sealing.Config{DB: p.DB, Keys: p.Keys, Blobs: p.Blobs, Outbox: p.Outbox, Words: words, Post: p.Postman,
		Spool: p.spool, Origin: conf.PublicURL, Log: c.Log, MaxFiles: conf.Limits.AttachmentsMiB << 20, Protects: p.way})
	p.Intakes = intake.New(intake.Config{DB: p.DB, Root: p.Root, Sealing: p.Sealing, Post: p.Postman})
	return nil
}

// webhooks sends to what the configuration allows.
func webhooks(c config.Webhooks) (*webhook.Client, error) {
	rules := webhook.Rules{Ports: c.Ports, Private: c.Private}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read webhooks.ca_file: %w", err)
		}
		if rules.Roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !rules.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read webhooks.ca_file: %s holds no certificate", c.CAFile)
		}
	}
	return webhook.NewClient(rules), nil
}

// dnsOf asks DNS about domains. Without one, and most commands have no use for
// it, nothing is looked at; nor by the demonstration, which asks nobody outside.
func dnsOf(c Config) account.DNS {
	r, err := mx.New(mx.Config{Servers: c.Config.Gateway.DNS})
	if err != nil || c.Demo {
		return nil
	}
	return r
}

// Streams are where the events of the audit log go. None of them sends yet.
func (p *Parts) Streams(c Config) (out []*audit.Stream, err error) {
	conf := c.Config.Audit
	words := c.Catalogue.Printer("en", nil)
	for _, to := range []string{conf.Syslog, conf.HTTP} {
		if to == "" {
			continue
		}
		s := audit.StreamConfig{DB: p.DB, Log: c.Log, URL: to, Format: conf.Format, CAFile: conf.CAFile, Host: c.Config.Origin().Hostname(), Version: c.Version,
			Say: func(r store.AuditRow) string { return account.Sentence(words, r) }}
		if to == conf.HTTP && conf.TokenFile != "" {
			if s.Token, err = config.ReadSecret(conf.TokenFile); err != nil {
				return nil, fmt.Errorf("read the token of [audit] http: %w", err)
			}
		}
		stream, err := audit.NewStream(s)
		if err != nil {
			return nil, err
		}
		out = append(out, stream)
	}
	return out, nil
}

// way asks how the way to a domain's mail server is proved.
func (p *Parts) way(ctx context.Context, domain string) (how string, err error) {
	if p.protects == nil {
		return "", outbox.ErrUnprotected
	}
	return p.protects(ctx, domain)
}

// Close closes the database.
func (p *Parts) Close() error { return p.DB.Close() }

// contact is whom to turn to where an account has no administrator.
func contact(support string) account.Contact {
	if a, err := mailaddr.Parse(support); err == nil {
		return account.Contact{Address: a.String()}
	}
	return account.Contact{Name: support}
}

// NewRelay is the way out for the service's own mail. It signs with keys, nil for
// none, beside those of the configuration.
func NewRelay(conf *config.Config, keys func() []relay.DKIM) (*relay.Relay, error) {
	c := relay.Config{Addr: conf.Mail.Smarthost, TLS: conf.Mail.TLS, Username: conf.Mail.Username, CAFile: conf.Mail.CAFile,
		Hello: conf.Origin().Hostname(), Keys: keys}
	if conf.Mail.PasswordFile != "" {
		var err error
		if c.Password, err = config.ReadSecret(conf.Mail.PasswordFile); err != nil {
			return nil, fmt.Errorf("read the smart host's password: %w", err)
		}
	}
	var err error
	if c.DKIM, err = readDKIM(conf); err != nil {
		return nil, fmt.Errorf("read DKIM key: %w", err)
	}
	return relay.New(c)
}

// readDKIM reads the keys that mail is signed with.
func readDKIM(conf *config.Config) (out []relay.DKIM, err error) {
	if d := conf.Mail.DKIM; d.KeyFile != "" {
		key, err := readKey(d.KeyFile)
		if err != nil {
			return nil, err
		}
		out = append(out, relay.DKIM{Domain: d.Domain, Selector: d.Selector, Key: key})
	}
	if conf.Mail.DKIMDir == "" {
		return out, nil
	}
	files, err := filepath.Glob(filepath.Join(conf.Mail.DKIMDir, "*.pem"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		selector, domain, ok := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".pem"), "._domainkey.")
		if !ok || selector == "" || domain == "" {
			return nil, fmt.Errorf("%s is not named SELECTOR._domainkey.DOMAIN.pem", f)
		}
		key, err := readKey(f)
		if err != nil {
			return nil, err
		}
		out = append(out, relay.DKIM{Domain: domain, Selector: selector, Key: key})
	}
	return out, nil
}

// readKey reads a private key in PEM: PKCS #8, or RSA in its own form.
func readKey(path string) (crypto.Signer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no private key in PKCS #8: %w", path, err)
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that cannot sign", path)
	}
	return signer, nil
}

// NewLogger is the log that the configuration asks for.
func NewLogger(conf *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(conf.Log.Level)); err != nil {
		level = slog.LevelInfo // the configuration is checked: this does not happen
	}
	o := &slog.HandlerOptions{Level: level}
	if conf.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
