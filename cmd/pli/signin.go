package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/mailaddr"
)

// sessions are the sign-ins that this person's terminal keeps.
type sessions struct {
	Last    string                 `json:"last"` // origin of the server signed in to last
	Servers map[string]keptSession `json:"servers"`
}

type keptSession struct {
	Token     string    `json:"token"`
	Email     string    `json:"email"`
	ExpiresAt time.Time `json:"expires_at"`
}

// sessionsPath is where they are kept, readable by this person only.
func (a *app) sessionsPath() (string, error) {
	dir := a.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := a.getenv("HOME")
		if home == "" {
			return "", failed("cli.nohome")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "pli", "sessions.json"), nil
}

func (a *app) loadSessions() (*sessions, error) {
	s := &sessions{Servers: map[string]keptSession{}}
	path, err := a.sessionsPath()
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, s); err != nil || s.Servers == nil {
		return nil, failed("cli.badsessions", "file", path)
	}
	return s, nil
}

func (a *app) saveSessions(s *sessions) error {
	path, err := a.sessionsPath()
	if err != nil {
		return err
	}
	return keep(path, s)
}

// keep writes v as a file of this person's alone, in place of what was there.
func keep(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	var out outputs
	defer out.abort()
	f, err := out.create(path, 0o600, true)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(raw, '\n')); err != nil {
		return err
	}
	return out.commit()
}

func (a *app) signinCommand() *cobra.Command {
	var server string
	var fromStdin bool
	c := a.command("signin --server URL ADDRESS", "signin", "  pli signin --server https://pli.example.org ana@example.org",
		a.exactly("ADDRESS"), func(cmd *cobra.Command, args []string) error {
			return a.signin(cmd.Context(), server, args[0], fromStdin)
		})
	c.Flags().StringVar(&server, "server", "", a.t("cli.flag.server"))
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, a.t("cli.flag.passwordstdin"))
	return c
}

func (a *app) signin(ctx context.Context, server, address string, fromStdin bool) error {
	addr, err := mailaddr.Parse(address)
	if err != nil {
		return usage("cli.badaddress", "value", address)
	}
	if server, err = a.serverName(server); err != nil {
		return err
	}
	c, err := a.connect(ctx, server)
	if err != nil {
		return err
	}
	password, err := a.readPassword("cli.askpassword", fromStdin)
	if err != nil {
		return err
	}
	c.token = ""
	var out struct {
		Token     string    `json:"token"`
		Scope     string    `json:"scope"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := c.call(ctx, "POST", "/api/v1/session", map[string]string{"email": addr.String(), "password": password}, &out); err != nil {
		return c.refusedSignIn(err)
	}
	if out.Scope == "second" {
		code, err := a.readSecond(fromStdin)
		if err != nil {
			return err
		}
		c.token = out.Token
		if err := c.call(ctx, "POST", "/api/v1/session/second", map[string]string{"code": code}, &out); err != nil {
			return c.refusedSignIn(err)
		}
	}
	if out.Scope == "mailbox" {
		f := failed("cli.signin.mailbox", "url", c.origin+"/signin")
		f.code = exitNotAllowed
		return f
	}
	if out.Scope == "set-second" {
		f := failed("cli.signin.second", "url", c.origin+"/signin")
		f.code = exitNotAllowed
		return f
	}
	if out.Scope == "set-password" {
		f := failed("cli.signin.temporary", "url", c.origin+"/signin")
		f.code = exitNotAllowed
		return f
	}
	kept, err := a.loadSessions()
	if err != nil {
		return err
	}
	kept.Last = c.origin
	kept.Servers[c.origin] = keptSession{out.Token, addr.String(), out.ExpiresAt}
	if err := a.saveSessions(kept); err != nil {
		return err
	}
	a.tell("cli.signin.done", "email", addr.String(), "server", c.origin)
	return nil
}

// refusedSignIn says as the server does what was wrong, as a refusal.
func (c *connection) refusedSignIn(err error) error {
	var p *client.Problem
	if errors.As(err, &p) && (p.Status == 401 || p.Status == 422) {
		f := failed("cli.said", "sentence", p.Error())
		f.code = exitNotAllowed
		return f
	}
	return c.explain(err)
}

// readSecond asks for a code of an authenticator app, or a recovery code, where
// the password came from: on the line after it, or at the terminal.
func (a *app) readSecond(fromStdin bool) (string, error) {
	if !fromStdin {
		return a.readPassword("cli.asksecond", false)
	}
	code, err := a.readLine("")
	if err == nil && code == "" {
		return "", usage("cli.nosecond")
	}
	return code, err
}

func (a *app) signoutCommand() *cobra.Command {
	var server string
	c := a.command("signout [--server URL]", "signout", "", a.exactly(), func(cmd *cobra.Command, _ []string) error {
		c, err := a.signedIn(cmd.Context(), server)
		if err != nil {
			return err
		}
		// The session ends here even when the server cannot be told.
		told := c.call(cmd.Context(), "DELETE", "/api/v1/session", nil, nil)
		kept, err := a.loadSessions()
		if err != nil {
			return err
		}
		delete(kept.Servers, c.origin)
		if err := a.saveSessions(kept); err != nil {
			return err
		}
		var p *client.Problem
		if told != nil && !(errors.As(told, &p) && p.Status == 401) {
			return c.explain(told)
		}
		a.tell("cli.signout.done", "server", c.origin)
		return nil
	})
	c.Flags().StringVar(&server, "server", "", a.t("cli.flag.server"))
	return c
}

// readPassword asks for a password without showing it, or reads the first line of standard input.
func (a *app) readPassword(prompt string, fromStdin bool) (string, error) {
	if fromStdin {
		s, err := a.readLine("--password-stdin")
		if err == nil && s == "" {
			return "", usage("cli.emptypassword")
		}
		return s, err
	}
	f, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return "", usage("cli.nopassword")
	}
	fmt.Fprint(a.stderr, a.t(prompt)+" ")
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.stderr)
	return string(b), err
}
