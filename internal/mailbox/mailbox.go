// Package mailbox is the demonstration's mailbox: a real SMTP server on the
// loopback interface that takes whatever it is sent, for whomever, and web
// pages that show it. The service under demonstration sends through it exactly
// as it would through a company's smart host.
//
// It is for trials only: it has no sign-in, and shows every mail to whoever
// can reach its port.
package mailbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/i18n"
)

// maxMail is the size above which a mail is refused: 25 MiB of files make 48
// MiB when they are encoded twice.
const maxMail = 72 << 20

// refusedDomain is for whoever wants to see what a sender is told when a mail
// cannot be delivered: its addresses do not exist.
const refusedDomain = "bounce.example"

// Config is what a Box is made of.
type Config struct {
	Dir       string // where mails are kept; made if it is missing
	Site      string // address of the site whose mail this is, for the link back
	Catalogue *i18n.Catalogue
	Log       *slog.Logger
}

// Box holds the mails. It is safe for concurrent use.
type Box struct {
	conf  Config
	pages *pages

	mu    sync.RWMutex // guards mails
	mails []*Mail      // oldest first; a Mail does not change
}

// Mail is one received mail, for one or more recipients.
type Mail struct {
	ID          string       `json:"id"`
	To          []string     `json:"to"`   // of the SMTP envelope
	From        string       `json:"from"` // of the header, with the name
	Sender      string       `json:"envelope_from"`
	Subject     string       `json:"subject"`
	Date        time.Time    `json:"date"` // of arrival
	Text        string       `json:"text"`
	HTML        string       `json:"html"`
	Links       []string     `json:"links"`
	Attachments []Attachment `json:"attachments"`
	Size        int64        `json:"size"`
	Problem     string       `json:"problem,omitempty"` // why parts of it could not be read

	Pictures map[string]string `json:"-"` // data: addresses by content id, of those that stand in the HTML
}

// Attachment is what is known of one without its contents.
type Attachment struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Size int64  `json:"size"`
}

// Open opens the mailbox in c.Dir, with the mails that an earlier run kept there.
func Open(c Config) (*Box, error) {
	b := &Box{conf: c}
	var err error
	if b.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".eml")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		m, err := read(filepath.Join(c.Dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("open mailbox: %w", err)
		}
		m.ID = strconv.Itoa(n)
		b.mails = append(b.mails, m)
	}
	slices.SortFunc(b.mails, func(a, b *Mail) int { return number(a.ID) - number(b.ID) })
	return b, nil
}

// Mails returns all mails, the newest first.
func (b *Box) Mails() []*Mail {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := slices.Clone(b.mails)
	slices.Reverse(out)
	return out
}

// Find returns the mail with this id.
func (b *Box) Find(id string) (*Mail, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, m := range b.mails {
		if m.ID == id {
			return m, true
		}
	}
	return nil, false
}

// deliver keeps one mail. Two header fields in front of it say who it is from
// and for, as mail servers write them on final delivery.
func (b *Box) deliver(from string, to []string, r io.Reader) (*Mail, error) {
	tmp, err := os.CreateTemp(b.conf.Dir, "arriving-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing to remove
	defer tmp.Close()
	if _, err := io.WriteString(tmp, trace(from, to)); err != nil {
		return nil, err
	}
	if _, err := io.Copy(tmp, r); err != nil {
		return nil, err
	}
	if err := tmp.Close(); err != nil {
		return nil, err
	}
	m, err := read(tmp.Name())
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m.ID = "1"
	if n := len(b.mails); n > 0 {
		m.ID = strconv.Itoa(number(b.mails[n-1].ID) + 1)
	}
	if err := os.Rename(tmp.Name(), b.path(m.ID)); err != nil {
		return nil, err
	}
	b.mails = append(b.mails, m)
	return m, nil
}

func trace(from string, to []string) string {
	var s bytes.Buffer
	fmt.Fprintf(&s, "Return-Path: <%s>\r\n", from)
	for _, a := range to {
		fmt.Fprintf(&s, "Delivered-To: %s\r\n", a)
	}
	return s.String()
}

func (b *Box) path(id string) string {
	return filepath.Join(b.conf.Dir, fmt.Sprintf("%06d.eml", number(id)))
}

// read is the mail in the file at path, without an id.
func read(path string) (*Mail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &Mail{Size: info.Size(), Date: info.ModTime().UTC(), To: []string{}, Links: []string{}, Attachments: []Attachment{}}
	m.parse(f)
	return m, nil
}

// errNoAttachment is a number that the mail has no attachment for.
var errNoAttachment = errors.New("no such attachment")

// attachment hands the decoded contents of attachment n to use.
func (b *Box) attachment(m *Mail, n int, use func(Attachment, io.Reader) error) error {
	if n < 0 || n >= len(m.Attachments) {
		return errNoAttachment
	}
	f, err := os.Open(b.path(m.ID))
	if err != nil {
		return err
	}
	defer f.Close()
	found := false
	walk(f, func(p part) bool {
		if !p.attached {
			return true
		}
		if n--; n >= 0 {
			return true
		}
		found = true
		err = use(Attachment{Name: p.name, Type: p.mediaType}, p.body)
		return false
	})
	if !found {
		return errNoAttachment
	}
	return err
}

func number(id string) int {
	n, _ := strconv.Atoi(id) // ids are numbers that this package gave
	return n
}
