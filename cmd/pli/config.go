package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/config"
)

const defaultConfig = "/etc/pli/pli.toml"

// configFlag adds --config to a command and everything below it.
func (a *app) configFlag(c *cobra.Command) *string {
	path := a.getenv("PLI_CONFIG")
	if path == "" {
		path = defaultConfig
	}
	return c.PersistentFlags().String("config", path, a.t("cli.flag.config"))
}

// loadConfig reads the configuration.
func (a *app) loadConfig(path string) (*config.Config, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, notFound(err, path)
	}
	return c, nil
}

func (a *app) configCommand() *cobra.Command {
	var path *string
	check := a.command("check", "config.check", "  pli config check --config pli.toml", a.exactly(), func(*cobra.Command, []string) error {
		_, err := a.loadConfig(*path)
		var ps *config.Problems
		if errors.As(err, &ps) {
			a.fail(err)
			return quiet(exitProblems)
		}
		if err == nil {
			a.tell("cli.config.good", "file", *path)
		}
		return err
	})
	var asJSON bool
	show := a.command("show", "config.show", "", a.exactly(), func(*cobra.Command, []string) error {
		c, err := a.loadConfig(*path)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(a.stdout).Encode(c.Values())
		}
		return c.Show(a.stdout)
	})
	show.Flags().BoolVar(&asJSON, "json", false, a.t("cli.flag.json"))
	c := a.group("config", "config", check, show)
	path = a.configFlag(c)
	return c
}
