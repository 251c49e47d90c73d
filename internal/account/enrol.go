package account

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// maxName is the length of a first, last, group or account name, in characters.
const maxName = 64

// Enrolment is what a person gives to have an account of their own.
type Enrolment struct {
	FirstName string
	LastName  string
	Password  string
	Confirm   string
	Language  string // en or fr; anything else is en
	TimeZone  string // IANA name; one that is unknown is UTC
}

// Preferences are what a person chooses about themselves.
type Preferences struct {
	FirstName    string
	LastName     string
	Language     string
	TimeZone     string
	Theme        string // auto, light, dark
	NotifyOpened bool
}

// clean makes a name of what was typed: NFC, one space between words, nothing
// that does not show.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r) || blank(r):
			return -1
		}
		return r
	}, norm.NFC.String(s))
	return strings.Join(strings.Fields(s), " ")
}

// checkName finds what is wrong with a name.
func checkName(p *problems, field, name string) {
	if utf8.RuneCountInString(name) > maxName {
		p.add(field, "people.namelong", fault.Args{"n": maxName})
	}
}

var nameLink = regexp.MustCompile(`(?i)://|\bwww\.`)

// checkPerson finds what is wrong with a person's names. They stand before an
// address in cards and mails, where one that looks like an address lies (AT-66).
func checkPerson(p *problems, first, last string) {
	for _, f := range []struct{ field, name string }{{"first_name", first}, {"last_name", last}} {
		checkName(p, f.field, f.name)
		if strings.ContainsAny(norm.NFKC.String(f.name), "@<>") { // also in their wide forms
			p.add(f.field, "people.namechars", nil)
		} else if nameLink.MatchString(norm.NFKC.String(f.name)) { // mails have it in their subjects
			p.add(f.field, "people.namelink", nil)
		}
	}
}

func language(s string) string {
	if i18n.Known(s) {
		return s
	}
	return i18n.Languages[0]
}

func timeZone(s string) string {
	if s == "Local" {
		return "UTC"
	}
	if _, err := time.LoadLocation(s); s == "" || err != nil {
		return "UTC"
	}
	return s
}

// checkPlace finds what is wrong with a language and a time zone that somebody
// wrote; what is empty is not said.
func checkPlace(p *problems, lang, zone string) {
	if lang != "" && language(lang) != lang {
		p.add("language", "people.badlanguage", fault.Args{"value": lang})
	}
	if zone != "" && timeZone(zone) != zone {
		p.add("time_zone", "people.badzone", fault.Args{"value": zone})
	}
}

// newUser is a person with what everybody begins with.
func newUser(address mailaddr.Address, e Enrolment) store.User {
	return store.User{
		ID: id.New(), Address: address.Canonical(), DisplayAddress: address.String(),
		FirstName: clean(e.FirstName), LastName: clean(e.LastName),
		Language: language(e.Language), TimeZone: timeZone(e.TimeZone), Theme: "auto", NotifyOpened: true, State: store.UserActive,
	}
}

// Enrol makes a user of the visitor who proved an address in this session, and
// signs them in.
func (s *Service) Enrol(ctx context.Context, sess *Session, e Enrolment) (*Session, error) {
	if sess == nil || sess.User != nil || sess.Address == "" {
		return nil, ended()
	}
	address, err := mailaddr.Parse(sess.Address)
	if err != nil {
		return nil, err
	}
	u := newUser(address, e)
	if err := s.checkEnrolment(ctx, 0, u, e); err != nil {
		return nil, err
	}
	phc, err := s.hash(ctx, e.Password)
	if err != nil {
		return nil, err
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		row, err := tx.LockSession(sess.Hash)
		if errors.Is(err, store.ErrNotFound) || err == nil && row.Address != u.Address {
			return ended(), nil
		} else if err != nil {
			return nil, err
		}
		if _, err := tx.FindUserByAddress(u.Address); err == nil {
			return fault.New(fault.Conflict, "enrol.exists"), nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		site, err := siteSettings(tx)
		if err != nil {
			return nil, err
		}
		if !site.Enrol {
			return fault.New(fault.Denied, "off.enrol"), nil
		}
		if err := tx.InsertUser(u, store.Password{Hash: phc}); err != nil {
			return nil, err
		}
		actor := Actor{Kind: KindUser, Address: u.Address, Origin: sess.Origin}
		if err := record(tx, actor, "user.enrol", 0, u.Address); err != nil {
			return nil, err
		}
		out, err = signIn(tx, sess, u, proof{method: store.MethodCode, mailbox: true}, sess.Client)
		return nil, err
	})
	if errors.Is(err, store.ErrTaken) { // by another session at the same moment
		return nil, fault.New(fault.Conflict, "enrol.exists").Because(err)
	}
	return out, err
}

func (s *Service) checkEnrolment(ctx context.Context, number int64, u store.User, e Enrolment) error {
	least, err := s.PasswordLength(ctx, number)
	if err != nil {
		return err
	}
	var p problems
	checkPerson(&p, u.FirstName, u.LastName)
	s.checkPassword(&p, least, e.Password, e.Confirm, false, u.FirstName, u.LastName, u.Address)
	return p.err()
}

// Welcome notes that the person has left the new-account page.
func (s *Service) Welcome(ctx context.Context, sess *Session) error {
	if !sess.SignedIn() {
		return ended()
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.SetWelcomed(sess.UserID) })
}

// SavePreferences writes what the person chooses about themselves.
func (s *Service) SavePreferences(ctx context.Context, sess *Session, f Preferences) error {
	if !sess.SignedIn() {
		return ended()
	}
	u := store.User{
		ID: sess.UserID, FirstName: clean(f.FirstName), LastName: clean(f.LastName),
		Language: f.Language, TimeZone: f.TimeZone, Theme: f.Theme, NotifyOpened: f.NotifyOpened,
	}
	var p problems
	checkPerson(&p, u.FirstName, u.LastName)
	if !i18n.Known(u.Language) {
		p.add("language", "people.choice", nil)
	}
	if timeZone(u.TimeZone) != u.TimeZone {
		p.add("time_zone", "people.zone", nil)
	}
	if u.Theme != "auto" && u.Theme != "light" && u.Theme != "dark" {
		p.add("theme", "people.choice", nil)
	}
	if p.err() != nil {
		return p.err()
	}
	return orNotFound(s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.SetPreferences(u) }))
}
