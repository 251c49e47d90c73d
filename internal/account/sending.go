package account

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

const (
	maxSignature = 1000 // characters
	maxContacts  = 500  // shown and suggested, the last used
)

// Sending are a sender's preferences.
type Sending struct {
	Signature  string
	ExpiryDays int // 0: as the account has it
	Notify     bool
	Language   string // of the mails: en, fr, both, "" for the page's
}

// Sending returns the preferences of the session's person.
func (s *Service) Sending(ctx context.Context, sess *Session) (Sending, error) {
	if !sess.SignedIn() {
		return Sending{}, ended()
	}
	out := Sending{Notify: sess.User.NotifyOpened}
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.FindSending(sess.UserID)
		out.Signature, out.ExpiryDays, out.Language = row.Signature, row.ExpiryDays, row.Language
		return err
	})
	return out, err
}

// SaveSending keeps them. The end date may be earlier than the account's, not
// later (exp.max).
func (s *Service) SaveSending(ctx context.Context, sess *Session, in Sending) error {
	if !sess.SignedIn() || sess.Account == nil {
		return ended()
	}
	var p problems
	text := strings.TrimRightFunc(strings.ReplaceAll(in.Signature, "\r\n", "\n"), unicode.IsSpace)
	if utf8.RuneCountInString(text) > maxSignature {
		p.add("signature", "err.long", fault.Args{"field": "set.signature", "n": maxSignature})
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) || !utf8.ValidString(text) {
		p.add("signature", "mail.seal.character", fault.Args{"field": "set.signature"})
	}
	settings, err := sess.Settings()
	if err != nil {
		return err
	}
	switch most := settings.ExpiryMax; {
	case in.ExpiryDays < 0 || in.ExpiryDays > 3660:
		p.add("days", "set.baddays", nil)
	case most > 0 && in.ExpiryDays > most:
		p.add("days", "exp.max", fault.Args{"n": most})
	}
	if in.Language != "" && in.Language != "both" && !i18n.Known(in.Language) {
		p.add("language", "people.choice", nil)
	}
	if err := p.err(); err != nil {
		return err
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetSending(sess.UserID, store.Sending{Signature: text, ExpiryDays: in.ExpiryDays, Language: in.Language}); err != nil {
			return err
		}
		return tx.SetNotifyOpened(sess.UserID, in.Notify)
	})
}

// Contacts returns those whom the session's person has sent to, the last used
// first: all, or those whose address or name has query in it.
func (s *Service) Contacts(ctx context.Context, sess *Session, query string) ([]store.Contact, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	var out []store.Contact
	query = strings.ToLower(strings.TrimSpace(query))
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		all, err := tx.ListContacts(sess.UserID, maxContacts)
		out = nil
		for _, c := range all {
			if strings.Contains(strings.ToLower(c.DisplayAddress+" "+c.Name), query) {
				out = append(out, c)
			}
		}
		return err
	})
	return out, err
}

// RemoveContact forgets one of them.
func (s *Service) RemoveContact(ctx context.Context, sess *Session, address string) error {
	if !sess.SignedIn() {
		return ended()
	}
	return orNotFound(s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.DeleteContact(sess.UserID, address) }))
}

// OpensSignedIn reports which of some addresses are known to open with an
// account instead of a code, as far as the session's person may know: users of
// their own account who have proved their address, and those who have opened an
// envelope of theirs so. Whether a stranger is enrolled it does not tell.
func (s *Service) OpensSignedIn(ctx context.Context, sess *Session, list []mailaddr.Address) (map[string]bool, error) {
	if !sess.SignedIn() || sess.Account == nil {
		return nil, ended()
	}
	out := make(map[string]bool)
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		for _, a := range list {
			known, err := tx.HasEnrolledContact(sess.UserID, a.Canonical())
			if err != nil {
				return err
			}
			if !known {
				u, err := tx.FindUserByAddress(a.Canonical())
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				// A managed user has proved nothing, and opens with a code.
				known = err == nil && u.AccountID == sess.Account.ID && !u.Managed && u.State == store.UserActive
			}
			if known {
				out[a.Canonical()] = true
			}
		}
		return nil
	})
	return out, err
}
