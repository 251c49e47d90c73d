package keyserver

import (
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// The states of a slot; the strictest of the slot's and the message's counts.
const (
	StateActive  = "active"
	StateLocked  = "locked"
	StateExpired = "expired"
	StateGone    = "gone" // the key has been destroyed

	StateRecalled = "recalled" // the sender has withdrawn it
)

// What a high level asks of somebody who proved the address.
const (
	StepAccount = "account" // to sign in, or to have an account at all
	StepSetUp   = "set-up"  // to have a second factor
	StepSecond  = "second"  // to prove it now
)

// Why a release, or an act on a message, was refused, as its audit record says it. The pages
// have a text for each.
const (
	ReasonSession    = "session"    // it has ended
	ReasonPassword   = "password"   // the session may only set one (security case I3)
	ReasonSecond     = "second"     // the session may only prove a second factor
	ReasonMailbox    = "mailbox"    // the session may only prove its person's mailbox
	ReasonBlocked    = "blocked"    // the user is
	ReasonStranger   = "stranger"   // neither the mail nor the address was proved
	ReasonPossession = "possession" // the mail was not
	ReasonCode       = "code"       // no address was
	ReasonAddress    = "address"    // another address was
	ReasonLevel      = "level"      // the address was proved, but not as strongly as is asked (AT-29)
	ReasonLocked     = "locked"
	ReasonExpired    = "expired"
	ReasonGone       = "gone" // the key has been destroyed
	ReasonRecalled   = "recalled"
	ReasonOnline     = "online" // the account or the message forbids that the server opens it
	ReasonOften      = "often"  // the server opened it for this recipient too often
	ReasonLease      = "lease"  // the account or the message forbids that a device keeps it
	ReasonRights     = "rights" // to act on it: neither the sender nor an administrator
	ReasonAnswer     = "answer" // the sender or the account allows no such answer
	ReasonLimit      = "limit"  // as many answers as one recipient may send have been sent
)

// refusal is why a visitor does not get what they asked: reason for the audit
// record, fault for the answer.
type refusal struct {
	reason string
	fault  *fault.Error
}

// asOf is the time that decides: that of the transaction, or the latest that
// this service ever acted at. A clock that is set back opens nothing again.
func asOf(tx *store.Tx, o store.Opening) time.Time { return later(tx.Now, o.Seen) }

// markEvery is how far the clock may run ahead of its mark before a release
// writes it: one row for all would otherwise be held by every release.
const markEvery = 10 * time.Second

func keepMark(tx *store.Tx, seen time.Time) error {
	if tx.Now.Before(seen.Add(markEvery)) {
		return nil
	}
	return tx.RaiseClockMark(tx.Now)
}

// state is the strictest of the slot's and the message's.
func state(m store.Message, slot store.Slot, destroyed bool, now time.Time) string {
	switch {
	case !m.RecalledAt.IsZero() || !slot.RecalledAt.IsZero():
		return StateRecalled
	case destroyed || len(slot.Box) == 0 || !m.DestroyedAt.IsZero():
		return StateGone
	case past(endOf(m, slot), now):
		return StateExpired
	case !m.LockedAt.IsZero() || !slot.LockedAt.IsZero():
		return StateLocked
	}
	return StateActive
}

// past reports whether an end, zero for none, has come.
func past(end, now time.Time) bool { return !end.IsZero() && !end.After(now) }

func stateOf(o store.Opening, now time.Time) string {
	return state(o.Message, o.Slot, !o.Epoch.DestroyedAt.IsZero(), now)
}

// stateFault is what a state other than active answers.
func stateFault(o store.Opening, now time.Time) *refusal {
	switch stateOf(o, now) {
	case StateLocked:
		return &refusal{ReasonLocked, fault.New(fault.Closed, "open.locked").With("sender", senderName(o.Message))}
	case StateExpired:
		return &refusal{ReasonExpired, fault.New(fault.Closed, "open.expired").With("sender", senderName(o.Message)).With("date", endOf(o.Message, o.Slot))}
	case StateRecalled:
		return &refusal{ReasonRecalled, fault.New(fault.Closed, "open.recalled")}
	case StateGone:
		return &refusal{ReasonGone, fault.New(fault.Gone, "release.gone").With("sender", senderName(o.Message))}
	}
	return nil
}

func senderName(m store.Message) string {
	if m.SenderName != "" {
		return m.SenderName
	}
	return m.SenderAddress
}

// checkSession refuses a session that has ended, and one whose only right is to
// prove a second factor or to set a password.
func checkSession(found bool, scope string, ends, now time.Time) *refusal {
	if !found || !ends.After(now) {
		return &refusal{ReasonSession, fault.New(fault.Unauthenticated, "sess.h1")}
	}
	if scope == store.ScopeSecond {
		return &refusal{ReasonSecond, fault.New(fault.Denied, "second.first")}
	}
	if scope == store.ScopeMailbox {
		return &refusal{ReasonMailbox, fault.New(fault.Denied, "proof.first")}
	}
	if scope == store.ScopeSetSecond {
		return &refusal{ReasonSecond, fault.New(fault.Denied, "second.setup")}
	}
	if scope != store.ScopeVisitor && scope != store.ScopeFull {
		return &refusal{ReasonPassword, fault.New(fault.Denied, "si.mustchange")}
	}
	return nil
}

// addressed reports whether the session has proved the slot's address: by a
// code, or by being signed in as somebody who proved it to have a user at all.
// A user whom an administrator made proves nothing by signing in: whoever
// administers an account can make one of any address and knows its password.
// That holds for their further addresses as well: who knows the password did not
// prove them.
func addressed(o store.Opening) bool {
	return o.Proven == o.Slot.Address || o.Scope == store.ScopeFull && !o.UserManaged && (o.UserAddress == o.Slot.Address || o.Alias)
}

// secondFor is how old the proof of a second factor may be for a high level.
const secondFor = 5 * time.Minute

// level is how strongly a message's recipients prove who they are. What cannot
// be read asks for the most.
func level(o store.Opening) string {
	p, err := policy.ReadPermissions(o.Message.Policy)
	s, err2 := policy.ReadSettings(o.Settings)
	if err != nil || err2 != nil {
		return policy.High
	}
	return p.Under(s).Level
}

// step is what a level asks of somebody who proved the address, beyond that. The
// second factor is that of the address's own user, signed in or not: one of
// anybody's would let in whoever reads the mailbox and has an account somewhere.
func step(o store.Opening, now time.Time) string {
	signedIn := o.Scope == store.ScopeFull && (o.UserAddress == o.Slot.Address || o.Alias)
	visitor := o.Scope == store.ScopeVisitor && o.UserAddress == "" && o.Proven == o.Slot.Address
	fresh := !o.SecondAt.IsZero() && o.SecondAt.Add(secondFor).After(now)
	switch {
	case level(o) != policy.High || fresh && (signedIn || visitor):
		return ""
	case signedIn:
		return StepSecond
	}
	return StepAccount
}

// stepOf is step, and whether there is a second factor to prove.
func stepOf(tx *store.Tx, o store.Opening, now time.Time) (string, error) {
	s, address := step(o, now), o.UserAddress
	switch {
	case s == StepAccount && o.UserAddress == "":
		address = o.Slot.Address
	case s != StepSecond:
		return s, nil
	}
	u, err := tx.FindUserByAddress(address)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	} else if err != nil {
		return "", err
	}
	has, err := tx.HasSecondFactor(u.ID)
	switch {
	case has:
		s = StepSecond
	case s == StepSecond:
		s = StepSetUp
	}
	return s, err
}

// known reports whether a remembered browser stands for a proof of the address.
func known(o store.Opening) bool { return o.Remembered && level(o) == policy.Low }

// checkAccess is all that stands between a visitor and S.
func checkAccess(o store.Opening, now time.Time) *refusal {
	if r := checkProofs(o, now); r != nil {
		return r
	}
	switch step(o, now) {
	case StepAccount:
		return levelRefusal(o, "release.level.account", "/e/"+o.Slot.Ref)
	case StepSecond:
		return levelRefusal(o, "release.level.second", SecondPage(o.Slot.Ref))
	}
	return nil
}

// grantFor is how long a session fetches the ciphertext of a message's large files
// with one release at a high level: 5 GB at 3 Mbit/s. It has their keys already.
const grantFor = 4 * time.Hour

// checkGranted is checkAccess for ciphertext whose key the session has been given
// not long ago: the second factor that this took is not asked for again.
func checkGranted(o store.Opening, now time.Time) *refusal {
	r := checkAccess(o, now)
	if r == nil || r.reason != ReasonLevel || o.ReleasedAt.IsZero() || !o.ReleasedAt.Add(grantFor).After(now) {
		return r
	}
	return checkProofs(o, now)
}

// checkProofs is checkAccess but for what a high level asks besides.
func checkProofs(o store.Opening, now time.Time) *refusal {
	if r := checkSession(o.Session, o.Scope, o.SessionEnds, now); r != nil {
		return r
	}
	if o.UserAddress != "" && o.UserState != store.UserActive {
		return &refusal{ReasonBlocked, fault.New(fault.Unauthenticated, "sess.h1")}
	}
	switch {
	case !o.Possession && !addressed(o):
		return &refusal{ReasonStranger, notFound()}
	case !o.Possession:
		return &refusal{ReasonPossession, fault.New(fault.Denied, "release.possession")}
	case addressed(o) || known(o):
	case o.Remembered:
		return levelRefusal(o, "release.level.code", "/e/"+o.Slot.Ref)
	case o.Proven == "" && (o.UserAddress == "" || o.UserAddress == o.Slot.Address || o.Alias):
		return &refusal{ReasonCode, fault.New(fault.Denied, "release.code")}
	default:
		return &refusal{ReasonAddress, fault.New(fault.Denied, "release.address").With("masked", masked(o.Slot))}
	}
	return stateFault(o, now)
}

// levelRefusal says at which page of this site the missing proof is given.
func levelRefusal(o store.Opening, key, page string) *refusal {
	return &refusal{ReasonLevel, fault.New(fault.Denied, key).With("step", page)}
}

// SecondPage is where a second factor is proved, before the message with that reference.
func SecondPage(ref string) string { return "/second?next=/e/" + ref + "/message" }

func notFound() *fault.Error { return fault.New(fault.NotFound, "e404.h1") }

func masked(s store.Slot) string {
	a, err := mailaddr.Parse(s.DisplayAddress)
	if err != nil {
		return ""
	}
	return a.Masked()
}

func sender(o store.Opening) Sender {
	return senderOf(o.Message, lookOf(o.Settings, o.Brand, o.Organisation).Organisation(o.Organisation))
}

// look is how the sender's account looks, of which an outsider is not.
func look(o store.Opening) brand.Brand {
	if sender(o).Outsider {
		return brand.Brand{}
	}
	return lookOf(o.Settings, o.Brand, o.Organisation)
}

// lookOf is the service's own look where the settings cannot be read.
func lookOf(settings, kept, account string) brand.Brand {
	s, err := policy.ReadSettings(settings)
	if err != nil {
		return brand.Brand{}
	}
	return s.Look(kept, account)
}

// senderOf is who sent m; organisation is the name of the message's account.
func senderOf(m store.Message, organisation string) Sender {
	s := Sender{UserID: m.SenderID, Address: m.SenderAddress, Name: m.SenderName, Organisation: organisation, Verified: m.Verified,
		Outsider: m.Intake != "" || m.Proved, Proved: m.Proved}
	if s.Outsider {
		s.Organisation = "" // the message's account is that of who asked, or was answered
	}
	return s
}

// findRef is FindOpeningByRef where an unknown reference is no error: known
// says which.
func findRef(tx *store.Tx, ref, session string) (o store.Opening, known bool, err error) {
	o, err = tx.FindOpeningByRef(ref, session)
	if errors.Is(err, store.ErrNotFound) {
		return store.Opening{}, false, nil
	}
	return o, err == nil, err
}

// openSession returns the visitor's session, or its refusal.
func openSession(tx *store.Tx, v Visitor) (store.Session, error) {
	sess, err := tx.FindSession(v.Session)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return sess, err
	}
	if r := checkSession(err == nil, sess.Scope, sess.ExpiresAt, tx.Now); r != nil {
		return sess, r.fault
	}
	return sess, nil
}

func parseRef(ref string) (string, error) {
	parsed, ok := id.ParseReference(ref)
	if !ok {
		return "", fault.New(fault.Invalid, "home.err").In("ref", "home.err", nil)
	}
	return parsed, nil
}
