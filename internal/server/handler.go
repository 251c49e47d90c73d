package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/api"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/console"
	"github.com/pli-mail/pli/internal/desk"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/people"
	"github.com/pli-mail/pli/internal/portal"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/web"
)

// handler builds every page and the API.
func (s *Server) handler() (http.Handler, error) {
	conf := s.conf.Config
	kit, err := web.New(web.Config{
		Accounts: s.Accounts, Catalogue: s.conf.Catalogue, Root: s.Root, Origin: conf.PublicURL,
		SiteName: conf.Name, Level: conf.Accessibility, Version: s.conf.Version,
		Demo: s.conf.Demo, DemoKept: s.conf.DemoKept, MailboxURL: s.conf.MailboxURL,
		Proxies: conf.TrustedProxies, Ready: s.ready, Log: s.conf.Log,
	})
	if err != nil {
		return nil, err
	}
	_, from, err := conf.From()
	if err != nil {
		return nil, err
	}
	var signed []string
	if d := conf.Mail.DKIM.Domain; d != "" {
		signed = append(signed, d)
	}
	providers, err := newProviders(conf)
	if err != nil {
		return nil, err
	}
	if err := people.New(kit, s.Accounts, s.Keys, providers...); err != nil {
		return nil, err
	}
	if err := console.New(kit, s.Accounts, s.Keys, s.consoleHost(providers)); err != nil {
		return nil, err
	}
	if err := portal.Register(portal.Config{Kit: kit, Keys: s.Keys, Spool: s.spool, From: []string{from.String()}, Signed: signed, Open: conf.Mail.OpenAddress, SSO: providers, Contact: contact(conf.Support).Address}); err != nil {
		return nil, err
	}
	if err := desk.Register(desk.Config{Kit: kit, Accounts: s.Accounts, Keys: s.Keys, Sealing: s.Sealing, Now: s.DB.Now,
		Undo: time.Duration(conf.Limits.UndoSeconds) * time.Second}); err != nil {
		return nil, err
	}
	if err := desk.RegisterIntakes(kit, s.Intakes, s.DB.Now); err != nil {
		return nil, err
	}
	return kit, s.registerAPI(kit, s.conf)
}

// checks is what "pli doctor" finds, but what only its host can tell, such as who may read a file.
func (s *Server) checks(ctx context.Context, actor account.Actor, p i18n.Printer) (out []console.Check) {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	d := &Doctor{Conf: s.conf.Config}
	d.Database(ctx)
	d.Disk()
	d.Service(ctx, s.Parts, s.conf, actor, p.T)
	d.Certificate(s.DB.Now())
	d.Smarthost(ctx)
	d.Gateway(ctx, s.DB.Now())
	if s.door != nil {
		d.Places(s.door.places())
	}
	for _, f := range d.Found {
		class := map[string]string{CheckOK: "ok", CheckWarn: "warn", CheckFail: "bad"}[f.Status]
		out = append(out, console.Check{ID: f.ID, Class: class, Text: f.Text, Remedy: f.Remedy, Args: f.Args})
	}
	return out
}

// newProviders are the organisations' sign-ins. None of them is asked yet.
func newProviders(conf *config.Config) (out []*sso.Provider, err error) {
	for _, o := range conf.OIDC {
		c := sso.Config{Name: o.Name, Label: o.Label, Issuer: o.Issuer, ClientID: o.ClientID, Domains: o.Domains,
			Redirect: conf.PublicURL + "/signin/from/" + o.Name}
		if o.SecretFile != "" {
			if c.Secret, err = config.ReadSecret(o.SecretFile); err != nil {
				return nil, fmt.Errorf("read the client secret of [[oidc]] %s: %w", o.Name, err)
			}
		}
		out = append(out, sso.New(c))
	}
	return out, nil
}

// ready reports whether the service can do its work.
func (s *Server) ready(ctx context.Context) error { return s.DB.Ping(ctx) }

// secure reads the certificate, if there is one, and prepares the redirect.
func (s *Server) secure(errorLog *log.Logger) (err error) {
	conf := s.conf.Config.TLS
	if conf.Cert == "" {
		return nil
	}
	if s.cert, err = openCertificate(conf.Cert, conf.Key); err != nil {
		return err
	}
	s.http.TLSConfig = &tls.Config{GetCertificate: s.cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if conf.HTTPRedirect != "" {
		s.redirect = &http.Server{Handler: http.HandlerFunc(s.toHTTPS), ErrorLog: errorLog, MaxHeaderBytes: 16 << 10,
			ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	}
	return nil
}

// toHTTPS sends people who typed the address without https to where it is
// safe. The host is ours, whatever the request says.
func (s *Server) toHTTPS(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		// What was posted in the clear must not be posted again.
		http.Error(w, "use "+s.conf.Config.PublicURL, http.StatusForbidden)
		return
	}
	w.Header().Set("Connection", "close")
	http.Redirect(w, r, s.conf.Config.PublicURL+r.URL.RequestURI(), http.StatusMovedPermanently)
}

// API is the JSON API without a network, for commands on this host.
func (p *Parts) API(c Config) (http.Handler, error) {
	kit, err := web.New(web.Config{Accounts: p.Accounts, Catalogue: c.Catalogue, Root: p.Root, Origin: c.Config.PublicURL, SiteName: c.Config.Name, Version: c.Version, Log: c.Log})
	if err != nil {
		return nil, err
	}
	return kit, p.registerAPI(kit, c)
}

func (p *Parts) registerAPI(kit *web.Kit, c Config) error {
	return api.Register(api.Config{Kit: kit, Accounts: p.Accounts, Keys: p.Keys, Sealing: p.Sealing, MaxFiles: p.Sealing.MaxFiles(), Version: c.Version, Now: p.DB.Now})
}
