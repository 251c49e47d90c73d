package server

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/config"
)

// Certificate looks at what browsers will be shown.
func (d *Doctor) Certificate(now time.Time) {
	host := d.Conf.Origin().Hostname()
	if d.Conf.TLS.Cert == "" {
		if strings.HasPrefix(d.Conf.PublicURL, "http:") {
			d.OK("tls", "cli.doctor.tls.trial")
			return
		}
		for _, addr := range d.Conf.Listen {
			if h, _, err := net.SplitHostPort(addr); err == nil && !config.IsLoopback(h) {
				d.Warn("tls", "cli.doctor.tls.plain", "cli.doctor.tls.plain.do", "address", addr)
				return
			}
		}
		d.OK("tls", "cli.doctor.tls.proxy")
		return
	}
	d.checkPair("tls", d.Conf.TLS.Cert, d.Conf.TLS.Key, host, now)
}

// checkPair looks at a certificate and its key.
func (d *Doctor) checkPair(id, cert, key, host string, now time.Time) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		d.Fail(id, "cli.doctor.tls.bad", "cli.doctor."+id+".bad.do", "file", cert, "reason", Reason(err))
		return
	}
	leaf := pair.Leaf
	args := []any{"file", cert, "host", host, "date", leaf.NotAfter.UTC().Format(time.RFC3339)}
	switch {
	case now.Before(leaf.NotBefore):
		d.Fail(id, "cli.doctor.tls.early", "cli.doctor.tls.renew.do", append(args, "from", leaf.NotBefore.UTC().Format(time.RFC3339))...)
	case now.After(leaf.NotAfter):
		d.Fail(id, "cli.doctor.tls.ended", "cli.doctor.tls.renew.do", args...)
	case leaf.VerifyHostname(host) != nil:
		d.Fail(id, "cli.doctor.tls.host", "cli.doctor."+id+".host.do", args...)
	case leaf.NotAfter.Sub(now) < 14*24*time.Hour:
		d.Warn(id, "cli.doctor.tls.ok", "cli.doctor.tls.renew.do", args...)
	default:
		d.OK(id, "cli.doctor.tls.ok", args...)
	}
}

// Gateway looks at the gateway's certificate and next hop.
func (d *Doctor) Gateway(ctx context.Context, now time.Time) {
	g := d.Conf.Gateway
	if len(g.Listen) == 0 {
		return
	}
	switch {
	case g.Cert != "":
		d.checkPair("gateway", g.Cert, g.Key, g.Hostname, now)
	case d.Conf.TLS.Cert != "":
		d.checkPair("gateway", d.Conf.TLS.Cert, d.Conf.TLS.Key, g.Hostname, now)
	default:
		for _, addr := range g.Listen {
			if h, _, err := net.SplitHostPort(addr); err == nil && !config.IsLoopback(h) {
				d.Warn("gateway", "cli.doctor.gateway.plain", "cli.doctor.gateway.plain.do", "address", addr)
			}
		}
	}
	d.OK("limits", "cli.doctor.gateway.places", "n", g.Connections, "each", g.PerNetwork, "strangers", max(1, g.Connections/2))
	if g.NextHop == "" || g.NextHop == "dns" { // the smart host, of which more is said above; or everybody's own
		return
	}
	relay, err := NewNextHop(d.Conf, nil)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err = relay.Check(ctx)
	}
	if err != nil {
		d.Fail("nexthop", "cli.doctor.gateway.next", "cli.doctor.gateway.next.do", "host", g.NextHop, "reason", err.Error())
		return
	}
	d.OK("nexthop", "cli.doctor.gateway.next.ok", "host", g.NextHop)
}

// mailPerMiB is how much mail comes of a MiB of files: the message has them in
// base64, and the envelope has the message in base64 again. With the largest
// setting, 25 MiB, that is 70 MB.
const mailPerMiB = 2_800_000

// Smarthost connects, protects the connection and signs in, and sends nothing.
func (d *Doctor) Smarthost(ctx context.Context) {
	args := []any{"host", d.Conf.Mail.Smarthost}
	var limit int64
	relay, err := NewRelay(d.Conf, nil)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		limit, err = relay.Check(ctx)
	}
	if err != nil {
		d.Fail("smarthost", "cli.doctor.smarthost", "cli.doctor.smarthost.do", append(args, "reason", err.Error())...)
		return
	}
	if need := d.Conf.Limits.AttachmentsMiB * mailPerMiB; limit > 0 && limit < need {
		const mb = 1_000_000
		d.Warn("smarthost", "cli.doctor.smarthost.small", "cli.doctor.smarthost.small.do", append(args, "size", limit/mb, "need", (need+mb-1)/mb)...)
		return
	}
	d.OK("smarthost", "cli.doctor.smarthost.ok", args...)
}

// Places looks at how many of a door's connections are open.
func (d *Doctor) Places(p account.Door) {
	args := []any{"n", p.Open, "most", p.Most, "strangers", p.Strangers, "moststrangers", p.MostStrangers}
	if p.Open*10 >= p.Most*9 || p.Strangers >= p.MostStrangers {
		d.Warn("places", "cli.doctor.places", "cli.doctor.places.do", args...)
		return
	}
	d.OK("places", "cli.doctor.places", args...)
}
