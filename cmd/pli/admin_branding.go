package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

func (a *app) adminBranding(f *adminFlags) *cobra.Command {
	shown := func(fn func(ctx context.Context, o *administrator, n int64, args []string) (client.Branding, error)) func(*cobra.Command, []string) error {
		return a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			v, err := fn(ctx, o, n, args[1:])
			if err != nil {
				return err
			}
			t := &table{columns: []column{{"name", "cli.col.name"}, {"value", "cli.col.value"}, {"meaning", "cli.col.meaning"}}}
			for _, x := range [][2]string{{"name", v.Name}, {"color", v.Color}, {"intro_en", v.IntroEN}, {"intro_fr", v.IntroFR}, {"contact", v.Contact}, {"footer", v.Footer}, {"logo", v.Logo}} {
				t.add(x[0], x[1], o.t("b."+x[0]))
			}
			return o.write(t, f.format, false)
		})
	}
	show := a.command("show NUMBER", "admin.branding.show", "", a.exactly("NUMBER"),
		shown(func(ctx context.Context, o *administrator, n int64, _ []string) (client.Branding, error) {
			return do(ctx, o, client.GetBranding, client.Account{Account: n})
		}))
	set := a.command("set NUMBER NAME=VALUE…", "admin.branding.set", "  pli admin branding set 100042 name='Example Health' color=#1a4f9c", a.exactly("NUMBER", "NAME=VALUE…"),
		shown(func(ctx context.Context, o *administrator, n int64, args []string) (client.Branding, error) {
			in := client.BrandingChange{Account: n}
			fields := map[string]**string{"name": &in.Name, "color": &in.Color, "intro_en": &in.IntroEN, "intro_fr": &in.IntroFR, "contact": &in.Contact, "footer": &in.Footer}
			for _, arg := range args {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return client.Branding{}, failed("cli.setting", "text", arg)
				}
				if fields[name] == nil {
					return client.Branding{}, usage("people.setting", "name", name, "value", value)
				}
				*fields[name] = &value
			}
			return do(ctx, o, client.ChangeBranding, in)
		}))
	var remove bool
	logo := a.command("logo NUMBER [FILE]", "admin.branding.logo", "  pli admin branding logo 100042 logo.png", a.exactly("NUMBER", "[FILE]"),
		shown(func(ctx context.Context, o *administrator, n int64, args []string) (client.Branding, error) {
			switch {
			case remove && len(args) == 0:
				return do(ctx, o, client.RemoveLogo, client.BrandingAct{Account: n})
			case remove || len(args) == 0:
				return client.Branding{}, usage("cli.usage.notboth", "a", "--remove", "b", "FILE")
			}
			var from io.Reader = o.stdin
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return client.Branding{}, notFound(err, args[0])
				}
				defer file.Close()
				from = file
			}
			return do(ctx, o, client.SetLogo, client.LogoIn{Account: n, File: from})
		}))
	logo.Flags().BoolVar(&remove, "remove", false, a.t("cli.flag.removelogo"))
	reset := a.command("reset NUMBER", "admin.branding.reset", "", a.exactly("NUMBER"),
		shown(func(ctx context.Context, o *administrator, n int64, _ []string) (client.Branding, error) {
			return do(ctx, o, client.ResetBranding, client.BrandingAct{Account: n})
		}))
	return a.group("branding", "admin.branding", show, set, logo, reset)
}
