package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
)

func (a *app) adminUpstream(f *adminFlags) *cobra.Command {
	list := a.command("list NUMBER", "admin.upstream.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		p, err := do(ctx, o, client.ListUpstreams, client.Account{Account: n})
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"name", "cli.col.name"}, {"kind", "cli.col.kind"}, {"value", "cli.col.value"}, {"forwards", "cli.col.forwards"}, {"created_at", "cli.col.created"}}}
		for _, u := range p.Items {
			t.add(u.Name, u.Kind, u.Value, u.Forwards, u.CreatedAt.Time)
		}
		return o.write(t, f.format, false)
	}))
	var u account.NewUpstream
	add := a.command("add NUMBER NAME (--network NET... [--token] | --certificate FILE | --password) [--forwards]", "admin.upstream.add",
		"  pli admin upstream add 100042 mta1 --network 192.0.2.10\n  pli admin upstream add 100042 mta2 --password\n  pli admin upstream add 100042 cloud --network 203.0.113.0/24 --network 198.51.100.0/24 --token",
		a.exactly("NUMBER", "NAME"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			return o.addUpstream(ctx, n, args[1], u)
		}))
	add.Flags().StringArrayVar(&u.Networks, "network", nil, a.t("cli.flag.network"))
	add.Flags().StringVar(&u.Certificate, "certificate", "", a.t("cli.flag.certificate"))
	add.Flags().BoolVar(&u.Password, "password", false, a.t("cli.flag.upstreampassword"))
	add.Flags().BoolVar(&u.Token, "token", false, a.t("cli.flag.token"))
	add.Flags().BoolVar(&u.Forwards, "forwards", false, a.t("cli.flag.forwards"))
	remove := a.command("remove NUMBER NAME", "admin.upstream.remove", "  pli admin upstream remove 100042 mta1", a.exactly("NUMBER", "NAME"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			err = o.Accounts.RemoveUpstream(ctx, o.actor, n, args[1])
			if fault.Is(err, fault.NotFound) {
				if _, known := o.Accounts.Account(ctx, o.actor, n); known != nil {
					return o.noAccount(n)
				}
				f := failed("cli.noupstream", "name", args[1], "number", n)
				f.code = exitNotFound
				return f
			}
			if err != nil {
				return err
			}
			o.say("cli.upstream.removed", "name", args[1], "number", n)
			return nil
		}))
	return a.group("upstream", "admin.upstream", list, add, remove)
}

// addUpstream shows the secret that was made once, on standard output, so that
// it can go where it is needed without being seen.
func (o *operator) addUpstream(ctx context.Context, n int64, name string, u account.NewUpstream) error {
	u.Name = name
	if u.Certificate != "" {
		hash, err := keyHash(u.Certificate)
		if err != nil {
			return err
		}
		u.Certificate = hash
	}
	secret, err := o.Accounts.AddUpstream(ctx, o.actor, n, u)
	switch {
	case fault.Is(err, fault.NotFound):
		return o.noAccount(n)
	case err != nil:
		return err
	}
	o.say("cli.upstream.added", "name", name, "number", n)
	switch {
	case u.Password:
		o.say("cli.upstream.password", "name", name)
	case u.Token:
		o.say("cli.upstream.token")
	default:
		return nil
	}
	_, err = o.stdout.Write([]byte(secret.Reveal() + "\n"))
	return err
}

// keyHash is the SHA-256 of the public key of a certificate in a PEM file; what
// is such a hash already stays.
func keyHash(file string) (string, error) {
	if b, err := hex.DecodeString(strings.ReplaceAll(file, ":", "")); err == nil && len(b) == sha256.Size {
		return hex.EncodeToString(b), nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", notFound(err, file)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return "", usage("cli.upstream.nocert", "file", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", usage("cli.upstream.nocert", "file", file)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}
