package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/server"
)

func (a *app) serveCommand() *cobra.Command {
	var path *string
	c := a.command("serve [--config FILE]", "serve", "  pli serve --config /etc/pli/pli.toml", a.exactly(),
		func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), *path) })
	path = a.configFlag(c)
	return c
}

func (a *app) serve(ctx context.Context, path string) error {
	conf, err := a.loadConfig(path)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// The service holds little and makes much that is soon garbage: a third
		// less work for some 20 MB more.
		debug.SetGCPercent(200)
	}
	s, err := server.New(ctx, server.Config{Config: conf, Catalogue: a.catalogue, Version: version, Log: server.NewLogger(conf, a.stderr)})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
