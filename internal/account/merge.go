package account

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

const mergesPerHour = 5 // proposals for one user

// MergeLimit is how long a person has to confirm that two users are theirs.
const MergeLimit = 7 * 24 * time.Hour

// Merge is what an administrator says of two users: they are one person.
type Merge struct {
	Keep  store.User // who stays
	Gone  store.User // whose address becomes a further one of Keep
	By    string     // name of who says so
	Until time.Time
}

func mergeOf(tx *store.Tx, userID string) (*Merge, store.Merge, error) {
	m, err := tx.FindMerge(userID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, m, nil
	} else if err != nil {
		return nil, m, err
	}
	keep, err := tx.FindUser(m.KeepID)
	if err != nil {
		return nil, m, err
	}
	gone, err := tx.FindUser(m.GoneID)
	return &Merge{keep, gone, m.ActorName, m.ExpiresAt}, m, err
}

// mergeOf is mergeOf where both users are in reach: to who knows only one of them
// there is none.
func (r reach) mergeOf(tx *store.Tx, userID string) (*Merge, store.Merge, error) {
	m, row, err := mergeOf(tx, userID)
	if err != nil || m == nil {
		return nil, row, err
	}
	for _, u := range []store.User{m.Keep, m.Gone} {
		if _, err := r.user(tx, u.ID); errors.Is(err, store.ErrNotFound) {
			return nil, row, nil
		} else if err != nil {
			return nil, row, err
		}
	}
	return m, row, nil
}

// mergeable refuses to make one of two users of the account, on whom the actor may
// both act: they hold no more than the actor, so that whoever is left does not either.
func (r reach) mergeable(tx *store.Tx, keepID, goneID string) (keep, gone store.User, err error) {
	if keepID == goneID {
		return keep, gone, fault.New(fault.Conflict, "merge.self").In("address", "merge.self", nil)
	}
	if keep, err = r.subject(tx, keepID); err != nil {
		return keep, gone, err
	}
	other := r
	other.actor.IfMatch = "" // which is keep's
	if gone, err = other.subject(tx, goneID); err != nil {
		return keep, gone, err
	}
	is, err := tx.IsOperator(gone.ID)
	if err != nil {
		return keep, gone, err
	}
	if is {
		return keep, gone, &refusal{fault.New(fault.Conflict, "merge.operator").With("name", gone.Name()), r.number, gone.Address}
	}
	for _, u := range []store.User{keep, gone} {
		if u.State != store.UserActive {
			return keep, gone, fault.New(fault.Conflict, "people.blocked").With("email", u.DisplayAddress).In("address", "people.blocked", fault.Args{"email": u.DisplayAddress})
		}
	}
	return keep, gone, nil
}

// ProposeMerge says that the user with an address is the same person as another,
// who is to stay. The person decides, with a code from each mailbox: see
// ConfirmMerge. Both are told. Faults: merge.nouser, merge.self, merge.operator,
// merge.there, people.blocked, e429.p.
func (s *Service) ProposeMerge(ctx context.Context, actor Actor, number int64, keepID, address string) (out Merge, err error) {
	canonical, _ := typed(address)
	err = s.actWithin(ctx, actor, userMerge, number, func(tx *store.Tx, a store.Account, r reach) error {
		if _, err := r.user(tx, keepID); err != nil {
			return err
		}
		nobody := fault.New(fault.Invalid, "merge.nouser").With("email", address).In("address", "merge.nouser", fault.Args{"email": address})
		found, err := tx.FindUserByAddress(canonical)
		if err == nil {
			_, err = r.user(tx, found.ID)
		}
		if errors.Is(err, store.ErrNotFound) { // or another account's
			return nobody
		} else if err != nil {
			return err
		}
		keep, gone, err := r.mergeable(tx, keepID, found.ID)
		if err != nil {
			return err
		}
		for _, u := range []store.User{keep, gone} { // each is written to
			if ok, wait, err := tx.Hit("merge:"+u.ID, time.Hour, mergesPerHour); err != nil || !ok {
				return cmp.Or(err, error(fault.Wait("e429.p", wait)))
			}
		}
		m := store.Merge{ID: id.New(), AccountID: a.ID, KeepID: keep.ID, GoneID: gone.ID, ActorID: actor.UserID, Actor: actor.String(), ActorName: actor.Name, TokenID: actor.TokenID, ExpiresAt: tx.Now.Add(MergeLimit)}
		if err := tx.InsertMerge(m); err != nil {
			return err
		}
		for _, to := range [][2]store.User{{keep, gone}, {gone, keep}} {
			if err := s.mailFactor(tx, to[0], FactorLetter{What: FactorMergeAsked, Name: to[1].DisplayAddress}, to[0].DisplayAddress); err != nil {
				return err
			}
		}
		out = Merge{keep, gone, actor.Name, m.ExpiresAt}
		return record(tx, actor, userMerge, a.ID, keep.Address, "merged", gone.Address)
	})
	if errors.Is(err, store.ErrTaken) {
		err = fault.New(fault.Conflict, "merge.there").In("address", "merge.there", nil).Because(err)
	}
	return out, err
}

// CancelMerge takes back what was said of a user and another; that nothing was is no error.
func (s *Service) CancelMerge(ctx context.Context, actor Actor, number int64, userID string) (u store.User, err error) {
	err = s.actWithin(ctx, actor, userUnmerge, number, func(tx *store.Tx, a store.Account, r reach) error {
		if u, err = r.subject(tx, userID); err != nil {
			return err
		}
		m, row, err := r.mergeOf(tx, u.ID)
		if err != nil || m == nil {
			return err
		}
		if err := tx.DeleteMerge(row.ID); err != nil {
			return err
		}
		return record(tx, actor, userUnmerge, a.ID, m.Keep.Address, "merged", m.Gone.Address)
	})
	return u, err
}

// OwnMerge is what an administrator says of the session's person, nil where
// nothing, and whether it is they who stay.
func (s *Service) OwnMerge(ctx context.Context, sess *Session) (out *Merge, stays bool, err error) {
	if !sess.SignedIn() {
		return nil, false, ended()
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		out, _, err = mergeOf(tx, sess.UserID)
		return err
	})
	return out, out != nil && out.Keep.ID == sess.UserID, err
}

// merging is the merge that the session's person, whose proof is recent, may
// confirm. Faults: second.again, proof.again, merge.none.
func merging(tx *store.Tx, sess *Session) (m *Merge, row store.Merge, answer, err error) {
	u, session, answer, err := provedLately(tx, sess)
	if answer != nil || err != nil {
		return nil, row, answer, err
	}
	if session.Scope != store.ScopeFull {
		return nil, row, ended(), nil
	}
	if m, row, err = mergeOf(tx, u.ID); err == nil && (m == nil || m.Keep.ID != u.ID) {
		answer = fault.New(fault.NotFound, "merge.none")
	}
	return m, row, answer, err
}

// SendMergeCodes mails the person a code to each of the two mailboxes. Faults:
// second.again, merge.none, code.toomany{n}.
func (s *Service) SendMergeCodes(ctx context.Context, sess *Session) error {
	if !sess.SignedIn() {
		return ended()
	}
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		m, _, answer, err := merging(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		if answer, err = s.mailCode(tx, sess.Hash, store.CodeKeep, m.Keep.Address, sess.Origin); answer != nil || err != nil {
			return answer, err
		}
		return s.mailCode(tx, sess.Hash, store.CodeGone, m.Gone.Address, sess.Origin)
	})
}

// DeclineMerge says that the two are not one person, or that they do not want it.
// Either of them may.
func (s *Service) DeclineMerge(ctx context.Context, sess *Session) error {
	if !sess.SignedIn() {
		return ended()
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		m, row, err := mergeOf(tx, sess.UserID)
		if err != nil || m == nil {
			return err
		}
		if err := tx.DeleteMerge(row.ID); err != nil {
			return err
		}
		return record(tx, person(sess), "merge.decline", sess.User.AccountID, m.Keep.Address, "merged", m.Gone.Address)
	})
}

// ConfirmMerge takes the two codes, and makes one of the two users: groups, what
// was sent, drafts, links and addresses of the one who goes are the other's. What
// proves who the one who goes is, their sessions and API tokens end. Whoever
// proposed it must still be able to act on both as they are now. Who goes has no
// second factor any more: else an administrator and whoever reads a mailbox would
// need neither it nor the time that lifting it takes (AT-50).
// Faults: those of codes, second.again, merge.none, merge.stale, merge.second{email}, alias.many{n}.
func (s *Service) ConfirmMerge(ctx context.Context, sess *Session, codeKeep, codeGone string) (address string, err error) {
	if !sess.SignedIn() {
		return "", ended()
	}
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		address = ""
		row, err := tx.FindMerge(sess.UserID)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.NotFound, "merge.none"), nil
		} else if err != nil {
			return nil, err
		}
		// The account's row is held first, as in every act of administration: of two
		// at once the second sees what the first did.
		proposer := actorOf(store.Job{ActorID: row.ActorID, Actor: row.Actor, ActorName: row.ActorName, TokenID: row.TokenID})
		a, r, err := can(tx, proposer, userMerge, row.AccountID, true)
		if err == nil {
			_, _, err = r.mergeable(tx, row.KeepID, row.GoneID)
		}
		if f := fault.Of(err); err != nil && (f.Kind == fault.Denied || f.Kind == fault.NotFound || f.Kind == fault.Conflict || errors.Is(err, store.ErrNotFound)) {
			return fault.New(fault.Conflict, "merge.stale").Because(err), refusePerson(tx, *sess.User, "user.merged", sess.Origin, "merge.stale")
		} else if err != nil {
			return nil, err
		}
		m, row, answer, err := merging(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		if m.Gone, err = tx.LockUser(m.Gone.ID); err != nil {
			return nil, err
		}
		if answer, err := guarded(tx, m); answer != nil || err != nil {
			return answer, err
		}
		for _, c := range []struct{ purpose, code, field string }{{store.CodeKeep, codeKeep, "code"}, {store.CodeGone, codeGone, "code2"}} {
			_, answer, err := s.tryCode(tx, sess, c.purpose, c.code, sess.Origin)
			if answer != nil || err != nil {
				return inField(answer, c.field), err
			}
		}
		for _, c := range []struct{ purpose, address string }{{store.CodeKeep, m.Keep.Address}, {store.CodeGone, m.Gone.Address}} {
			code, err := tx.FindLiveCode(sess.Hash, c.purpose, "")
			if err == nil {
				err = tx.EndCode(code.ID, store.CodeUsed)
			}
			if errors.Is(err, store.ErrNotFound) || err == nil && code.Address != c.address {
				return fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil), nil
			} else if err != nil {
				return nil, err
			}
		}
		address = m.Gone.DisplayAddress
		return nil, s.merge(tx, sess, a, m, row.Actor)
	})
	return address, err
}

// guarded refuses what would make a second factor needless, or too many addresses.
func guarded(tx *store.Tx, m *Merge) (answer, err error) {
	if m.Gone.Second {
		return fault.New(fault.Conflict, "merge.second").With("email", m.Gone.DisplayAddress), nil
	}
	n := 1
	for _, u := range []store.User{m.Keep, m.Gone} {
		list, err := tx.ListAliases(u.ID)
		if err != nil {
			return nil, err
		}
		n += len(list)
	}
	if n > maxAliases {
		answer = fault.New(fault.Conflict, "alias.many").With("n", maxAliases)
	}
	return answer, nil
}

// inField puts what is wrong with the second of two codes where it was typed.
func inField(answer error, field string) error {
	f := fault.Of(answer)
	if answer == nil || field == "code" || f.Kind != fault.Invalid && f.Kind != fault.TooMany {
		return answer
	}
	out := fault.New(f.Kind, f.Key)
	out.Args = f.Args
	return out.In(field, f.Key, f.Args)
}

func (s *Service) merge(tx *store.Tx, sess *Session, a store.Account, m *Merge, by string) error {
	gone, err := mailaddr.Parse(m.Gone.DisplayAddress)
	if err != nil {
		return err
	}
	if err := moveAlias(tx, person(sess), m.Gone.Address); err != nil {
		return err
	}
	if err := s.tellAddresses(tx, sess, m.Gone, FactorMerged, m.Keep.DisplayAddress); err != nil {
		return err
	}
	if err := s.tellAddresses(tx, sess, m.Keep, FactorMerged, m.Gone.DisplayAddress); err != nil {
		return err
	}
	if err := tx.MergeUsers(m.Keep, m.Gone); err != nil {
		return err
	}
	if err := tx.InsertAlias(store.Alias{Address: gone.Canonical(), DisplayAddress: gone.String(), UserID: m.Keep.ID}); err != nil {
		return err
	}
	return record(tx, person(sess), "user.merged", a.ID, m.Keep.Address, "merged", m.Gone.Address, "by", by)
}
