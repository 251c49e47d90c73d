package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/web"
)

// administrator is what a command works with that has an operation of the API:
// a server elsewhere by a token, or in this process that of this host, as its operator.
type administrator struct {
	speaker
	api  *client.Client
	host *operator // nil: the server is elsewhere
}

// remote is the server that administration commands speak to, "" for this host.
type remote struct{ server, tokenFile string }

func (a *app) remoteFlags(c *cobra.Command, r *remote) {
	c.PersistentFlags().StringVar(&r.server, "server", "", a.t("cli.flag.adminserver"))
	c.PersistentFlags().StringVar(&r.tokenFile, "token-file", "", a.t("cli.flag.tokenfile"))
}

// where is the server that the flags name, else the environment, else this
// person's client.toml; a configuration that is named is of this host.
func (a *app) where(cmd *cobra.Command, r remote) (remote, error) {
	given := r.server != ""
	if cmd.Flags().Changed("config") {
		if given {
			return r, usage("cli.usage.notboth", "a", "--server", "b", "--config")
		}
		return remote{}, nil
	}
	kept, err := a.clientFile()
	if err != nil {
		return r, err
	}
	for _, from := range []remote{{a.getenv("PLI_SERVER"), a.getenv("PLI_TOKEN_FILE")}, kept} {
		if r.server == "" {
			r.server = from.server
		}
		// Another server's token is not for one that was named.
		if r.tokenFile == "" && (from.server == "" || from.server == r.server) {
			r.tokenFile = from.tokenFile
		}
	}
	return r, nil
}

// clientFile reads where this person administers from elsewhere, if they say so.
func (a *app) clientFile() (remote, error) {
	sessions, err := a.sessionsPath()
	if err != nil { // there is no home, and so no file
		return remote{}, nil
	}
	path := filepath.Join(filepath.Dir(sessions), "client.toml")
	said, err := config.ReadClient(path)
	if errors.Is(err, fs.ErrNotExist) {
		return remote{}, nil
	}
	if err != nil {
		bad := usage("cli.remote.badfile", "file", path)
		bad.cause = err
		return remote{}, bad
	}
	return remote{said.Server, said.TokenFile}, nil
}

// token is that of the file, which only its owner may read; without one that of
// the session that pli signin keeps.
func (a *app) token(r remote, origin string) (string, error) {
	if r.tokenFile == "" {
		kept, err := a.loadSessions()
		if err != nil {
			return "", err
		}
		if kept.Servers[origin].Token == "" {
			f := failed("cli.remote.notoken", "server", origin)
			f.code, f.hints = exitNotAllowed, []string{"--token-file FILE", "pli signin --server " + origin}
			return "", f
		}
		return kept.Servers[origin].Token, nil
	}
	info, err := os.Stat(r.tokenFile)
	if err != nil {
		return "", notFound(err, r.tokenFile)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", usage("cli.remote.readable", "file", r.tokenFile)
	}
	return config.ReadSecret(r.tokenFile)
}

// administer makes the run function of a command that has an operation.
func (a *app) administer(f *adminFlags, fn func(ctx context.Context, o *administrator, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if _, err := f.format.choose(a.stdout); err != nil {
			return err
		}
		at, err := a.where(cmd, f.remote)
		if err != nil {
			return err
		}
		if at.server == "" {
			return a.onHost(cmd, f, func(o *operator) error {
				adm, err := o.administrator()
				if err != nil {
					return err
				}
				return adm.nothingThere(ctx, cmd, args, fn(ctx, adm, args))
			})
		}
		origin, err := parseOrigin(at.server)
		if err != nil {
			return err
		}
		token, err := a.token(at, origin)
		if err != nil {
			return err
		}
		adm := &administrator{speaker: speaker{a, f.quiet}, api: &client.Client{Origin: origin, Token: token, Language: a.p.Lang, Agent: "pli/" + version,
			// Another host must never get the token.
			HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}}
		return adm.nothingThere(ctx, cmd, args, fn(ctx, adm, args))
	}
}

// administrator is the operator by the API in this process.
func (o *operator) administrator() (*administrator, error) {
	handler, err := o.API(o.conf)
	if err != nil {
		return nil, err
	}
	t := inProcess(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(web.OnHost(r.Context(), o.actor)))
	})
	return &administrator{o.speaker, &client.Client{Origin: o.conf.Config.PublicURL, Language: o.p.Lang, HTTP: &http.Client{Transport: t}}, o}, nil
}

// inProcess answers requests by a handler, without a network.
type inProcess http.HandlerFunc

// RoundTrip returns once the answer has begun; its body is read while it is written.
func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body, in := io.Pipe()
	w := &inProcessAnswer{header: http.Header{}, body: in, begun: make(chan int, 1)}
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI = r.URL.RequestURI()
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				err := fmt.Errorf("answer: %v", p)
				ended <- err
				in.CloseWithError(err)
				return
			}
			w.WriteHeader(http.StatusOK) // if it has said nothing
			in.Close()
		}()
		h(w, r)
	}()
	select {
	case status := <-w.begun:
		return &http.Response{Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: w.header.Clone(), Body: body, ContentLength: -1, Request: r}, nil
	case err := <-ended:
		return nil, err
	}
}

type inProcessAnswer struct {
	header http.Header
	body   io.Writer
	begun  chan int
	said   bool
}

func (w *inProcessAnswer) Header() http.Header { return w.header }

func (w *inProcessAnswer) WriteHeader(status int) {
	if !w.said {
		w.said = true
		w.begun <- status
	}
}

func (w *inProcessAnswer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// How often a call is tried when its answer is lost, and how long between.
const (
	callTries = 3
	callPause = 500 * time.Millisecond
)

// do calls an operation. Where the answer is lost it is asked for again: what
// acts carries a key, so that it acts once.
func do[In, Out any](ctx context.Context, o *administrator, op client.Operation[In, Out], in In) (out Out, err error) {
	key := ""
	if op.Retry && o.host == nil {
		key = rand.Text()
	}
	for try := 1; ; try++ {
		out, err = op.CallOnce(ctx, o.api, key, in)
		var lost *url.Error
		if err == nil || !errors.As(err, &lost) || ctx.Err() != nil {
			break
		}
		if try == callTries || key == "" && op.Method != http.MethodGet {
			f := failed("cli.unreachable", "server", o.api.Origin)
			f.code, f.cause = exitLater, lost.Err
			return out, f
		}
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-time.After(callPause):
		}
	}
	var p *client.Problem
	var strange *client.Strange
	switch {
	case ctx.Err() != nil:
		return out, ctx.Err()
	case errors.As(err, &strange):
		f := failed("cli.strange", "server", o.api.Origin)
		f.cause = strange.Err
		return out, f
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
		f := failed("cli.remote.refused", "server", o.api.Origin)
		f.code = exitNotAllowed
		return out, f
	case errors.As(err, &p) && p.Key == "" && p.Type == "": // a proxy's page, or a redirect
		f := failed("cli.strange", "server", o.api.Origin)
		f.cause = errors.New(p.Title)
		return out, f
	}
	return out, err
}

// refused reports whether a server refused with that text.
func refused(err error, key string) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Key == key
}

// missing reports whether a server says that something is not there.
func missing(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

// every calls each on all items of a list, page by page.
func every[T any](ctx context.Context, limit int, page func(after string, n int) (client.Page[T], error), each func(T)) error {
	return pages(limit, func(after string, n int) (int, string, error) {
		p, err := page(after, n)
		for _, x := range p.Items {
			each(x)
		}
		return len(p.Items), p.Next, err
	})
}

// save writes an answer that is a file to standard output.
func (o *administrator) save(s *client.Stream, err error) error {
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = io.Copy(o.stdout, s)
	return err
}

// user finds a user of an account by address.
func (o *administrator) user(ctx context.Context, account, address string) (int64, client.User, error) {
	n, err := number(account)
	if err != nil {
		return 0, client.User{}, err
	}
	p, err := do(ctx, o, client.ListUsers, client.ListUsersIn{Account: n, Email: address})
	if err != nil {
		return n, client.User{}, err
	}
	if len(p.Items) == 0 {
		f := failed("cli.nouser", "email", address, "number", n)
		f.code = exitNotFound
		return n, client.User{}, f
	}
	return n, p.Items[0], nil
}

// group finds a group by its name; the built-in one has a name in each language.
func (o *administrator) group(ctx context.Context, account, name string) (int64, client.Group, error) {
	n, err := number(account)
	if err != nil {
		return 0, client.Group{}, err
	}
	p, err := do(ctx, o, client.ListGroups, client.ListGroupsIn{Account: n, Name: name})
	if err != nil {
		return n, client.Group{}, err
	}
	if len(p.Items) == 0 {
		f := failed("cli.nogroup", "name", name, "number", n)
		f.code = exitNotFound
		return n, client.Group{}, f
	}
	return n, p.Items[0], nil
}

// groupName is how a group is called in the reader's language.
func (o *administrator) groupName(name string) string {
	if name == o.catalogue.Printer("en", nil).T("seed.admins") { // of the built-in group alone
		return o.t("seed.admins")
	}
	return name
}

// overText says over whose members a right is: other = of a group that who asks
// does not manage.
func (o *administrator) overText(group string, other bool) string {
	if other {
		return o.t("rt.overother")
	}
	return group
}

// nothingThere says in the terminal's words what a command did not find: on the
// web that is a page.
func (o *administrator) nothingThere(ctx context.Context, cmd *cobra.Command, args []string, err error) error {
	if !missing(err) || len(args) == 0 {
		return err
	}
	if strings.Contains(cmd.Use, "NUMBER") {
		n, bad := number(args[0])
		if bad != nil {
			return err
		}
		if _, known := do(ctx, o, client.GetAccount, client.Account{Account: n}); missing(known) {
			return o.noAccount(n)
		}
	}
	f := failed("cli.nothing", "name", args[len(args)-1])
	f.code = exitNotFound
	return f
}

// accounts are the numbers of the one that was named; else of all that the caller
// has a right in, for the host's operator after 0, for what is of none.
func (o *administrator) accounts(ctx context.Context, args []string) (out []int64, err error) {
	if len(args) > 0 {
		n, err := number(args[0])
		return []int64{n}, err
	}
	if o.host != nil {
		out = append(out, 0)
	}
	return out, every(ctx, 0, func(after string, n int) (client.Page[client.AccountInfo], error) {
		return do(ctx, o, client.ListAccounts, client.ListAccountsIn{After: after, Limit: n})
	}, func(a client.AccountInfo) { out = append(out, a.Number) })
}

// complete gives the arguments of commands on an account, where they are asked
// for in a shell: account numbers, and groups. What cannot be reached completes nothing.
func (a *app) complete(f *adminFlags, c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.complete(f, sub)
	}
	names := strings.Fields(c.Use)[1:]
	if len(names) == 0 || names[0] != "NUMBER" || c.ValidArgs != nil {
		return
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
		quiet := *a
		quiet.stderr = io.Discard
		add := func(name, what string) {
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(begun)) {
				found = append(found, cobra.CompletionWithDesc(name, printable(what)))
			}
		}
		list := func(ctx context.Context, o *administrator, _ []string) error {
			if len(args) == 0 {
				p, err := do(ctx, o, client.ListAccounts, client.ListAccountsIn{})
				for _, x := range p.Items {
					add(fmt.Sprint(x.Number), x.Name)
				}
				return err
			}
			if len(args) >= len(names) || names[len(args)] != "GROUP" {
				return nil
			}
			n, err := number(args[0])
			if err != nil {
				return err
			}
			p, err := do(ctx, o, client.ListGroups, client.ListGroupsIn{Account: n, Query: begun})
			for _, x := range p.Items {
				add(o.groupName(x.Name), "")
			}
			return err
		}
		if err := quiet.administer(f, list)(c, args); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
