package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const account = "100042"

// startPli sets a Pli up below dir as an operator would, with the program's own commands, and starts it. It seals
// every message. Its settings are the defaults, but for the size of a message and for connections: all of the
// client's come from one address.
func startPli(ctx context.Context, program, dir, next, database string) (*server, error) {
	s := &server{name: "pli", title: "Pli, sealing", address: freeAddress(), mark: "text/html", log: filepath.Join(dir, "log")}
	if database != "" {
		s.name, s.title = "pli-postgres", "Pli, sealing, PostgreSQL"
	} else {
		database = "sqlite:" + filepath.Join(dir, "pli.db")
	}
	web := freeAddress()
	for web == s.address {
		web = freeAddress()
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "pli.toml")
	if _, err := command(ctx, "copper-lantern-42\n", nil, program, "setup", "--non-interactive", "--config", config,
		"--public-url", "http://localhost:"+port(web), "--listen", web, "--database", database,
		"--data-dir", filepath.Join(dir, "data"), "--master-key-file", filepath.Join(dir, "master.key"),
		"--smarthost", next, "--smarthost-tls", "none", "--from", "Bench <envelopes@"+senderDomain+">",
		"--account", "Bench", "--account-number", account, "--domain", senderDomain, "--admin", "alice@"+senderDomain, "--password-stdin"); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, `
[gateway]
listen = [%q]
next_hop = %q
next_hop_tls = "none"
hostname = "gateway.%s"
message_mib = 100
connections = 1000
connections_per_network = 1000

[log]
level = "warn"
`, s.address, next, senderDomain)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return nil, err
	}
	env := []string{"PLI_CONFIG=" + config}
	if _, err := command(ctx, "", env, program, "admin", "upstream", "add", account, "bench", "--network", "127.0.0.1"); err != nil {
		return nil, err
	}
	if _, err := command(ctx, "default = \"seal\"\n", env, program, "admin", "rules", "set", account, "-"); err != nil {
		return nil, err
	}
	if err := s.startServe(program, config); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// startServe runs "pli serve" and makes s.stop.
func (s *server) startServe(program, config string) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.family = newFamily(s.name)
	c, err := s.family.start(log, program, "serve", "--config", config)
	if err != nil {
		s.family.end()
		return fmt.Errorf("start Pli: %w", err)
	}
	pid, ended := s.family.first, make(chan error, 1)
	go func() { ended <- c.Wait() }()
	s.stop = func(ctx context.Context) error {
		syscall.Kill(pid, syscall.SIGTERM)
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("stop Pli: %w", ctx.Err())
		case <-time.After(15 * time.Second):
			return fmt.Errorf("stop Pli: it did not end within 15 s")
		}
	}
	return nil
}
