package sealing

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/spool"
)

const (
	maxSubject = 200 // characters
	maxNote    = 500 // characters
	maxName    = 150 // characters, of a person or a file
	maxFiles   = 200 // files of one message; a manifest has room for 1,000 parts

	maxFileType = 100 // bytes; a header's line has no room for much more
)

// Check names every field of a request that Seal would refuse, before its files
// are read: fault.Invalid with Fields, or nil.
func (s *Service) Check(r Request) error { return (&job{s: s, r: r}).check() }

// check normalises the request and names every field that cannot be used.
func (j *job) check() error {
	r := &j.r
	var err error
	if j.from, err = mailaddr.Parse(r.Sender.Address); err != nil {
		return fmt.Errorf("seal message: sender: %w", err)
	}
	seen := make(map[string]bool)
	for _, list := range [][]mailaddr.Address{r.To, r.Cc} {
		j.direct = len(j.to) // what the first list gave, after the second turn
		for _, a := range list {
			if !a.IsZero() && !seen[a.Canonical()] {
				seen[a.Canonical()] = true
				j.to = append(j.to, a)
			}
		}
	}
	bad := fault.New(fault.Invalid, "err.title")
	switch {
	case len(j.to) == 0:
		bad = bad.In("to", "new.norecipient", nil)
	case len(j.to) > maxRecipients:
		bad = bad.In("to", "mail.seal.recipients", fault.Args{"max": maxRecipients})
	}
	r.Text = strings.ReplaceAll(strings.ReplaceAll(r.Text, "\r\n", "\n"), "\r", "\n")
	r.Note = strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(r.Note, "\r\n", "\n"), "\r", "\n"))
	r.Subject = strings.TrimSpace(r.Subject)
	for _, f := range []struct {
		name, label, value string
		max                int
		lines              bool
	}{
		{"subject", "new.subject", r.Subject, maxSubject, false},
		{"note", "open.note", r.Note, maxNote, true},
		{"body", "new.body", r.Text, maxText, true},
	} {
		if hasControl(f.value, f.lines) {
			bad = bad.In(f.name, "mail.seal.character", fault.Args{"field": f.label})
		} else if utf8.RuneCountInString(f.value) > f.max {
			bad = bad.In(f.name, "err.long", fault.Args{"field": f.label, "n": f.max})
		}
	}
	if r.Passphrase != nil && !envelope.IsHint(r.Passphrase.Hint) {
		bad = bad.In("pp_hint", "err.long", fault.Args{"field": "pp.hintlabel", "n": envelope.MaxHint / 2})
	}
	if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(j.s.cfg.DB.Now()) {
		bad = bad.In("until", "exp.past", nil)
	}
	if !r.RemindAt.IsZero() && (!r.RemindAt.After(j.s.cfg.DB.Now()) || remindsLate(r.RemindAt, r.ExpiresAt)) {
		bad = bad.In("remind", "new.badremind", nil)
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	r.Sender.Name = personName(r.Sender.Name)
	return nil
}

// personName is a name of a person's own profile, or that a sender typed beside
// an address: what cannot stand in a header, or shows nothing, is left out.
func personName(s string) string {
	s = strings.TrimSpace(strings.Map(dropControl, strings.ToValidUTF8(s, "")))
	if r := []rune(s); len(r) > maxName {
		s = strings.TrimSpace(string(r[:maxName]))
	}
	return s
}

// remindsLate reports whether the sender would be reminded of what nobody can open any more.
func remindsLate(at, ends time.Time) bool { return !ends.IsZero() && at.After(ends) }

// hasControl reports whether s would write more than its own header (AT-65):
// CR, LF, NUL and the other controls; in text of lines, LF and tab may stand.
func hasControl(s string, lines bool) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && !(lines && (r == '\n' || r == '\t' || r == '\f'))
	})
}

func dropControl(r rune) rune {
	if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
		return -1
	}
	return r
}

// compose writes the MIME message into the spool. The files wait in a spool of
// their own, since a message names its files before it has them all.
func (j *job) compose(plain *spool.File) error {
	scratch := spool.New(j.s.cfg.Spool)
	defer scratch.Close()
	next := j.r.Files
	if j.r.Draft != nil {
		var done func()
		next, done = j.s.draftFiles(j.r.Draft)
		defer done()
	}
	var attached []message.Attachment
	err := j.s.receive(next, 0, j.maxFiles(), j.maxFiles(), func(a message.Attachment, in io.Reader) (n int64, err error) {
		a.Size, err = io.Copy(scratch, in)
		attached = append(attached, a)
		return a.Size, err
	})
	if err != nil {
		return err
	}
	if len(attached) == 0 && strings.TrimSpace(j.r.Text) == "" {
		return fault.New(fault.Invalid, "err.title").In("body", "new.empty", nil)
	}
	if err := scratch.Finish(); err != nil {
		return fmt.Errorf("seal message: %w", err)
	}
	files, err := scratch.Reader()
	if err != nil {
		return fmt.Errorf("seal message: %w", err)
	}
	defer files.Close()
	m := message.Mail{
		From: message.Mailbox{Name: j.r.Sender.Name, Addr: j.from}, Subject: j.r.Subject, Date: j.sealedAt,
		MessageID: outbox.NewMessageID(j.from), Text: strings.ReplaceAll(j.r.Text, "\n", "\r\n"), Attachments: attached,
	}
	if m.Text == "" {
		m.Text = "\r\n"
	}
	for i, a := range j.to {
		if box := (message.Mailbox{Addr: a}); i < j.direct {
			m.To = append(m.To, box)
		} else {
			m.Cc = append(m.Cc, box)
		}
	}
	readFrom(m.Attachments, files)
	if err := j.composeAnswer(&m, scratch); err != nil {
		return err
	}
	if _, err := m.WriteTo(plain); err != nil {
		return fmt.Errorf("seal message: %w", err)
	}
	if err := plain.Finish(); err != nil {
		return fmt.Errorf("seal message: %w", err)
	}
	return nil
}

// readFrom makes files, which holds all of them one behind the other, the source of the attachments.
func readFrom(list []message.Attachment, files io.Reader) {
	for i := range list {
		size := list[i].Size
		// The message writer opens each attachment once, in this order.
		list[i].Open = func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(files, size)), nil }
	}
}

// receive reads files one after the other and hands each to keep, which returns
// how many bytes it had and reads at most one more than are left. have is how
// many files there are already, and left the bytes that there is room for, of the
// limit that a refusal names.
func (s *Service) receive(files func() (*File, error), have int, left, limit int64, keep func(a message.Attachment, in io.Reader) (int64, error)) error {
	if files == nil {
		return nil
	}
	for ; ; have++ {
		f, err := files()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("seal message: read files: %w", err)
		}
		if have == maxFiles {
			return fault.New(fault.TooLarge, "mail.seal.files").With("max", maxFiles).In("files", "mail.seal.files", fault.Args{"max": maxFiles})
		}
		a := message.Attachment{Name: fileName(f.Name), Type: fileType(f.Type)}
		size, err := keep(a, io.LimitReader(f.Reader, left+1))
		if err != nil {
			return fmt.Errorf("seal message: read files: %w", err)
		}
		if size > left {
			// What is not kept is still counted, so that the size can be named.
			rest, err := io.Copy(io.Discard, io.LimitReader(f.Reader, 8*limit))
			args := fault.Args{"file": a.Name, "size": i18n.Size(size + rest), "max": i18n.Size(limit / (1 << 20) * 1_000_000)}
			e := fault.New(fault.TooLarge, "reply.toobig").In("files", "reply.toobig", args)
			for k, v := range args {
				e = e.With(k, v)
			}
			return e.Because(err)
		}
		left -= size
	}
}

// fileName is what a recipient sees of a file's name: its last element, of
// at most maxName characters, without controls and direction changes.
func fileName(s string) string {
	s = strings.Map(dropControl, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(path.Base(strings.ReplaceAll(s, `\`, "/")))
	if s == "" || s == "." || s == ".." || s == "/" {
		return "file"
	}
	if r := []rune(s); len(r) > maxName {
		ext := path.Ext(s)
		if n := len([]rune(ext)); n > 20 {
			ext = ""
		}
		s = string(r[:maxName-len([]rune(ext))]) + ext
	}
	return s
}

// fileType is a media type that may stand on a file: not one that would make
// it a part of the message's structure, nor one longer than any that is known.
func fileType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if (err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter)) || len(t) > maxFileType || !strings.Contains(t, "/") ||
		strings.HasPrefix(t, "multipart/") || strings.HasPrefix(t, "message/") {
		return "application/octet-stream"
	}
	return t
}
