package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/spool"
)

// Files too large for a mail (docs/reference/large-files.md).
const (
	largePart  = 4 << 20            // bytes of ciphertext in one request
	largeTries = 8                  // of one part, one after the other
	forgotten  = 8 * 24 * time.Hour // the service has forgotten a transfer by then
	syncEvery  = 64 << 20           // bytes between two moments at which what is fetched is durable
)

// transfer is a file on its way to a server, or there and in no message yet. It is
// kept with the sign-ins, so that the same command goes on with it.
type transfer struct {
	Origin   string    `json:"origin"`
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	ID       string    `json:"id"`
	Key      string    `json:"key"`  // base64url
	Salt     string    `json:"salt"` // base64url
	Begun    time.Time `json:"begun"`
}

func (a *app) transfersPath() (string, error) {
	path, err := a.sessionsPath()
	return filepath.Join(filepath.Dir(path), "transfers.json"), err
}

func (a *app) loadTransfers() (list []*transfer, err error) {
	path, err := a.transfersPath()
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, failed("cli.badsessions", "file", path)
	}
	return slices.DeleteFunc(list, func(t *transfer) bool { return time.Since(t.Begun) > forgotten }), nil
}

// remember keeps the list of transfers as change makes it.
func (a *app) remember(change func([]*transfer) []*transfer) error {
	list, err := a.loadTransfers()
	if err != nil {
		return err
	}
	path, err := a.transfersPath()
	if err != nil {
		return err
	}
	return keep(path, change(list))
}

// forget forgets transfers whose files are in a message, or not wanted any more.
func (a *app) forget(done []*transfer) error {
	if len(done) == 0 {
		return nil
	}
	return a.remember(func(list []*transfer) []*transfer {
		return slices.DeleteFunc(list, func(t *transfer) bool {
			return slices.ContainsFunc(done, func(d *transfer) bool { return d.ID == t.ID })
		})
	})
}

// attach adds files to the message in src: what the server's mail does not take
// goes beside it. Without a server, server is nil, all of them are in it.
func (a *app) attach(ctx context.Context, server *connection, info serverInfo, src *source, paths []string) (*source, []*transfer, error) {
	var parts []message.Attachment
	var beside []*transfer
	left := info.Attachments
	for _, path := range paths {
		stat, err := os.Stat(path)
		if err != nil {
			return nil, nil, notFound(err, path)
		}
		if !stat.Mode().IsRegular() {
			return nil, nil, usage("cli.large.notfile", "file", path)
		}
		name, typ := filepath.Base(path), mime.TypeByExtension(filepath.Ext(path))
		typ, _, _ = strings.Cut(typ, ";")
		if server == nil || stat.Size() <= left {
			left -= stat.Size()
			parts = append(parts, message.Attachment{Name: name, Type: typ, Size: stat.Size(), Open: func() (io.ReadCloser, error) { return os.Open(path) }})
			continue
		}
		if stat.Size() > info.Large {
			return nil, nil, usage("cli.large.toobig", "file", path, "size", a.p.Bytes(info.Large))
		}
		t, err := a.upload(ctx, server, path, stat)
		if err != nil {
			return nil, nil, err
		}
		beside = append(beside, t)
		l, _, err := t.large()
		if err != nil {
			return nil, nil, err
		}
		l.Name, l.Type = name, typ
		text := l.Text()
		parts = append(parts, message.Attachment{Name: a.t("large.name", "file", name), Type: envelope.LargeType, Size: int64(len(text)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }})
	}
	in, err := src.Open()
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	s := spool.New(os.TempDir())
	if err = message.Attach(s, in, parts); err == nil {
		err = s.Finish()
	}
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return &source{spool: s}, beside, nil
}

// large is what opens the file, without its name.
func (t *transfer) large() (l envelope.Large, salt envelope.LargeSalt, err error) {
	l.Size = t.Size
	raw, err := hex.DecodeString(t.ID)
	if err != nil || len(raw) != len(l.ID) {
		return l, salt, fmt.Errorf("read transfer: id %q", t.ID)
	}
	copy(l.ID[:], raw)
	if l.Key, err = envelope.ParseSecret(t.Key); err != nil {
		return l, salt, err
	}
	raw, err = base64.RawURLEncoding.DecodeString(t.Salt)
	if err != nil || len(raw) != len(salt) {
		return l, salt, errors.New("read transfer: its salt")
	}
	copy(salt[:], raw)
	return l, salt, nil
}

// same reports whether the file is as it was when the transfer began: other bytes
// must never be sealed under the same key and place.
func (t *transfer) same(stat fs.FileInfo) bool {
	return t.Size == stat.Size() && t.Modified.Equal(stat.ModTime())
}

// upload sends a file's ciphertext, or what is missing of it. Where the line breaks,
// or the server is gone, it asks again for a while; the next run goes on from there.
func (a *app) upload(ctx context.Context, c *connection, path string, stat fs.FileInfo) (*transfer, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	list, err := a.loadTransfers()
	if err != nil {
		return nil, err
	}
	var t *transfer
	var state struct {
		ID     string `json:"id"`
		Offset int64  `json:"offset"`
	}
	if i := slices.IndexFunc(list, func(t *transfer) bool { return t.Origin == c.origin && t.Path == path && t.same(stat) }); i >= 0 {
		t = list[i]
		err := c.call(ctx, "GET", "/api/v1/large/"+t.ID, nil, &state)
		var p *client.Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound {
			if err := a.forget([]*transfer{t}); err != nil {
				return nil, err
			}
			t = nil
		} else if err != nil {
			return nil, c.explain(err)
		}
	}
	if t == nil {
		size := envelope.Large{Size: stat.Size()}.SealedSize()
		if err := c.call(ctx, "POST", "/api/v1/large", map[string]int64{"size": size}, &state); err != nil {
			return nil, c.explain(err)
		}
		var secret [56]byte
		rand.Read(secret[:])
		t = &transfer{Origin: c.origin, Path: path, Size: stat.Size(), Modified: stat.ModTime(), ID: state.ID, Begun: time.Now(),
			Key: b64(secret[:32]), Salt: b64(secret[32:])}
		if err := a.remember(func(list []*transfer) []*transfer { return append(list, t) }); err != nil {
			return nil, err
		}
	} else if state.Offset > 0 {
		a.tell("cli.large.goeson", "file", path, "size", a.p.Bytes(state.Offset))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return t, a.sendParts(ctx, c, t, f, state.Offset)
}

// sendParts sends the ciphertext of f from offset at on.
func (a *app) sendParts(ctx context.Context, c *connection, t *transfer, f *os.File, at int64) error {
	l, salt, err := t.large()
	if err != nil {
		return err
	}
	total := l.SealedSize()
	show := a.progress(t.Path, total)
	for fails := 0; at < total; {
		show(at)
		stat, err := f.Stat()
		if err == nil && !t.same(stat) {
			err = failed("cli.large.changed", "file", t.Path)
		}
		if err != nil {
			return err
		}
		n := min(largePart, total-at)
		sealed, err := l.Seal(f, salt, at)
		if err != nil {
			return err
		}
		var state struct {
			Offset int64 `json:"offset"`
		}
		header := http.Header{"Content-Type": {"application/offset+octet-stream"}, "Upload-Offset": {strconv.FormatInt(at, 10)}}
		err = c.read(ctx, "PATCH", "/api/v1/large/"+t.ID, header, io.LimitReader(sealed, n), n, &state)
		if err == nil {
			at, fails = state.Offset, 0
			continue
		}
		if fails, err = a.again(ctx, c, fails, err, "large.offset"); err != nil {
			return stopped(err, "cli.large.stopped", t.Path)
		}
		// What the server has counts, whatever was thought to have been sent.
		err = c.call(ctx, "GET", "/api/v1/large/"+t.ID, nil, &state)
		if final(err) {
			return c.explain(err)
		}
		if err == nil {
			at = state.Offset
		}
	}
	show(total)
	return nil
}

// final reports whether a server has refused, so that asking again would not help.
func final(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusRequestTimeout && p.Status != http.StatusTooManyRequests
}

// again waits before the next try, after so many that failed one after the other.
// It returns the error to end with where there is to be none. A refusal with the
// key but is no end.
func (a *app) again(ctx context.Context, c *connection, fails int, err error, but string) (int, error) {
	var p *client.Problem
	if final(err) && !(errors.As(err, &p) && p.Key == but) {
		return fails, c.explain(err)
	}
	if ctx.Err() != nil || fails >= largeTries {
		return fails, errors.Join(errStopped, err)
	}
	select {
	case <-ctx.Done():
		return fails, errors.Join(errStopped, ctx.Err())
	case <-time.After(min(30*time.Second, 500*time.Millisecond<<fails)):
	}
	return fails + 1, nil
}

// errStopped is a transfer that the next run goes on with.
var errStopped = errors.New("stopped")

func stopped(err error, key, file string) error {
	if !errors.Is(err, errStopped) || errors.Is(err, context.Canceled) {
		return err
	}
	f := failed(key, "file", file)
	f.code, f.cause = exitLater, err
	return f
}

// progress shows on a terminal how far a file has come, every tenth.
func (a *app) progress(file string, total int64) func(done int64) {
	said := int64(-1)
	return func(done int64) {
		if tenth := done * 10 / max(total, 1); isTerminal(a.stderr) && tenth > said {
			said = tenth
			a.tell("cli.large.progress", "file", file, "pct", tenth*10)
		}
	}
}

// descriptors takes out of a message what opens the files beside it.
type descriptors struct {
	parts []envelope.Part // of the message
	at    int64           // bytes of it that have passed
	found map[int][]byte  // encoded, by part
}

func (d *descriptors) Write(b []byte) (int, error) {
	for i, p := range d.parts {
		from, to := max(p.Offset-d.at, 0), min(p.Offset+p.Length-d.at, int64(len(b)))
		if p.Type == envelope.LargeType && p.Size <= envelope.MaxLargeText && p.Length <= 4*envelope.MaxLargeText && from < to {
			if d.found == nil {
				d.found = map[int][]byte{}
			}
			d.found[i] = append(d.found[i], b[from:to]...)
		}
	}
	d.at += int64(len(b))
	return len(b), nil
}

// larges are those that can be read; another is an attachment like any.
func (d *descriptors) larges() (out []envelope.Large) {
	for i, p := range d.parts {
		var text bytes.Buffer
		if raw := d.found[i]; raw == nil || message.Decode(&text, bytes.NewReader(raw), p.Encoding) != nil {
			continue
		}
		if l, err := envelope.ReadLarge(text.Bytes()); err == nil {
			out = append(out, l)
		}
	}
	return out
}

// safeFile is a name that somebody else chose, as one that any system takes, and
// that is in the directory that it is put in.
func safeFile(name string) string {
	name = strings.TrimLeft(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_")), ". ")
	for len(name) > 200 {
		r := []rune(name)
		name = string(r[len(r)-len(r)*9/10:]) // what a file is stands at its end
	}
	if name == "" {
		return "file"
	}
	return name
}

// fetch gets a file beside the message, opens it, and puts it into dir, where
// nothing is replaced. What has come stays in a hidden file until it is whole,
// every byte of it verified, and is gone on with.
func (a *app) fetch(ctx context.Context, c *connection, slot envelope.SlotID, l envelope.Large, dir string) error {
	path := filepath.Join(dir, safeFile(l.Name))
	if _, err := os.Lstat(path); err == nil {
		return exists(path)
	}
	part := filepath.Join(dir, ".pli-"+hex.EncodeToString(l.ID[:])+".part")
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	d := &fetching{app: a, c: c, path: fmt.Sprintf("/api/v1/open/large/%s/%s?at=", slot, hex.EncodeToString(l.ID[:])), name: path}
	if err := d.run(ctx, l, f, have/syncEvery*syncEvery); err != nil {
		if errors.Is(err, envelope.ErrAltered) || errors.Is(err, envelope.ErrWrongKey) {
			os.Remove(part)
			return failed("cli.large.altered", "file", path)
		}
		return stopped(err, "cli.large.fetchstopped", path)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(part, path); errors.Is(err, fs.ErrExist) {
		return exists(path)
	} else if err != nil {
		return err
	}
	a.tell("cli.large.fetched", "file", path, "size", a.p.Bytes(l.Size))
	return os.Remove(part) // the second name of a file that is in its place
}

// fetching is a file on its way from a server.
type fetching struct {
	app   *app
	c     *connection
	path  string
	name  string
	fails int
}

// run opens the file into f, which has so many of its bytes for sure.
func (d *fetching) run(ctx context.Context, l envelope.Large, f *os.File, done int64) error {
	prefix := make([]byte, envelope.LargePrefix)
	for {
		if n, err := d.copy(ctx, 0, &limited{prefix}); n == envelope.LargePrefix {
			break
		} else if err = d.wait(ctx, err); err != nil {
			return err
		}
	}
	w := &syncing{f: f, n: done}
	o, at, kept, err := l.Open(prefix, w, done)
	if err != nil {
		return err
	}
	if done > 0 {
		d.app.tell("cli.large.goeson", "file", d.name, "size", d.app.p.Bytes(kept))
	}
	if err = f.Truncate(kept); err == nil {
		_, err = f.Seek(kept, io.SeekStart)
	}
	if err != nil {
		return err
	}
	w.n = kept
	total := l.SealedSize()
	for show := d.app.progress(d.name, total); at < total; {
		n, err := d.copy(ctx, at, o)
		if at += n; n > 0 {
			d.fails = 0
		}
		show(at)
		if err != nil || n == 0 {
			if err = d.wait(ctx, err); err != nil {
				return err
			}
		}
	}
	return o.Close()
}

// copy writes what the server gives from an offset on, which may be a piece of
// what there is, and says how much it was. An error of w is final.
func (d *fetching) copy(ctx context.Context, at int64, w io.Writer) (int64, error) {
	r, err := d.c.send(ctx, "GET", d.path+strconv.FormatInt(at, 10), http.Header{}, nil, -1)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	out := &writeErrors{w: w}
	n, err := io.Copy(out, r.Body)
	if out.err != nil {
		return n, &writeError{out.err}
	}
	return n, err
}

// writeError is an error of what a server's answer is written to.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

func (d *fetching) wait(ctx context.Context, err error) error {
	var mine *writeError
	if errors.As(err, &mine) {
		return mine.error
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	d.fails, err = d.app.again(ctx, d.c, d.fails, err, "")
	return err
}

// syncing makes a file durable at every syncEvery bytes, so that after whatever
// broke all before the last of these places is there.
type syncing struct {
	f *os.File
	n int64
}

func (s *syncing) Write(b []byte) (int, error) {
	n, err := s.f.Write(b)
	before := s.n / syncEvery
	if s.n += int64(n); err == nil && s.n/syncEvery > before {
		err = s.f.Sync()
	}
	return n, err
}

// limited takes as much as it has room for; what comes behind it ends the copy.
type limited struct{ room []byte }

func (l *limited) Write(b []byte) (int, error) {
	n := copy(l.room, b)
	if l.room = l.room[n:]; n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}
