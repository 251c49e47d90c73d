package account

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// DeletionDelay is how long a deletion of an account can be cancelled.
const DeletionDelay = 7 * 24 * time.Hour

const (
	mostContacts  = 5 // addresses that an account names of each kind
	deletionsADay = 5 // asked for of one account: each writes to its contacts, whoever they are
)

// ContactKinds are the kinds of an account's contacts.
var ContactKinds = []string{"technical", "security", "privacy"}

// Contacts are an account's addresses, as typed, by kind. They get the
// service's notices about it.
type Contacts map[string][]string

// ContactsOf reads an account's contacts.
func ContactsOf(a store.Account) (Contacts, error) {
	out := Contacts{}
	if a.Contacts == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(a.Contacts), &out); err != nil {
		return nil, fmt.Errorf("read contacts of account %d: %w", a.ID, err)
	}
	return out, nil
}

// Profile is what an account is called, how its people read by default, and whom
// the service writes to. Pages and letters of its people follow it until they
// choose for themselves.
type Profile struct {
	Name     string
	Language string
	TimeZone string
	Contacts Contacts
}

// EditAccount changes what an account says of itself. Recipients read its name, so
// that its administrators may call it only what its look may be called. Faults, by
// field: people.noname, people.badlanguage, people.badzone, err.email, life.contacts, b.bad.*.
func (s *Service) EditAccount(ctx context.Context, actor Actor, number int64, p Profile) (store.Account, error) {
	var out store.Account
	var bad problems
	p.Name = clean(p.Name)
	if p.Name == "" {
		bad.add("name", "people.noname", nil)
	}
	checkName(&bad, "name", p.Name)
	checkPlace(&bad, p.Language, p.TimeZone)
	contacts := Contacts{}
	for _, kind := range ContactKinds {
		for _, text := range p.Contacts[kind] {
			to, err := mailaddr.Parse(clean(text))
			if err != nil {
				bad.add(kind, "err.email", nil)
				break
			}
			if !slices.Contains(contacts[kind], to.String()) {
				contacts[kind] = append(contacts[kind], to.String())
			}
		}
		if len(contacts[kind]) > mostContacts {
			bad.add(kind, "life.contacts", fault.Args{"n": mostContacts})
		}
	}
	err := s.act(ctx, actor, accountEdit, number, func(tx *store.Tx, a store.Account) error {
		if err := bad.err(); err != nil {
			return err
		}
		if err := actor.unchanged(ProfileRevision(a)); err != nil {
			return err
		}
		if p.Name != a.Name && actor.Kind != KindOperator {
			if err := s.mayBeNamed(tx, a, &brand.Brand{Name: p.Name}); err != nil {
				return err
			}
		}
		was, err := ContactsOf(a)
		if err != nil {
			return err
		}
		out = a
		out.Name, out.NameKey, out.Contacts = p.Name, nameKey(p.Name), ""
		out.Language, out.TimeZone = cmp.Or(p.Language, a.Language), cmp.Or(p.TimeZone, a.TimeZone)
		if len(contacts) > 0 {
			raw, err := json.Marshal(contacts)
			if err != nil {
				return err
			}
			out.Contacts = string(raw)
		}
		changes := [][3]string{{"name", a.Name, out.Name}, {"language", a.Language, out.Language}, {"time_zone", a.TimeZone, out.TimeZone}}
		for _, kind := range ContactKinds {
			changes = append(changes, [3]string{kind, strings.Join(was[kind], ", "), strings.Join(contacts[kind], ", ")})
		}
		for _, c := range changes {
			if c[1] == c[2] {
				continue
			}
			if err := record(tx, actor, accountEdit, a.ID, accountName(a.ID), "what", c[0], "was", c[1], "value", c[2]); err != nil {
				return err
			}
		}
		return tx.SetAccountProfile(out)
	})
	return out, err
}

// DeletionView is what a deletion would destroy.
type DeletionView struct {
	Users, Messages int
	At              time.Time // when, were it asked for now
	Proved          bool      // who asks has proved who they are not long ago
}

// Deletion says what deleting an account would destroy, to who may.
func (s *Service) Deletion(ctx context.Context, actor Actor, number int64) (out DeletionView, err error) {
	err = s.look(ctx, actor, accountDelete, number, func(tx *store.Tx, a store.Account) (err error) {
		out.At = tx.Now.Add(DeletionDelay)
		switch err := provedNow(tx, actor); {
		case err == nil:
			out.Proved = true
		case !fault.Is(err, fault.Denied):
			return err
		}
		out.Users, out.Messages, err = tx.CountOwn(a.ID)
		return err
	})
	return out, err
}

// DeleteAccount asks for the destruction of an account 7 days from now, by the
// database's clock. Who does types its number, and has proved who they are not
// long ago. Until then its administrators alone can sign in, to cancel it or to
// take out what is there, and nobody where it is suspended; all of them and its
// contacts are told. Envelopes that were sent can be opened until the day. Faults: second.again, as2.mismatch, life.deleting, e429.p.
func (s *Service) DeleteAccount(ctx context.Context, actor Actor, number int64, typed string) (due time.Time, err error) {
	err = s.act(ctx, actor, accountDelete, number, func(tx *store.Tx, a store.Account) error {
		if err := provedNow(tx, actor); err != nil {
			return err
		}
		if strings.TrimSpace(typed) != strconv.FormatInt(number, 10) {
			return fault.New(fault.Invalid, "as2.mismatch").In("number", "as2.mismatch", nil)
		}
		if a.State == store.AccountDeleting || a.State == store.AccountDeleted {
			return fault.New(fault.Conflict, "life.deleting").With("number", a.ID)
		}
		if ok, wait, err := tx.Hit("deletion:"+accountName(a.ID), 24*time.Hour, deletionsADay); err != nil || !ok {
			return cmp.Or(err, error(fault.Wait("e429.p", wait)))
		}
		due = tx.Now.Add(DeletionDelay)
		a.Deletion = store.Deletion{At: due, Before: a.State}
		if err := tx.SetDeletion(a.ID, store.AccountDeleting, a.Deletion); err != nil {
			return err
		}
		if _, err := tx.DeleteSessionsButAdministrators(a.ID); err != nil {
			return err
		}
		if err := s.tellAccount(tx, a, AccountLetter{What: NoticeDeletion, By: actor.shown(), Due: due, Shut: a.Deletion.Before != store.AccountActive}); err != nil {
			return err
		}
		return record(tx, actor, accountDelete, a.ID, accountName(a.ID), "on", due.UTC().Format(time.RFC3339))
	})
	return due, err
}

// KeepAccount cancels a deletion: the account is again as it was before. Faults: life.notdeleting.
func (s *Service) KeepAccount(ctx context.Context, actor Actor, number int64) error {
	return s.act(ctx, actor, accountKeep, number, func(tx *store.Tx, a store.Account) error {
		if a.State != store.AccountDeleting {
			return fault.New(fault.Conflict, "life.notdeleting").With("number", a.ID)
		}
		before := a.Deletion.Before
		if err := tx.SetDeletion(a.ID, before, store.Deletion{}); err != nil {
			return err
		}
		if err := s.tellAccount(tx, a, AccountLetter{What: NoticeKept, By: actor.shown()}); err != nil {
			return err
		}
		return record(tx, actor, accountKeep, a.ID, accountName(a.ID), "state", before)
	})
}

// shown is how letters name the actor.
func (a Actor) shown() string {
	if name := strings.TrimSpace(a.Name); name != "" && a.Kind == KindUser {
		return name
	}
	return a.Address
}

// tellAccount mails a notice to the administrators of an account, who read it
// as they like, and to its contacts.
func (s *Service) tellAccount(tx *store.Tx, a store.Account, l AccountLetter) error {
	l.AccountID, l.Organisation, l.At = a.ID, a.Name, tx.Now
	admins, err := tx.ListAdministrators(a.ID, 500)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	send := func(address, lang, zone string) error {
		if l.To, err = mailaddr.Parse(address); err != nil {
			return err
		}
		if told[l.To.Canonical()] {
			return nil
		}
		told[l.To.Canonical()] = true
		l.Language, l.TimeZone = lang, zone
		return s.c.Post.AccountNotice(tx, l)
	}
	for _, u := range admins {
		if err := send(u.DisplayAddress, u.Language, u.TimeZone); err != nil {
			return err
		}
	}
	contacts, err := ContactsOf(a)
	if err != nil {
		return err
	}
	for _, kind := range ContactKinds {
		for _, address := range contacts[kind] {
			if err := send(address, a.Language, a.TimeZone); err != nil {
				return err
			}
		}
	}
	return nil
}

// AccountProfile returns an account with its contacts.
func (s *Service) AccountProfile(ctx context.Context, actor Actor, number int64) (out AccountHead, contacts Contacts, err error) {
	err = s.lookWithin(ctx, actor, settingsView, number, func(_ *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		if out, err = headOf(a, r); err != nil {
			return err
		}
		contacts, err = ContactsOf(a)
		return err
	})
	return out, contacts, err
}
