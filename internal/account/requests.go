package account

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// Request is somebody's wish to administer an account.
type Request struct {
	ID        string
	User      store.User
	Reason    string
	CreatedAt time.Time
}

// maxReason is the length of a reason, in characters.
const maxReason = 500

// WhoCanHelp returns who can make the person an administrator: those of their
// account, or the operator's contact where there are none. At most five.
func (s *Service) WhoCanHelp(ctx context.Context, sess *Session) ([]Contact, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	var out []Contact
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		out = nil
		if sess.User.AccountID == 0 {
			return nil
		}
		admins, err := tx.ListAdministrators(sess.User.AccountID, 5)
		for _, u := range admins {
			out = append(out, Contact{u.Name(), u.DisplayAddress})
		}
		return err
	})
	if err == nil && len(out) == 0 && s.c.Contact != (Contact{}) {
		out = []Contact{s.c.Contact}
	}
	return out, err
}

// RequestAccess asks the administrators of the person's account (number; 0: the
// operator, for who belongs to none) to become one.
func (s *Service) RequestAccess(ctx context.Context, sess *Session, number int64, reason string) error {
	if !sess.SignedIn() {
		return ended()
	}
	if reason = clean(reason); utf8.RuneCountInString(reason) > maxReason {
		args := fault.Args{"n": maxReason}
		return fault.New(fault.Invalid, "people.reasonlong").With("n", maxReason).In("reason", "people.reasonlong", args)
	}
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, err := tx.LockUser(sess.UserID)
		if err != nil {
			return nil, orNotFound(err)
		}
		if u.AccountID != number || u.State != store.UserActive {
			return notFound(), nil
		}
		if _, err := tx.FindPendingRequest(u.ID, number); err == nil {
			return fault.New(fault.Conflict, "people.asked"), nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if ok, wait, err := tx.Hit("request:"+u.ID, 24*time.Hour, 3); err != nil || !ok {
			return fault.Wait("e429.p", wait), err
		}
		if err := tx.InsertRequest(store.AccessRequest{ID: id.New(), UserID: u.ID, AccountID: number, Reason: reason}); err != nil {
			return nil, err
		}
		if err := record(tx, person(sess), "request.send", number, u.Address); err != nil {
			return nil, err
		}
		return nil, s.tellAdministrators(tx, u, reason)
	})
}

// AskedAt returns when the person asked for access to their account (of the
// operator, if they belong to none) and was not answered yet; the zero time if
// they did not.
func (s *Service) AskedAt(ctx context.Context, sess *Session) (time.Time, error) {
	if !sess.SignedIn() {
		return time.Time{}, ended()
	}
	var at time.Time
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		r, err := tx.FindPendingRequest(sess.UserID, sess.User.AccountID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		at = r.CreatedAt
		return err
	})
	return at, err
}

func (s *Service) tellAdministrators(tx *store.Tx, u store.User, reason string) error {
	if u.AccountID == 0 {
		return nil
	}
	a, err := tx.FindAccount(u.AccountID)
	if err != nil {
		return err
	}
	admins, err := tx.ListAdministrators(a.ID, 20)
	if err != nil {
		return err
	}
	for _, admin := range admins {
		to, err := mailbox(admin)
		if err != nil {
			return err
		}
		if err := s.c.Post.AccessRequested(tx, AccessRequestedLetter{
			AccountID: a.ID, To: to, Language: admin.Language, Organisation: a.Name, Person: u.Name(), Address: u.DisplayAddress, Reason: reason,
		}); err != nil {
			return err
		}
	}
	return nil
}

// Requests lists the requests to an account that wait, oldest first, at most
// 200. Those of number 0 are the operator's.
func (s *Service) Requests(ctx context.Context, actor Actor, number int64) ([]Request, error) {
	var out []Request
	err := s.look(ctx, actor, requestView, number, func(tx *store.Tx, a store.Account) error {
		out = nil
		rows, err := tx.ListRequests(a.ID, 200)
		if err != nil {
			return err
		}
		for _, r := range rows {
			u, err := tx.FindUser(r.UserID)
			if err != nil {
				return err
			}
			out = append(out, Request{r.ID, u, r.Reason, r.CreatedAt})
		}
		return nil
	})
	return out, err
}

// DecideRequest grants a request, which makes the person an administrator, or
// refuses it, and returns the person. The operator grants one of a person
// without an account by AddAdministrator, which names the account.
func (s *Service) DecideRequest(ctx context.Context, actor Actor, requestID string, grant bool) (store.User, error) {
	var r store.AccessRequest
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		r, err = tx.FindRequest(requestID)
		return err
	})
	if err != nil {
		return store.User{}, orNotFound(err)
	}
	var u store.User
	err = s.act(ctx, actor, requestDecide, r.AccountID, func(tx *store.Tx, a store.Account) (err error) {
		if u, err = userOf(tx, a.ID, r.UserID); err != nil {
			return err
		}
		if !grant {
			if err := tx.EndRequest(r.ID, store.RequestRefused); err != nil {
				return err
			}
			return record(tx, actor, requestDecide, a.ID, u.Address, "granted", "no")
		}
		if a.ID == 0 {
			return fault.New(fault.Invalid, "people.namenumber")
		}
		if u.State != store.UserActive {
			return fault.New(fault.Conflict, "people.blocked").With("email", u.DisplayAddress)
		}
		if err := tx.EndRequest(r.ID, store.RequestGranted); err != nil {
			return err
		}
		g, err := tx.FindBuiltinGroup(a.ID)
		if err != nil {
			return err
		}
		if err := record(tx, actor, requestDecide, a.ID, u.Address, "granted", "yes"); err != nil {
			return err
		}
		_, err = s.join(tx, actor, memberAdd, a, g, u)
		return err
	})
	return u, err
}
