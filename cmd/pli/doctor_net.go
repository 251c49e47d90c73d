package main

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/server"
)

// checkCertificate looks at what browsers will be shown.
func (d *doctor) checkCertificate(now time.Time) {
	host := d.conf.Origin().Hostname()
	if d.conf.TLS.Cert == "" {
		if strings.HasPrefix(d.conf.PublicURL, "http:") {
			d.ok("tls", "cli.doctor.tls.trial")
			return
		}
		for _, addr := range d.conf.Listen {
			if h, _, err := net.SplitHostPort(addr); err == nil && !config.IsLoopback(h) {
				d.warn("tls", "cli.doctor.tls.plain", "cli.doctor.tls.plain.do", "address", addr)
				return
			}
		}
		d.ok("tls", "cli.doctor.tls.proxy")
		return
	}
	d.checkPair("tls", d.conf.TLS.Cert, d.conf.TLS.Key, host, now)
}

// checkPair looks at a certificate and its key.
func (d *doctor) checkPair(id, cert, key, host string, now time.Time) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		d.fail(id, "cli.doctor.tls.bad", "cli.doctor."+id+".bad.do", "file", cert, "reason", reason(err))
		return
	}
	leaf := pair.Leaf
	args := []any{"file", cert, "host", host, "date", leaf.NotAfter.UTC().Format(time.RFC3339)}
	switch {
	case now.Before(leaf.NotBefore):
		d.fail(id, "cli.doctor.tls.early", "cli.doctor.tls.renew.do", append(args, "from", leaf.NotBefore.UTC().Format(time.RFC3339))...)
	case now.After(leaf.NotAfter):
		d.fail(id, "cli.doctor.tls.ended", "cli.doctor.tls.renew.do", args...)
	case leaf.VerifyHostname(host) != nil:
		d.fail(id, "cli.doctor.tls.host", "cli.doctor."+id+".host.do", args...)
	case leaf.NotAfter.Sub(now) < 14*24*time.Hour:
		d.warn(id, "cli.doctor.tls.ok", "cli.doctor.tls.renew.do", args...)
	default:
		d.ok(id, "cli.doctor.tls.ok", args...)
	}
}

// checkGateway looks at the gateway's certificate and next hop.
func (d *doctor) checkGateway(ctx context.Context, now time.Time) {
	g := d.conf.Gateway
	if len(g.Listen) == 0 {
		return
	}
	switch {
	case g.Cert != "":
		d.checkPair("gateway", g.Cert, g.Key, g.Hostname, now)
	case d.conf.TLS.Cert != "":
		d.checkPair("gateway", d.conf.TLS.Cert, d.conf.TLS.Key, g.Hostname, now)
	default:
		for _, addr := range g.Listen {
			if h, _, err := net.SplitHostPort(addr); err == nil && !config.IsLoopback(h) {
				d.warn("gateway", "cli.doctor.gateway.plain", "cli.doctor.gateway.plain.do", "address", addr)
			}
		}
	}
	if g.NextHop == "" || g.NextHop == "dns" { // the smart host, of which more is said above; or everybody's own
		return
	}
	relay, err := server.NewNextHop(d.conf, nil)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err = relay.Check(ctx)
	}
	if err != nil {
		d.fail("gateway", "cli.doctor.gateway.next", "cli.doctor.gateway.next.do", "host", g.NextHop, "reason", err.Error())
		return
	}
	d.ok("gateway", "cli.doctor.gateway.next.ok", "host", g.NextHop)
}

// mailPerMiB is how much mail comes of a MiB of files: the message has them in
// base64, and the envelope has the message in base64 again. With the largest
// setting, 25 MiB, that is 70 MB.
const mailPerMiB = 2_800_000

// checkSmarthost connects, protects the connection and signs in, and sends nothing.
func (d *doctor) checkSmarthost(ctx context.Context) {
	args := []any{"host", d.conf.Mail.Smarthost}
	var limit int64
	relay, err := server.NewRelay(d.conf, nil)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		limit, err = relay.Check(ctx)
	}
	if err != nil {
		d.fail("smarthost", "cli.doctor.smarthost", "cli.doctor.smarthost.do", append(args, "reason", err.Error())...)
		return
	}
	if need := d.conf.Limits.AttachmentsMiB * mailPerMiB; limit > 0 && limit < need {
		const mb = 1_000_000
		d.warn("smarthost", "cli.doctor.smarthost.small", "cli.doctor.smarthost.small.do", append(args, "size", limit/mb, "need", (need+mb-1)/mb)...)
		return
	}
	d.ok("smarthost", "cli.doctor.smarthost.ok", args...)
}
