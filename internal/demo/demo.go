// Package demo is Pli to try out: the real server on the loopback interface,
// with a sample account, a gateway for a mail program on this machine, and a
// mailbox that shows every mail it sends. Nothing is different inside but the
// banner and where the mail goes.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailbox"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/server"
)

// Config is what a demonstration is made of.
type Config struct {
	Dir       string // kept afterwards; empty: a temporary one, removed at the end
	Port      int    // of the site; 0: any that is free
	Undo      int    // seconds in which a sending can be undone
	Catalogue *i18n.Catalogue
	Version   string
	Log       *slog.Logger
}

// Demo is a demonstration that is ready to run.
type Demo struct {
	URL        string // of the site
	MailboxURL string
	Gateway    string // host:port of its SMTP door
	Dir        string
	ConfigFile string
	Temporary  bool // Dir is removed at the end
	Kept       bool // Dir held an earlier demonstration, whose data are used
	PortTaken  bool // Config.Port was in use, and another one was taken

	server *server.Server
	box    *mailbox.Box
	pages  net.Listener // of the mailbox
	smtp   net.Listener // of the mailbox
	door   net.Listener // of the gateway
}

// New prepares a demonstration: its directory, its ports, its data. Nobody is
// answered before Run. If Run is never called, the caller must call Close.
func New(ctx context.Context, c Config) (_ *Demo, err error) {
	d := &Demo{Dir: c.Dir, Temporary: c.Dir == ""}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := d.prepareDir(); err != nil {
		return nil, err
	}
	site, err := d.listen(ctx, c.Port)
	if err != nil {
		return nil, err
	}
	conf, err := d.configure(site, c.Undo)
	if err != nil {
		return nil, errors.Join(err, closeAll(site))
	}
	if d.box, err = mailbox.Open(mailbox.Config{Dir: filepath.Join(d.Dir, "mails"), Site: d.URL, Catalogue: c.Catalogue, Log: c.Log}); err != nil {
		return nil, errors.Join(err, closeAll(site))
	}
	d.server, err = server.New(ctx, server.Config{Config: conf, Catalogue: c.Catalogue, Version: c.Version, Log: c.Log,
		Listeners: site, Gateway: []net.Listener{d.door}, Demo: true, DemoKept: !d.Temporary, MailboxURL: d.MailboxURL,
		// The sample passwords are in the program for all to read: that they are
		// hashed dearly would protect nobody, and cost the start a second.
		Hash: account.HashCost{Memory: 19 << 10, Passes: 2}})
	if err != nil {
		return nil, err
	}
	return d, seed(ctx, d.server.Accounts)
}

func (d *Demo) prepareDir() (err error) {
	if d.Temporary {
		d.Dir, err = os.MkdirTemp("", "pli-demo-*")
	} else if d.Dir, err = filepath.Abs(d.Dir); err == nil {
		err = os.MkdirAll(d.Dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make the demonstration's directory: %w", err)
	}
	d.ConfigFile = filepath.Join(d.Dir, "pli.toml")
	if _, err := os.Stat(d.ConfigFile); err == nil {
		d.Kept = true
	}
	return nil
}

// listen binds the site, the mailbox and its SMTP server, all on loopback.
func (d *Demo) listen(ctx context.Context, port int) (site []net.Listener, err error) {
	site, err = listenSite(ctx, port)
	if errors.Is(err, syscall.EADDRINUSE) && port != 0 {
		d.PortTaken = true
		site, err = listenSite(ctx, 0)
	}
	if err != nil {
		return nil, err
	}
	if d.PortTaken {
		port = 0
	}
	// They stand beside the site if they can, so that they are found again.
	if d.pages, err = listenBeside(ctx, port, 1); err == nil {
		d.door, err = listenBeside(ctx, port, 2)
	}
	if err == nil {
		d.smtp, err = listenLoopback(ctx, 0)
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(site))
	}
	d.Gateway = d.door.Addr().String()
	d.URL = "http://localhost:" + portOf(site[0])
	// Another site than localhost, as a webmail is in life: a browser sends no
	// Strict cookies along with a link from there.
	d.MailboxURL = "http://127.0.0.1:" + portOf(d.pages)
	return site, nil
}

// listenSite binds both addresses that localhost can mean, where there are both.
func listenSite(ctx context.Context, port int) ([]net.Listener, error) {
	v4, err := listenLoopback(ctx, port)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	v6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", portOf(v4)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) && port != 0 {
			return nil, errors.Join(err, v4.Close())
		}
		return []net.Listener{v4}, nil // a machine without IPv6
	}
	return []net.Listener{v4, v6}, nil
}

// listenBeside binds the port that is n above the site's; any where that is taken.
func listenBeside(ctx context.Context, site, n int) (net.Listener, error) {
	if site != 0 && site+n < 1<<16 {
		if l, err := listenLoopback(ctx, site+n); err == nil {
			return l, nil
		}
	}
	return listenLoopback(ctx, 0)
}

func listenLoopback(ctx context.Context, port int) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String()) // a TCP listener's address has both
	return port
}

// configure writes the configuration file and makes the root key, as pli setup
// would, so that the operator's commands work on the demonstration.
func (d *Demo) configure(site []net.Listener, undo int) (*config.Config, error) {
	var b strings.Builder
	b.WriteString("# The demonstration's configuration; it is written anew at each start.\n")
	put := func(key, value string) { fmt.Fprintf(&b, "%s = %s\n", key, config.Quote(value)) }
	put("public_url", d.URL)
	put("listen", site[0].Addr().String())
	put("database", "sqlite:pli.db")
	put("data_dir", "data")
	put("master_key_file", "master.key")
	put("support", "support@example.org")
	b.WriteString("\n[mail]\n")
	put("smarthost", d.smtp.Addr().String())
	put("tls", "none")
	put("from", "Example Health <envelopes@example.org>")
	put("open_address", "open@example.org")
	b.WriteString("\n[gateway]\n")
	fmt.Fprintf(&b, "listen = [%s]\n", config.Quote(d.Gateway))
	put("hostname", "localhost")
	b.WriteString("\n# A program on this machine may be sent events.\n[webhooks]\nprivate_networks = [\"127.0.0.0/8\", \"::1\"]\nports = [\"1024-65535\"]\n")
	fmt.Fprintf(&b, "\n[limits]\nundo_seconds = %d\n", undo)
	if err := os.WriteFile(d.ConfigFile, []byte(b.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write the demonstration's configuration: %w", err)
	}
	conf, err := config.Load(d.ConfigFile)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(conf.MasterKeyFile); errors.Is(err, fs.ErrNotExist) {
		if _, err := masterkey.Create(conf.MasterKeyFile); err != nil {
			return nil, err
		}
	}
	return conf, nil
}

// Run answers until ctx ends. Then the site stops first and the mailbox after
// it, so that the last mails arrive; at the end a temporary directory is removed.
func (d *Demo) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	boxes, stopBoxes := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBoxes()
	var wg sync.WaitGroup
	for name, serve := range map[string]func() error{
		"mailbox's SMTP server": func() error { return d.box.ServeSMTP(boxes, d.smtp) },
		"mailbox":               func() error { return d.box.Serve(boxes, d.pages) },
	} {
		wg.Go(func() {
			if err := serve(); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	err := d.server.Run(ctx)
	stopBoxes()
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, d.removeDir())
}

// Close gives back what New took, for a demonstration that is not run.
func (d *Demo) Close() error {
	var errs []error
	for _, l := range []net.Listener{d.pages, d.smtp, d.door} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	return errors.Join(append(errs, d.removeDir())...)
}

func (d *Demo) removeDir() error {
	if !d.Temporary || d.Dir == "" {
		return nil
	}
	return os.RemoveAll(d.Dir)
}

func closeAll(list []net.Listener) error {
	var errs []error
	for _, l := range list {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
