package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/gateway"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
	"github.com/pli-mail/pli/internal/smtpd"
)

// door is the gateway with its SMTP server and its way out.
type door struct {
	gateway   *gateway.Gateway
	smtpd     *smtpd.Server
	cert      *certificate // nil without TLS
	listeners []net.Listener
}

// newDoor builds the gateway of a configuration that has one.
func (s *Server) newDoor() (*door, error) {
	conf := s.conf.Config
	d := &door{}
	var open mailaddr.Address
	if conf.Mail.OpenAddress != "" {
		var err error
		if open, err = mailaddr.Parse(conf.Mail.OpenAddress); err != nil {
			return nil, fmt.Errorf("configure gateway: %w", err)
		}
	}
	d.gateway = gateway.New(gateway.Config{
		DB: s.DB, Accounts: s.Accounts, Keys: s.Keys, Sealing: s.Sealing, Outbox: s.Outbox, Post: s.Postman, Next: s.exits.next,
		Spool: s.spool, Hostname: conf.Gateway.Hostname, Log: s.conf.Log,
		RewriteFrom: conf.Gateway.RewriteFrom, MaxPerMin: int(conf.Gateway.PerMinute), Open: open,
	})
	c := smtpd.Config{
		Hostname: conf.Gateway.Hostname, MaxSize: conf.Gateway.MessageMiB << 20, MaxRecipients: keyserver.MaxRecipients, MaxConnections: int(conf.Gateway.Connections),
		MaxPerNetwork: int(conf.Gateway.PerNetwork), Known: d.gateway.Knows, ProxyFrom: conf.Gateway.ProxyFrom, Log: s.conf.Log,
	}
	switch {
	case conf.Gateway.Cert != "":
		var err error
		if d.cert, err = openCertificate(conf.Gateway.Cert, conf.Gateway.Key); err != nil {
			return nil, err
		}
	case s.cert != nil:
		d.cert = s.cert
	}
	if d.cert != nil {
		// Upstreams that are known by their key show a certificate of any authority.
		c.TLS = &tls.Config{GetCertificate: d.cert.get, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	}
	d.smtpd = smtpd.New(c, d.gateway)
	return d, nil
}

// exits are the ways out. What came through the gateway leaves by its next hop,
// also when it had to wait, on whatever node, and so does what must travel over
// a proved way; the service's own mail leaves by the smart host.
type exits struct{ own, next *relay.Relay }

// newExits makes both, which are one where the gateway names no way of its own.
func newExits(conf *config.Config, keys func() []relay.DKIM) (e exits, err error) {
	if e.own, err = NewRelay(conf, keys); err != nil {
		return e, err
	}
	e.next = e.own
	if g := conf.Gateway; g.NextHop != "" || len(g.Partners) > 0 || len(g.DNS) > 0 {
		e.next, err = NewNextHop(conf, keys)
	}
	return e, err
}

// Send is an outbox.Sender's.
func (e exits) Send(ctx context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	if p.Transit != "" || p.Protected {
		return e.next.Send(ctx, p)
	}
	return e.own.Send(ctx, p)
}

func (e exits) close() {
	e.own.Close()
	e.next.Close()
}

// NewNextHop is the way out for mail in flight.
func NewNextHop(conf *config.Config, keys func() []relay.DKIM) (*relay.Relay, error) {
	g := conf.Gateway
	c := relay.Config{Hello: g.Hostname, Timeout: 5 * time.Minute, Keys: keys}
	resolver, err := mx.New(mx.Config{Servers: g.DNS, Trusted: g.DNSTrusted, NoDNSSEC: g.DNSSECOff})
	if err != nil {
		return nil, fmt.Errorf("configure gateway: %w", err)
	}
	switch g.NextHop {
	case "dns":
		c.Resolver = resolver
	case "":
		c.Addr, c.TLS, c.Username, c.CAFile, c.ProtectedBy = conf.Mail.Smarthost, conf.Mail.TLS, conf.Mail.Username, conf.Mail.CAFile, resolver
		if conf.Mail.PasswordFile != "" {
			if c.Password, err = config.ReadSecret(conf.Mail.PasswordFile); err != nil {
				return nil, fmt.Errorf("read the smart host's password: %w", err)
			}
		}
	default:
		c.Addr, c.TLS, c.CAFile, c.ProtectedBy = g.NextHop, g.NextHopTLS, g.NextHopCA, resolver
	}
	for _, p := range g.Partners {
		if c.Partners == nil {
			c.Partners = make(map[string]relay.Partner)
		}
		c.Partners[p.Domain] = relay.Partner{Addr: p.Addr}
	}
	if c.DKIM, err = readDKIM(conf); err != nil {
		return nil, fmt.Errorf("read DKIM key: %w", err)
	}
	return relay.New(c)
}

// bind opens the gateway's addresses.
func (d *door) bind(ctx context.Context, addrs []string) error {
	var lc net.ListenConfig
	for _, a := range addrs {
		l, err := lc.Listen(ctx, "tcp", a)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		d.listeners = append(d.listeners, l)
	}
	return nil
}
