package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "0.1-dev"

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	c := a.command("version", "version", "", a.exactly(), func(*cobra.Command, []string) error {
		commit := ""
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					commit = s.Value
				}
			}
		}
		if asJSON {
			return json.NewEncoder(a.stdout).Encode(map[string]string{"version": version, "commit": commit, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
		}
		_, err := fmt.Fprintf(a.stdout, "pli %s %s/%s %s %s\n", version, runtime.GOOS, runtime.GOARCH, runtime.Version(), commit)
		return err
	})
	c.Flags().BoolVar(&asJSON, "json", false, a.t("cli.flag.json"))
	return c
}

func (a *app) completionCommand() *cobra.Command {
	c := a.command("completion bash|zsh|fish|powershell", "completion", "  pli completion bash > /etc/bash_completion.d/pli",
		a.exactly("bash|zsh|fish|powershell"), func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return usage("cli.usage.choice", "value", args[0], "choices", "bash, zsh, fish, powershell")
		})
	c.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	return c
}

func (a *app) manCommand() *cobra.Command {
	return a.command("man [DIR]", "man", "  pli man /usr/local/share/man/man1", a.exactly("[DIR]"), func(cmd *cobra.Command, args []string) error {
		cmd.Root().DisableAutoGenTag = true // the same program writes the same pages
		header := &doc.GenManHeader{Section: "1", Manual: "Pli", Source: "pli " + version}
		if len(args) == 0 {
			return doc.GenMan(cmd.Root(), header, a.stdout)
		}
		if err := os.MkdirAll(filepath.Clean(args[0]), 0o755); err != nil {
			return err
		}
		return doc.GenManTree(cmd.Root(), header, args[0])
	})
}
