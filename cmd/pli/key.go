package main

import (
	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/masterkey"
)

func (a *app) keyCommand() *cobra.Command {
	var path *string
	var fromStdin bool
	restore := a.command("restore [--config FILE]", "key.restore", "  pli key restore --config /etc/pli/pli.toml", a.exactly(), func(*cobra.Command, []string) error {
		conf, err := a.loadConfig(*path)
		if err != nil {
			return err
		}
		recovery, err := a.readPassword("cli.key.ask", fromStdin)
		if err != nil {
			return err
		}
		if err := masterkey.Restore(conf.MasterKeyFile, recovery); err != nil {
			return err
		}
		a.tell("cli.key.restored", "file", conf.MasterKeyFile)
		return nil
	})
	restore.Flags().BoolVar(&fromStdin, "key-stdin", false, a.t("cli.key.stdin"))
	c := a.group("key", "key", restore)
	path = a.configFlag(c)
	return c
}
