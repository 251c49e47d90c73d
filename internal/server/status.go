package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/console"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/store"
)

// Status is the state of the service as actor, an operator, may know it.
func (p *Parts) Status(ctx context.Context, c Config, actor account.Actor) (account.System, error) {
	out, err := p.Accounts.System(ctx, actor)
	if err != nil {
		return out, err
	}
	out.Version = c.Version
	if free, err := diskFree(c.Config.DataDir); err == nil {
		out.DiskFree = free
	}
	out.Certs = certificates(c.Config)
	keys, err := readDKIM(c.Config)
	if err != nil {
		return out, err
	}
	for _, k := range keys {
		out.Keys = append(out.Keys, account.MailKey{Domain: k.Domain, Selector: k.Selector})
	}
	slices.SortFunc(out.Keys, func(a, b account.MailKey) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Selector, b.Selector))
	})
	streams, err := p.Streams(c)
	if err != nil {
		return out, err
	}
	for _, s := range streams {
		state, waiting, err := s.State(ctx)
		if err != nil {
			return out, err
		}
		out.Streams = append(out.Streams, account.EventStream{Name: s.Name(), Waiting: waiting, FailingSince: state.FailingSince, LastError: state.LastError})
	}
	return out, nil
}

// certificates are those that the doors show, as their files are now.
func certificates(conf *config.Config) (out []account.Certificate) {
	for _, c := range [][3]string{{"tls", conf.TLS.Cert, conf.TLS.Key}, {"gateway", conf.Gateway.Cert, conf.Gateway.Key}} {
		if c[1] == "" {
			continue
		}
		found := account.Certificate{Door: c[0], File: c[1]}
		if pair, err := tls.LoadX509KeyPair(c[1], c[2]); err != nil {
			found.Wrong = Reason(err)
		} else {
			found.Until = pair.Leaf.NotAfter
		}
		out = append(out, found)
	}
	return out
}

// state is Status with how full this node's doors are.
func (s *Server) state(ctx context.Context, actor account.Actor) (account.System, error) {
	out, err := s.Status(ctx, s.conf, actor)
	if err == nil && s.door != nil {
		out.Places = append(out.Places, s.door.places())
	}
	return out, err
}

func (d *door) places() account.Door {
	open, strangers := d.smtpd.Open()
	return account.Door{Name: "gateway", Open: open, Strangers: strangers, Most: d.smtpd.Most(), MostStrangers: d.smtpd.MostStrangers()}
}

// metrics answers with figures in the text format of Prometheus: counts, ages and
// versions, of nobody in particular.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 8*time.Second)
	defer cancel()
	state, err := s.state(ctx, account.Operator("metrics"))
	if err != nil {
		s.conf.Log.Error("metrics", "error", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	now := s.DB.Now()
	age := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return max(0, now.Sub(t).Seconds())
	}
	var b strings.Builder
	put := func(name, help string, value float64, labels ...string) {
		if !strings.Contains(b.String(), "# TYPE "+name+" ") {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		}
		var l []string
		for i := 0; i+1 < len(labels); i += 2 {
			l = append(l, fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
		}
		text := ""
		if len(l) > 0 {
			text = "{" + strings.Join(l, ",") + "}"
		}
		fmt.Fprintf(&b, "%s%s %g\n", name, text, value)
	}
	put("pli_info", "Version of this program.", 1, "version", state.Version, "engine", state.Engine)
	put("pli_schema", "Migration number of the database.", float64(state.Schema))
	put("pli_database_bytes", "Size of the database.", float64(state.Size))
	put("pli_disk_free_bytes", "Free space where the data is.", float64(state.DiskFree))
	put("pli_outbox_letters", "Letters in the outbox.", float64(state.Waiting), "state", "waiting")
	put("pli_outbox_letters", "Letters in the outbox.", float64(state.Failed), "state", "failed")
	put("pli_outbox_oldest_seconds", "Age of the oldest letter that waits.", age(state.Oldest))
	put("pli_webhook_backlog", "Deliveries of webhooks that wait.", float64(state.Webhooks.Waiting))
	put("pli_webhook_oldest_seconds", "Age of the oldest delivery that waits.", age(state.Webhooks.Since))
	put("pli_nodes", "Nodes that said they are there within two minutes.", float64(len(slices.DeleteFunc(slices.Clone(state.Nodes), func(n store.Node) bool { return now.Sub(n.SeenAt) > nodeGone }))))
	put("pli_backup_made_timestamp_seconds", "When the last good backup was made; 0: none.", seconds(state.Backup.EndedAt))
	put("pli_jobs", "Jobs at work.", float64(len(state.Jobs)))
	for _, c := range state.Certs {
		put("pli_certificate_until_timestamp_seconds", "End of a certificate.", seconds(c.Until), "door", c.Door)
	}
	for i, x := range state.Streams {
		put("pli_audit_stream_waiting", "Audit events that a receiver has not taken.", float64(x.Waiting), "receiver", fmt.Sprint(i))
	}
	for _, p := range state.Places {
		put("pli_connections", "Connections that are open.", float64(p.Open), "door", p.Name)
		put("pli_connections_strangers", "Of these, of who was not admitted.", float64(p.Strangers), "door", p.Name)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write([]byte(b.String()))
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

// consoleHost is what the pages of operators ask of the server.
func (s *Server) consoleHost(providers []*sso.Provider) console.Host {
	conf := s.conf.Config
	h := console.Host{Checks: s.checks, State: s.state, TestMail: s.testMail, Level: conf.Accessibility, TestSignIn: func(ctx context.Context, name string) error {
		for _, p := range providers {
			if p.Name == name {
				return p.Check(ctx)
			}
		}
		return store.ErrNotFound
	}}
	for _, p := range providers {
		h.Providers = append(h.Providers, console.Provider{Name: p.Name, Label: p.Label, Issuer: p.Issuer, ClientID: p.ClientID, Redirect: p.Redirect, Domains: p.Domains})
	}
	m := conf.Mail
	h.Mail = []console.Setting{{Key: "mail.smarthost", Value: m.Smarthost}, {Key: "mail.tls", Value: m.TLS}, {Key: "mail.username", Value: m.Username},
		{Key: "mail.from", Value: m.From}, {Key: "mail.spf", Value: m.SPF}, {Key: "mail.open_address", Value: m.OpenAddress}}
	if m.DKIM.Domain != "" {
		h.Mail = append(h.Mail, console.Setting{Key: "mail.dkim", Value: m.DKIM.Selector + "._domainkey." + m.DKIM.Domain})
	}
	if g := conf.Gateway; len(g.Listen) > 0 {
		h.Mail = append(h.Mail, console.Setting{Key: "gateway.listen", Value: strings.Join(g.Listen, ", ")}, console.Setting{Key: "gateway.hostname", Value: g.Hostname},
			console.Setting{Key: "gateway.next_hop", Value: cmp.Or(g.NextHop, m.Smarthost)})
	}
	return h
}

// testMail sends a mail by the smart host at once, past the outbox.
func (s *Server) testMail(ctx context.Context, to mailaddr.Address, subject, text string) (server string, err error) {
	server = s.conf.Config.Mail.Smarthost
	name, from, err := s.conf.Config.From()
	if err != nil {
		return server, err
	}
	m := &message.Mail{From: message.Mailbox{Name: name, Addr: from}, To: []message.Mailbox{{Addr: to}}, Subject: subject, Text: text, Auto: true}
	took, err := s.exits.own.Send(ctx, outbox.Parcel{From: from, To: []outbox.Receiver{{Addr: to}}, Mail: m})
	return cmp.Or(took.Host, server), err
}
