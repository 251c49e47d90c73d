// Package server builds the service from its configuration, runs it, and stops
// it without losing what is in hand.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/spool"
)

const (
	drainTime   = 10 * time.Second // for requests under way when the server stops
	letterTime  = 20 * time.Second // for mails being sent; one that is cut off is sent again
	sweepPeriod = time.Minute      // what was staged for one opening is to be gone soon after its time
	// A slow line may take this long for its 25 MiB, and no longer.
	requestTime = 15 * time.Minute
)

// Config is what a Server is made of.
type Config struct {
	Config    *config.Config
	Catalogue *i18n.Catalogue
	Version   string
	Log       *slog.Logger

	Listeners  []net.Listener   // instead of Config.Listen
	Gateway    []net.Listener   // instead of Config.Gateway.Listen
	Demo       bool             // show the banner of the demonstration
	DemoKept   bool             // the demonstration's data outlive it, and the banner says so
	MailboxURL string           // of the demonstration
	Hash       account.HashCost // of passwords; the zero value is the real cost
}

// Server is the whole service. Run is called once.
type Server struct {
	*Parts
	conf      Config
	exits     exits
	streams   []*audit.Stream
	door      *door // nil without a gateway
	http      *http.Server
	redirect  *http.Server
	cert      *certificate
	listeners []net.Listener
	plain     net.Listener // of redirect
	figures   *http.Server // for monitoring; nil: none
	private   net.Listener // of figures

	sweepEvery time.Duration
}

// New builds the service and binds its addresses; nobody is answered before
// Run. If Run is never called, the caller must call Close.
func New(ctx context.Context, c Config) (_ *Server, err error) {
	s := &Server{conf: c, listeners: c.Listeners, sweepEvery: sweepPeriod}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Parts, err = Open(ctx, c); err != nil {
		return nil, err
	}
	if s.exits, err = newExits(c.Config, (&signers{accounts: s.Accounts, log: c.Log}).keys); err != nil {
		return nil, err
	}
	if err := s.Audit.CheckMark(ctx); err != nil {
		return nil, err
	}
	if s.streams, err = s.Streams(c); err != nil {
		return nil, err
	}
	s.protects = s.exits.next.Protects
	if n, err := spool.Sweep(s.spool); err != nil {
		return nil, err
	} else if n > 0 {
		c.Log.Info("removed scratch files of an earlier run", "files", n)
	}
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	errorLog := slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug) // mostly strangers who cannot speak TLS
	s.http = &http.Server{Handler: handler, ErrorLog: errorLog, MaxHeaderBytes: 64 << 10,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ReadTimeout: requestTime, WriteTimeout: requestTime}
	if err := s.secure(errorLog); err != nil {
		return nil, err
	}
	if len(c.Config.Gateway.Listen)+len(c.Gateway) > 0 {
		if s.door, err = s.newDoor(); err != nil {
			return nil, err
		}
		s.door.listeners = c.Gateway
	}
	return s, s.bind(ctx)
}

// bind opens the addresses of the configuration.
func (s *Server) bind(ctx context.Context) error {
	var lc net.ListenConfig
	if s.listeners == nil {
		for _, addr := range s.conf.Config.Listen {
			l, err := lc.Listen(ctx, "tcp", addr)
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			s.listeners = append(s.listeners, l)
		}
	}
	if s.redirect != nil {
		l, err := lc.Listen(ctx, "tcp", s.conf.Config.TLS.HTTPRedirect)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		s.plain = l
	}
	if addr := s.conf.Config.Metrics.Listen; addr != "" {
		l, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /metrics", s.metrics)
		s.private = l
		s.figures = &http.Server{Handler: mux, ErrorLog: s.http.ErrorLog, MaxHeaderBytes: 16 << 10, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	}
	if s.door != nil && s.door.listeners == nil {
		return s.door.bind(ctx, s.conf.Config.Gateway.Listen)
	}
	return nil
}

// Addrs are the addresses that it listens on.
func (s *Server) Addrs() []net.Addr {
	var out []net.Addr
	for _, l := range s.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// Run answers until ctx ends, then lets requests and mails in hand finish, and
// closes everything. It returns nil after such an end.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var doors, work sync.WaitGroup
	// What works behind the doors stops after them: a last request may still write a mail.
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	work.Go(func() {
		if err := s.Outbox.Run(working, s.exits, s.Postman.Bounced); err != nil {
			cancel(fmt.Errorf("outbox: %w", err))
		}
	})
	work.Go(func() { s.sweep(working) })
	work.Go(func() { s.Audit.Run(working) })
	for _, stream := range s.streams {
		work.Go(func() { stream.Run(working) })
	}
	work.Go(func() { s.sweepWork(working) })
	work.Go(func() { s.runJobs(working, account.JobsByRows...) })
	for range 2 { // so that the archive of a large account holds back nobody's
		work.Go(func() { s.runJobs(working, account.KindArchive) })
	}
	work.Go(func() { s.countReports(working) })
	work.Go(func() { s.beat(working) })
	work.Go(func() { s.scheduleBackups(working) })
	work.Go(func() { s.Accounts.RunWebhooks(working) })
	work.Go(func() { s.watchCertificates(working) })
	serve := func(h *http.Server, l net.Listener) {
		doors.Go(func() {
			if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve %s: %w", l.Addr(), err))
			}
		})
	}
	for _, l := range s.listeners {
		s.conf.Log.Info("listening", "address", l.Addr().String(), "url", s.conf.Config.PublicURL, "tls", s.cert != nil)
		if s.cert != nil {
			l = tls.NewListener(l, s.http.TLSConfig)
		}
		serve(s.http, l)
	}
	if s.redirect != nil {
		serve(s.redirect, s.plain)
	}
	if s.figures != nil {
		s.conf.Log.Info("figures at", "address", s.private.Addr().String())
		serve(s.figures, s.private)
	}
	if s.door != nil {
		work.Go(func() { s.door.gateway.Run(working) })
		for _, l := range s.door.listeners {
			s.conf.Log.Info("gateway listening", "address", l.Addr().String(), "hostname", s.conf.Config.Gateway.Hostname, "tls", s.door.cert != nil)
			doors.Go(func() {
				if err := s.door.smtpd.Serve(ctx, l); err != nil {
					cancel(fmt.Errorf("serve %s: %w", l.Addr(), err))
				}
			})
		}
	}
	<-ctx.Done()

	s.conf.Log.Info("stopping")
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer stop()
	if s.door != nil {
		doors.Go(func() { s.door.smtpd.Shutdown(drain) })
	}
	for _, h := range []*http.Server{s.figures, s.redirect, s.http} {
		if h != nil && h.Shutdown(drain) != nil {
			h.Close()
		}
	}
	doors.Wait()
	stopWork()
	if !finished(&work, letterTime) {
		s.conf.Log.Warn("a mail was being sent for too long; it will be sent again")
	}
	s.exits.close()
	err := s.Parts.Close()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		err = errors.Join(cause, err)
	}
	return err
}

// finished waits for wg, but not longer than limit.
func finished(wg *sync.WaitGroup, limit time.Duration) bool {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// Close gives back what New took, for a server that is not run.
func (s *Server) Close() error {
	var errs []error
	list := append(s.listeners, s.plain, s.private)
	if s.door != nil {
		list = append(list, s.door.listeners...)
	}
	for _, l := range list {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if s.Parts != nil {
		errs = append(errs, s.Parts.Close())
	}
	return errors.Join(errs...)
}

// sweep removes what has ended, now and again after every period.
func (s *Server) sweep(ctx context.Context) {
	for {
		swept, err := s.Keys.Sweep(ctx)
		err = errors.Join(err, s.Accounts.SweepLifts(ctx))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.conf.Log.Error("sweep", "error", err)
		default:
			s.conf.Log.Debug("swept", "result", swept)
		}
		select {
		case <-time.After(s.sweepEvery):
		case <-ctx.Done():
			return
		}
	}
}

// sweepWork asks DNS about domains, which may be slow, beside the other sweep.
func (s *Server) sweepWork(ctx context.Context) {
	for {
		if err := s.Accounts.SweepJobs(ctx); err != nil && ctx.Err() == nil {
			s.conf.Log.Warn("forget old jobs", "error", err)
		}
		if err := s.Accounts.SweepArchives(ctx); err != nil && ctx.Err() == nil {
			s.conf.Log.Warn("forget archives of accounts", "error", err)
		}
		if err := s.Accounts.SweepWebhooks(ctx); err != nil && ctx.Err() == nil {
			s.conf.Log.Warn("forget old deliveries", "error", err)
		}
		if err := s.Accounts.SweepDomains(ctx); err != nil && ctx.Err() == nil {
			s.conf.Log.Warn("look at domains", "error", err)
		}
		select {
		case <-time.After(s.sweepEvery):
		case <-ctx.Done():
			return
		}
	}
}

// reportsPeriod is how often a node counts what the audit log has more of.
const reportsPeriod = 5 * time.Second

// countReports leaves out what can still be undone, with a little for two clocks.
func (s *Server) countReports(ctx context.Context) {
	undo := time.Duration(s.conf.Config.Limits.UndoSeconds+5) * time.Second
	for {
		if err := s.Accounts.SweepReports(ctx, undo); err != nil && ctx.Err() == nil {
			s.conf.Log.Warn("reports", "error", err)
		}
		select {
		case <-time.After(reportsPeriod):
		case <-ctx.Done():
			return
		}
	}
}

// jobsPeriod is how often a node looks for a job to go on with.
const jobsPeriod = 2 * time.Second

func (s *Server) runJobs(ctx context.Context, kinds ...string) {
	for {
		more, err := s.Accounts.RunJobs(ctx, kinds...)
		if err != nil && ctx.Err() == nil {
			s.conf.Log.Error("run a job", "error", err)
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-time.After(jobsPeriod):
		case <-ctx.Done():
			return
		}
	}
}

// watchCertificates reads the certificates again on SIGHUP and when a file changes.
func (s *Server) watchCertificates(ctx context.Context) {
	certs := []*certificate{s.cert}
	if s.door != nil && s.door.cert != s.cert {
		certs = append(certs, s.door.cert)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(certificatePeriod)
	defer tick.Stop()
	for {
		force := false
		select {
		case <-ctx.Done():
			return
		case <-hup:
			force = true
		case <-tick.C:
		}
		for _, c := range certs {
			if c != nil {
				s.reload(c, force)
			}
		}
	}
}

func (s *Server) reload(c *certificate, force bool) {
	changed, err := c.reload(force)
	switch {
	case err != nil: // the old one is shown until the new one is good
		s.conf.Log.Error("read certificate again", "file", c.certFile, "error", err)
	case changed:
		s.conf.Log.Info("certificate read again", "file", c.certFile, "until", c.until())
	}
}
