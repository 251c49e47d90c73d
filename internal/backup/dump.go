package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// postgres prepares one of PostgreSQL's own programs on a database. A password
// is in its environment, which only its user can read, not among its arguments.
func postgres(ctx context.Context, program, address string, args ...string) (*exec.Cmd, *bytes.Buffer, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "backup.nodump").With("program", program).Because(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, errors.New("the database's address is no URL")
	}
	env := os.Environ()
	if password, ok := u.User.Password(); ok {
		u.User = url.User(u.User.Username())
		env = append(env, "PGPASSWORD="+password)
	}
	query := u.Query()
	for name, variable := range map[string]string{"password": "PGPASSWORD", "sslpassword": "PGSSLPASSWORD"} {
		if query.Has(name) { // libpq takes it there too
			env = append(env, variable+"="+query.Get(name))
			query.Del(name)
			u.RawQuery = query.Encode()
		}
	}
	cmd := exec.CommandContext(ctx, path, append(args, "--dbname="+u.String())...)
	said := &bytes.Buffer{}
	cmd.Env, cmd.Stderr = env, said
	return cmd, said, nil
}

// ran is what running it came to, with the last line that the program said.
func ran(ctx context.Context, program string, said *bytes.Buffer, err error) error {
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	reason := strings.TrimSpace(said.String())
	if reason == "" {
		reason = err.Error()
	}
	return fault.New(fault.Unavailable, "backup.pgdump").With("program", program).With("reason", reason[strings.LastIndexByte(reason, '\n')+1:]).Because(err)
}

// dump writes the database as of a snapshot in pg_dump's own format.
func dump(ctx context.Context, address, snapshot string, to io.Writer) error {
	args := []string{"--format=custom", "--no-owner", "--no-privileges", "--snapshot=" + snapshot}
	for _, table := range store.KeyTables {
		args = append(args, "--exclude-table-data="+table)
	}
	cmd, said, err := postgres(ctx, "pg_dump", address, args...)
	if err != nil {
		return err
	}
	cmd.Stdout = to
	return ran(ctx, "pg_dump", said, cmd.Run())
}

// load is dump's other way, into an empty database: all of it or nothing.
func load(ctx context.Context, address string, from io.Reader) error {
	cmd, said, err := postgres(ctx, "pg_restore", address, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
	if err != nil {
		return err
	}
	cmd.Stdin = from
	return ran(ctx, "pg_restore", said, cmd.Run())
}
