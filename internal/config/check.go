package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/webhook"
)

// check finds what is wrong with values that have the right type, and with
// keys that do not go together. It looks at no file and no network: that is
// what pli doctor does.
func (r *reading) check() {
	for i := range keys {
		k := &keys[i]
		s, isString := k.field(r.Config).(*string)
		switch {
		case r.wrong[k.name], k.inList():
		case k.required && (!isString || *s == ""):
			r.add(k.name, "config.missing", "example", k.example)
		case isString && len(k.choices) > 0 && !slices.Contains(k.choices, *s):
			r.add(k.name, "config.choice", "value", *s, "choices", strings.Join(k.choices, ", "))
		}
	}
	r.checkWeb()
	r.checkDatabase()
	r.checkMail()
	r.checkGateway()
	r.checkProviders()
	r.checkAudit()
	if _, err := time.Parse("15:04", r.Backup.At); err != nil && r.ok("backup.at") {
		r.add("backup.at", "config.clock", "value", r.Backup.At)
	}
	if r.Metrics.Listen != "" && r.ok("metrics.listen") && !isHostPort(r.Metrics.Listen, true) {
		r.add("metrics.listen", "config.hostport", "value", r.Metrics.Listen)
	}
	r.checkWebhooks()
	r.checkLimits()
}

func (r *reading) checkWeb() {
	if r.ok("public_url") {
		r.checkPublicURL()
	}
	if r.ok("name") && strings.TrimSpace(r.Name) == "" {
		r.add("name", "config.missing", "example", `"Pli"`)
	}
	if r.ok("listen") && len(r.Listen) == 0 {
		r.add("listen", "config.missing", "example", `"localhost:8443"`)
	}
	for _, a := range r.Listen {
		if r.ok("listen") && !isHostPort(a, true) {
			r.add("listen", "config.hostport", "value", a)
		}
	}
	if r.ok("tls.http_redirect") && r.TLS.HTTPRedirect != "" {
		switch {
		case !isHostPort(r.TLS.HTTPRedirect, true):
			r.add("tls.http_redirect", "config.hostport", "value", r.TLS.HTTPRedirect)
		case r.ok("public_url") && !strings.HasPrefix(r.PublicURL, "https:"):
			r.add("tls.http_redirect", "config.redirectneedshttps")
		}
	}
	r.together("tls.cert", "tls.key")
	if r.TLS.Cert != "" && r.ok("public_url") && strings.HasPrefix(r.PublicURL, "http:") {
		r.add("tls.cert", "config.tlshttp")
	}
	r.TrustedProxies = r.networks("trusted_proxies", r.trustedProxies)
}

// networks reads the addresses and networks of a key.
func (r *reading) networks(key string, list []string) (out []netip.Prefix) {
	for _, p := range list {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(p); err == nil {
				prefix = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			r.add(key, "config.network", "value", p)
			continue
		}
		out = append(out, prefix.Masked())
	}
	return out
}

func (r *reading) checkPublicURL() {
	u, err := url.Parse(r.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		r.add("public_url", "config.url", "value", r.PublicURL)
	case u.Scheme != "https" && u.Scheme != "http":
		r.add("public_url", "config.url", "value", r.PublicURL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		r.add("public_url", "config.urlmore", "value", u.Scheme+"://"+u.Host)
	case u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1":
		r.add("public_url", "config.urlhttp", "value", "https://"+u.Host)
	default:
		r.PublicURL = origin(u)
		// Every envelope carries it, so it must be what the format takes.
		if (envelope.Header{ID: envelope.MessageID{1}, SealedAt: time.Unix(0, 0), Origin: r.PublicURL}).Check() != nil {
			r.add("public_url", "config.url", "value", r.PublicURL)
		}
	}
}

// origin is u as browsers write it: lower case, and no port where it is the usual one.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	usual := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(strings.TrimSuffix(host, ":"), usual)
}

func (r *reading) checkDatabase() {
	if !r.ok("database") {
		return
	}
	isPostgres := strings.HasPrefix(r.Database, "postgres://") || strings.HasPrefix(r.Database, "postgresql://")
	switch {
	case isPostgres:
		u, err := url.Parse(r.Database)
		if err != nil {
			r.add("database", "config.database")
			return
		}
		if _, has := u.User.Password(); has || u.Query().Has("password") {
			r.add("database", "config.databasepassword")
		}
		if r.DatabasePasswordFile != "" && u.User.Username() == "" {
			r.add("database", "config.databaseuser")
		}
	case strings.HasPrefix(r.Database, "sqlite:") && strings.TrimPrefix(r.Database, "sqlite:") != "":
		if r.DatabasePasswordFile != "" {
			r.add("database_password_file", "config.onlypostgres")
		}
	default:
		r.add("database", "config.database")
	}
}

func (r *reading) checkMail() {
	m := &r.Mail
	if r.ok("mail.smarthost") {
		if !isHostPort(m.Smarthost, false) {
			r.add("mail.smarthost", "config.hostport", "value", m.Smarthost)
		} else if host, _, _ := net.SplitHostPort(m.Smarthost); m.TLS == "none" && !IsLoopback(host) {
			r.add("mail.tls", "config.mailplain", "host", host)
		}
	}
	r.together("mail.username", "mail.password_file")
	if r.ok("mail.from") {
		if _, _, err := parseMailbox(m.From); err != nil {
			r.add("mail.from", "config.address", "value", m.From)
		}
	}
	if r.ok("mail.open_address") && m.OpenAddress != "" {
		if _, err := mailaddr.Parse(m.OpenAddress); err != nil {
			r.add("mail.open_address", "config.address", "value", m.OpenAddress)
		} else if len(r.Gateway.Listen) == 0 && r.ok("gateway.listen") {
			r.add("gateway.listen", "config.together", "other", "mail.open_address", "example", findKey("gateway.listen").example)
		}
	}
	if s := m.SPF; s != "" && r.ok("mail.spf") && !isMechanism(s) {
		r.add("mail.spf", "config.spf", "value", s)
	}
	r.together("mail.dkim.domain", "mail.dkim.selector", "mail.dkim.key_file")
	if m.DKIM.Domain != "" && r.ok("mail.dkim.domain") {
		if _, err := mailaddr.ParseDomain(m.DKIM.Domain); err != nil {
			r.add("mail.dkim.domain", "config.domain", "value", m.DKIM.Domain)
		}
	}
}

// isMechanism reports whether s is one mechanism of SPF that names servers.
func isMechanism(s string) bool {
	name, value, ok := strings.Cut(s, ":")
	return ok && value != "" && !strings.ContainsAny(s, " \t\"") && slices.Contains([]string{"include", "a", "mx", "ip4", "ip6"}, name)
}

func (r *reading) checkProviders() {
	names, issuers := map[string]bool{}, map[string]bool{}
	for i := range r.OIDC {
		p := &r.OIDC[i]
		r.at = providerAt(i)
		if !isProviderName(p.Name) || names[p.Name] {
			r.add("oidc.name", "config.oidcname", "value", p.Name)
		}
		if !isIssuer(p.Issuer) || issuers[p.Issuer] {
			r.add("oidc.issuer", "config.oidcissuer", "value", p.Issuer)
		}
		names[p.Name], issuers[p.Issuer] = true, true
		if p.Label == "" {
			p.Label = p.Name
		}
		if p.ClientID == "" {
			r.add("oidc.client_id", "config.missing", "example", findKey("oidc.client_id").example)
		}
		if len(p.Domains) == 0 {
			r.add("oidc.domains", "config.missing", "example", findKey("oidc.domains").example)
		}
		for j, d := range p.Domains {
			a, err := mailaddr.ParseDomain(d)
			if err != nil {
				r.add("oidc.domains", "config.domain", "value", d)
			}
			p.Domains[j] = a
		}
	}
}

func isProviderName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isIssuer reports whether s is an issuer (OpenID Connect Discovery 1.0, section
// 3). Without TLS it could be anybody, but on this machine.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil &&
		(u.Scheme == "https" || u.Scheme == "http" && IsLoopback(u.Hostname()))
}

func (r *reading) checkGateway() {
	g := &r.Gateway
	for _, a := range g.Listen {
		if r.ok("gateway.listen") && !isHostPort(a, true) {
			r.add("gateway.listen", "config.hostport", "value", a)
		}
	}
	r.together("gateway.cert", "gateway.key")
	if g.Hostname == "" {
		g.Hostname = r.Origin().Hostname()
	} else if _, err := mailaddr.ParseDomain(g.Hostname); err != nil && r.ok("gateway.hostname") {
		r.add("gateway.hostname", "config.domain", "value", g.Hostname)
	}
	if r.ok("gateway.next_hop") && g.NextHop != "" && g.NextHop != "dns" {
		if !isHostPort(g.NextHop, false) {
			r.add("gateway.next_hop", "config.nexthop", "value", g.NextHop)
		} else if host, _, _ := net.SplitHostPort(g.NextHop); g.NextHopTLS == "none" && !IsLoopback(host) {
			r.add("gateway.next_hop_tls", "config.mailplain", "host", host)
		}
	}
	for _, p := range g.partners {
		domain, addr, _ := strings.Cut(p, "=")
		d, err := mailaddr.ParseDomain(domain)
		if err != nil || !isHostPort(addr, false) {
			r.add("gateway.partners", "config.partner", "value", p)
			continue
		}
		g.Partners = append(g.Partners, Partner{d, addr})
	}
	g.ProxyFrom = r.networks("gateway.proxy_protocol", g.proxyFrom)
	g.RewriteFrom, g.DNSTrusted, g.DNSSECOff = g.rewriteFrom == "unsigned", g.dnssec == "trusted", g.dnssec == "off"
}

func (r *reading) checkAudit() {
	a := &r.Audit
	if u, err := url.Parse(a.Syslog); a.Syslog != "" && r.ok("audit.syslog") &&
		(err != nil || !slices.Contains([]string{"udp", "tcp", "tcp+tls"}, u.Scheme) || !isHostPort(u.Host, false) || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "") {
		r.add("audit.syslog", "config.auditsyslog", "value", a.Syslog)
	}
	if u, err := url.Parse(a.HTTP); a.HTTP != "" && r.ok("audit.http") &&
		(err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && IsLoopback(u.Hostname()))) {
		r.add("audit.http", "config.audithttp")
	}
	if a.TokenFile != "" && a.HTTP == "" && r.ok("audit.http") {
		r.add("audit.http", "config.together", "other", "audit.token_file", "example", findKey("audit.http").example)
	}
}

func (r *reading) checkWebhooks() {
	w := &r.Webhooks
	w.Private = r.networks("webhooks.private_networks", w.private)
	for _, s := range w.ports {
		p, err := webhook.ParsePorts(s)
		if err != nil {
			r.add("webhooks.ports", "config.ports", "value", s)
			continue
		}
		w.Ports = append(w.Ports, p)
	}
}

func (r *reading) checkLimits() {
	for _, l := range []struct {
		key      string
		n        int64
		min, max int64
	}{
		{"limits.attachments_mib", r.Limits.AttachmentsMiB, 1, 25},
		{"limits.undo_seconds", r.Limits.UndoSeconds, 0, 300},
		{"limits.large_gib", r.Limits.LargeGiB, 0, 1024},
		{"limits.password_checks", r.Limits.PasswordChecks, 0, 1024},
		{"backup.keep", r.Backup.Keep, 1, 3660},
		{"gateway.message_mib", r.Gateway.MessageMiB, 1, 1024},
		{"gateway.connections", r.Gateway.Connections, 1, 10000},
		{"gateway.connections_per_network", r.Gateway.PerNetwork, 1, 10000},
		{"gateway.messages_per_minute", r.Gateway.PerMinute, 0, 1_000_000},
		{"gateway.keep_days", r.Gateway.KeepDays, 1, 3660},
	} {
		if r.ok(l.key) && (l.n < l.min || l.n > l.max) {
			r.add(l.key, "config.range", "min", l.min, "max", l.max)
		}
	}
}

// ok reports whether nothing is wrong with key so far.
func (r *reading) ok(key string) bool { return !r.wrong[key] }

// together adds a problem for each of names that is missing while another is there.
func (r *reading) together(names ...string) {
	var have, miss []string
	for _, n := range names {
		if s := findKey(n).field(r.Config).(*string); *s != "" || r.wrong[n] {
			have = append(have, n)
		} else {
			miss = append(miss, n)
		}
	}
	if len(have) == 0 {
		return
	}
	for _, n := range miss {
		r.add(n, "config.together", "other", have[0], "example", fmt.Sprint(findKey(n).example))
	}
}

// isHostPort reports whether s is host:port. Only a listener may leave the host out.
func isHostPort(s string, listener bool) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || (host == "" && !listener) {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535 && (n > 0 || listener)
}

// IsLoopback reports whether host is this machine itself.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
