package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

// Request is somebody's wish to administer an account, or for a right over it.
type Request struct {
	ID        string
	User      store.User
	Right     string // store.RightAll: to administer
	Reason    string
	CreatedAt time.Time
	Groups    []Giving // whose members have it, and who asks may put somebody into; at most 20
}

// Giving is a group that gives what somebody asks for.
type Giving struct {
	store.Group
	Also []Given // what else it gives
}

// Given is a right that a group gives.
type Given struct {
	Right string
	Over  string // name of the group over whose members, "" = the whole account
}

// Decision is what became of a request.
type Decision struct {
	store.User
	Right string      // that was asked for, store.RightAll to administer
	Group store.Group // that they have been put into, zero where it was refused
	Also  []Given
}

// maxReason and maxWord are the lengths of what is said, in characters.
const (
	maxReason = 500
	maxWord   = 300
)

// wordOf is what whoever decides says to who asked: plain text of some lines. It
// is refused rather than cut or cleaned, as somebody reads it as what was written.
func wordOf(typed string) (string, error) {
	// unicode.Bidi_Control turns around what stands after it, on a page or in a mail.
	bad := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	}
	s := strings.TrimSpace(norm.NFC.String(strings.ReplaceAll(typed, "\r\n", "\n")))
	var p problems
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, bad):
		p.add("word", "mail.seal.character", fault.Args{"field": "adm.word"})
	case utf8.RuneCountInString(s) > maxWord:
		p.add("word", "people.reasonlong", fault.Args{"n": maxWord})
	}
	return s, p.err()
}

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
// operator, for who belongs to none) for a right, or to become one of them
// (store.RightAll).
func (s *Service) RequestAccess(ctx context.Context, sess *Session, number int64, right, reason string) error {
	if !sess.SignedIn() {
		return ended()
	}
	if right == store.RightAll {
		right = ""
	} else if right != "" && !slices.Contains(Rights, right) {
		return fault.New(fault.Invalid, "rt.unknown").With("right", right).In("right", "people.choice", nil)
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
		if err := tx.InsertRequest(store.AccessRequest{ID: id.New(), UserID: u.ID, AccountID: number, Right: right, Reason: reason}); err != nil {
			return nil, err
		}
		if err := record(tx, person(sess), "request.send", number, u.Address, "right", wanted(right)); err != nil {
			return nil, err
		}
		return nil, s.tellAdministrators(tx, u, wanted(right), reason)
	})
}

// LastRequest returns the person's newest request for access to their account
// (of the operator, if they belong to none); the zero value if they made none.
func (s *Service) LastRequest(ctx context.Context, sess *Session) (q store.AccessRequest, err error) {
	if !sess.SignedIn() {
		return q, ended()
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		q, err = tx.FindLastRequest(sess.UserID, sess.User.AccountID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		q.Right = wanted(q.Right)
		return err
	})
	return q, err
}

func (s *Service) tellAdministrators(tx *store.Tx, u store.User, right, reason string) error {
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
			AccountID: a.ID, To: to, Language: admin.Language, Organisation: a.Name, Person: u.Name(), Address: u.DisplayAddress, Right: right, Reason: reason,
		}); err != nil {
			return err
		}
	}
	return nil
}

// RequestsPage is a page of the requests to an account, oldest first.
type RequestsPage struct {
	Requests []Request
	Next     string // cursor, "" on the last page
}

// Requests lists the requests to an account that wait. Those of number 0 are the operator's.
func (s *Service) Requests(ctx context.Context, actor Actor, number int64, after string, limit int) (out RequestsPage, err error) {
	limit = limited(limit)
	err = s.lookWithin(ctx, actor, requestView, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = RequestsPage{}
		if err := r.whole(); err != nil {
			return err
		}
		list := keyset.Of("requests", number)
		from, id, err := list.Numbered(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListRequests(a.ID, from, id, limit+1)
		if err != nil {
			return err
		}
		rows, out.Next = keyset.Page(list, rows, limit, func(q store.AccessRequest) string { return keyset.Numbered(q.CreatedAt.UnixMilli(), q.ID) })
		for _, q := range rows {
			u, err := tx.FindUser(q.UserID)
			if err != nil {
				return err
			}
			groups, err := r.groupsWith(tx, q)
			if err != nil {
				return err
			}
			out.Requests = append(out.Requests, Request{q.ID, u, wanted(q.Right), q.Reason, q.CreatedAt, groups})
		}
		return nil
	})
	return out, err
}

// wanted is the right that a request is for.
func wanted(right string) string {
	if right == "" {
		return store.RightAll
	}
	return right
}

// groupsWith lists the groups that give what a request is for, and that the
// actor may put somebody into.
func (r reach) groupsWith(tx *store.Tx, q store.AccessRequest) ([]Giving, error) {
	var groups []store.Group
	var err error
	switch {
	case r.number == 0:
	case q.Right == "":
		groups = make([]store.Group, 1)
		groups[0], err = tx.FindBuiltinGroup(r.number)
	default:
		groups, err = tx.ListGroupsWith(r.number, q.Right, 20)
	}
	if err != nil {
		return nil, err
	}
	var out []Giving
	for _, g := range groups {
		ok, err := r.may(tx, g, time.Time{})
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		also, err := r.also(tx, g, q.Right)
		if err != nil {
			return nil, err
		}
		out = append(out, Giving{g, also})
	}
	return out, nil
}

// also is what a group gives beside a right over the whole account.
func (r reach) also(tx *store.Tx, g store.Group, right string) ([]Given, error) {
	grants, err := tx.ListGrants(g.ID)
	if err != nil {
		return nil, err
	}
	var out []Given
	for _, x := range grants {
		if x.Right == right {
			continue // over some is within over all
		}
		over := ""
		if x.Scope != "" {
			scope, err := tx.FindGroup(r.number, x.Scope)
			if err != nil {
				return nil, err
			}
			over = scope.Name
		}
		out = append(out, Given{x.Right, over})
	}
	return out, nil
}

// DecideRequest grants a request, which puts the person into a group that gives
// what they ask for, or refuses it, and tells the person by mail. The group is that of
// groupID, "" = the first by name; the administrators' where they ask to be one.
// Nobody grants more than they have. A word goes with it, "" = none. The operator grants one of a person without
// an account by AddAdministrator, which names the account. Faults: rt.nogroup.
func (s *Service) DecideRequest(ctx context.Context, actor Actor, requestID string, grant bool, groupID, word string) (out Decision, err error) {
	var q store.AccessRequest
	err = s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		q, err = tx.FindRequest(requestID)
		return err
	})
	if err != nil {
		return out, orNotFound(err)
	}
	err = s.actWithin(ctx, actor, requestDecide, q.AccountID, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if err := r.whole(); err != nil {
			return err
		}
		u, err := tx.FindUser(q.UserID)
		if err != nil {
			return err
		}
		out = Decision{User: u, Right: wanted(q.Right)}
		if u.AccountID != a.ID {
			return store.ErrNotFound
		}
		if word, err = wordOf(word); err != nil {
			return err
		}
		// The log says that there was a word, not which: it outlives the person's
		// account, and goes to auditors, a SIEM and webhooks, to whom nobody wrote it.
		var said []string
		if word != "" {
			said = []string{"word", "yes"}
		}
		if !grant {
			if err := tx.EndRequest(q.ID, store.RequestRefused, word); err != nil {
				return err
			}
			if err := record(tx, actor, requestDecide, a.ID, u.Address, append(said, "granted", "no")...); err != nil {
				return err
			}
			return s.tellDecision(tx, actor, a, out, word)
		}
		if a.ID == 0 {
			return fault.New(fault.Invalid, "people.namenumber")
		}
		if u.State != store.UserActive {
			return fault.New(fault.Conflict, "people.blocked").With("email", u.DisplayAddress)
		}
		if err := r.below(tx, u); err != nil {
			return err
		}
		g, err := r.granting(tx, q, groupID)
		if err != nil {
			return err
		}
		if err := r.mayPull(tx, g, u); err != nil {
			return err
		}
		if err := tx.EndRequest(q.ID, store.RequestGranted, word); err != nil {
			return err
		}
		if err := record(tx, actor, requestDecide, a.ID, u.Address, append(said, "granted", "yes", "right", wanted(q.Right))...); err != nil {
			return err
		}
		out.Group = g
		if out.Also, err = r.also(tx, g, q.Right); err != nil {
			return err
		}
		added, err := s.putInto(tx, actor, memberAdd, a, g, u, time.Time{})
		if err != nil {
			return err
		}
		if added && g.Builtin {
			return s.tellAdministrator(tx, a, u, actor.Name, word)
		}
		return s.tellDecision(tx, actor, a, out, word)
	})
	return out, err
}

func (s *Service) tellDecision(tx *store.Tx, actor Actor, a store.Account, d Decision, word string) error {
	to, err := mailbox(d.User)
	if err != nil {
		return err
	}
	return s.c.Post.AccessDecided(tx, AccessDecidedLetter{AccountID: a.ID, To: to, Language: d.Language, Organisation: a.Name, Admin: actor.Name, Right: d.Right, Group: d.Group.Name, Word: word})
}

// granting finds the group that granting a request puts somebody into.
func (r reach) granting(tx *store.Tx, q store.AccessRequest, groupID string) (store.Group, error) {
	var g store.Group
	var err error
	if q.Right == "" {
		g, err = tx.FindBuiltinGroup(r.number)
	} else {
		var groups []store.Group
		groups, err = tx.ListGroupsWith(r.number, q.Right, 500)
		i := slices.IndexFunc(groups, func(g store.Group) bool { return groupID == "" || g.ID == groupID })
		if err == nil && i < 0 {
			err = fault.New(fault.Conflict, "rt.nogroup")
		}
		if err == nil {
			g = groups[i]
		}
	}
	if err != nil {
		return g, err
	}
	return g, r.mayFill(tx, g, time.Time{})
}
