package account

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// Kind is what an Actor is.
type Kind int

// Kinds of actors. Nobody, the zero value, may do nothing.
const (
	Nobody Kind = iota
	KindUser
	KindOperator // runs the service: at the command line on its host, or signed in as one of the operators
	KindSystem   // the service itself
)

// Actor is who acts, and from where.
type Actor struct {
	Kind        Kind
	UserID      string
	Address     string
	Name        string
	Origin      string // network address, or "terminal"
	SessionHash string // of the session that acts, "" where there is none
	TokenID     string // of the API token that acts, "" where there is none
	IfMatch     string // revision that what they act on must still have, "" = whichever
	Language    string // in which they act, and their letters are written; "" = the account's
}

// Operator is whoever runs the service, by the name of their login on its host.
func Operator(name string) Actor {
	return Actor{Kind: KindOperator, Name: name, Origin: "terminal"}
}

// Actor is the session's person, acting from a network address. A visitor, and
// one who must set a password first, is nobody.
func (s *Session) Actor(origin string) Actor {
	if s == nil || s.User == nil || s.Scope != store.ScopeFull {
		return Actor{Origin: origin}
	}
	a := Actor{Kind: KindUser, UserID: s.User.ID, Address: s.User.Address, Name: s.User.Name(), Origin: origin, SessionHash: s.Hash}
	if s.APIToken != nil {
		a.TokenID = s.APIToken.ID
	}
	return a
}

// OperatorActor is the session's person as one who runs the service. Only for an
// operator's session: can looks again whether they are one.
func (s *Session) OperatorActor(origin string) Actor {
	a := s.Actor(origin)
	if a.Kind == KindUser {
		a.Kind = KindOperator
	}
	return a
}

// String is how the audit records name the actor.
func (a Actor) String() string {
	switch a.Kind {
	case KindUser:
		return "user:" + a.Address
	case KindOperator:
		if a.UserID != "" {
			return "operator:" + a.Address
		}
		return "operator:" + a.Name
	case KindSystem:
		return "system"
	}
	return "nobody"
}

// action names an act, in the table below and in the audit records.
type action string

const (
	accountList    action = "account.list"
	accountView    action = "account.view"
	accountCreate  action = "account.create"
	accountSuspend action = "account.suspend"
	accountResume  action = "account.resume"
	accountAdmin   action = "account.add_administrator"
	settingsView   action = "account.settings_view"
	operatorList   action = "operator.list"
	operatorAdd    action = "operator.add"
	operatorRemove action = "operator.remove"
	systemView     action = "system.view"
	settingsSet    action = "account.settings"
	limitsView     action = "account.limits_view"
	limitsSet      action = "account.limits"
	siteView       action = "site.settings_view"
	siteSet        action = "site.settings"
	groupSettings  action = "group.settings"
	accountEdit    action = "account.edit" // name, language, time zone, contacts
	accountDelete  action = "account.delete"
	accountKeep    action = "account.cancel_deletion"
	accountExport  action = "account.export"

	brandSet    action = "brand.set"
	brandLogo   action = "brand.logo"
	brandUnlogo action = "brand.remove_logo"
	brandReset  action = "brand.reset"

	domainList    action = "domain.list"
	domainAdd     action = "domain.add"
	domainRemove  action = "domain.remove"
	domainClaim   action = "domain.claim"
	domainCheck   action = "domain.check"
	domainVerify  action = "domain.verify" // by DNS
	domainSenders action = "domain.senders"
	dkimMake      action = "dkim.make"
	dkimActivate  action = "dkim.activate"
	dkimRemove    action = "dkim.remove"

	groupView   action = "group.view"
	groupAdd    action = "group.add"
	groupRename action = "group.rename"
	groupDelete action = "group.delete"
	groupRights action = "group.rights"

	memberAdd    action = "member.add"
	memberRemove action = "member.remove"
	memberEnd    action = "member.set_end"

	inviteSend   action = "invitation.send"
	inviteRevoke action = "invitation.revoke"

	userView    action = "user.view"
	userAdd     action = "user.add"
	userBlock   action = "user.block"
	userUnblock action = "user.unblock"
	userReset   action = "user.reset_password"
	userLink    action = "user.reset_link"
	userSecond  action = "user.require_second"
	userMerge   action = "user.merge"
	userUnmerge action = "user.merge_cancel"
	userBulk    action = "user.bulk"
	userDelete  action = "user.delete"
	userEdit    action = "user.edit"
	userImport  action = "user.import"
	importCheck action = "user.import_check"
	importStop  action = "user.import_stop"
	userList    action = "user.list" // as a file
	userSignOut action = "user.end_sessions"

	requestView   action = "request.view"
	requestDecide action = "request.decide"

	auditView action = "audit.view"

	messageExplain action = "message.explain"

	upstreamList   action = "upstream.list"
	upstreamAdd    action = "upstream.add"
	upstreamRemove action = "upstream.remove"
	rulesView      action = "rules.view"
	rulesSet       action = "rules.set"

	tokenView   action = "token.view"
	tokenMake   action = "token.make"
	tokenRevoke action = "token.revoke"
	tokenEnd    action = "token.end" // all of one person

	// Done by the person who was invited, who needs no right but the token.
	inviteAccept  action = "invitation.accept"
	inviteDecline action = "invitation.decline"
)

// needs is a set of what entitles to an act: one of it is enough.
type needs uint16

const (
	needUsers needs = 1 << iota // the right of that name, over the account or over the members of a group
	needMessages
	needAudit
	needReports
	needSettings
	needIntegrations
	operators
	without        // not a need: operators do it on no account in particular
	host           // not a need: operators do it on the service's host only, not signed in
	administrators // all rights over the account

	anyRight = needUsers | needMessages | needAudit | needReports | needSettings | needIntegrations
)

var needOf = map[string]needs{
	store.RightAll: anyRight | administrators, store.RightUsers: needUsers, store.RightMessages: needMessages, store.RightAudit: needAudit,
	store.RightReports: needReports, store.RightSettings: needSettings, store.RightIntegrations: needIntegrations,
}

// actions says who may do what. What is not in it, nobody may. Who may read the
// log may look at who has which rights and which rules are in force.
var actions = map[action]needs{
	accountList:    anyRight | operators | without,
	accountView:    anyRight | operators,
	accountCreate:  operators | without,
	accountSuspend: operators,
	accountResume:  operators,
	accountAdmin:   operators,
	operatorList:   operators | without,
	operatorAdd:    operators | without | host,
	operatorRemove: operators | without | host,
	systemView:     operators | without,
	supportLook:    operators | without,
	systemLegal:    operators | without,
	systemTest:     operators | without,
	jobView:        needUsers | operators | without,
	jobCancel:      needUsers | operators,
	backupCreate:   operators | without | host,
	settingsView:   needSettings | needAudit | operators,
	settingsSet:    needSettings | operators,
	limitsView:     needSettings | needAudit | operators,
	limitsSet:      operators,
	siteView:       operators | without,
	siteSet:        operators | without,
	groupSettings:  needSettings | operators,
	brandSet:       needSettings | operators,
	brandLogo:      needSettings | operators,
	brandUnlogo:    needSettings | operators,
	brandReset:     needSettings | operators,
	accountEdit:    needSettings | operators,
	accountDelete:  administrators | operators,
	accountKeep:    administrators | operators,
	accountExport:  administrators | operators,
	domainList:     needSettings | needAudit | operators,
	domainAdd:      operators,
	domainRemove:   needSettings | operators,
	domainClaim:    needSettings | operators,
	domainCheck:    needSettings | operators,
	domainSenders:  needSettings | operators,
	dkimMake:       needSettings | operators,
	dkimRemove:     needSettings | operators,
	groupView:      needUsers | needAudit | needSettings | operators, // settings name groups: who may send, for whom a rule is
	groupAdd:       needUsers | operators,
	groupRename:    needUsers | operators,
	groupDelete:    needUsers | operators,
	groupRights:    needUsers | operators,
	memberAdd:      needUsers | operators,
	memberRemove:   needUsers | operators,
	memberEnd:      needUsers | operators,
	inviteSend:     needUsers | operators,
	inviteRevoke:   needUsers | operators,
	userView:       needUsers | needAudit | operators,
	userAdd:        needUsers | operators,
	userBlock:      needUsers | operators,
	userUnblock:    needUsers | operators,
	userReset:      needUsers | operators,
	userLink:       needUsers | operators,
	userSecond:     needUsers | operators,
	userMerge:      needUsers | operators,
	userUnmerge:    needUsers | operators,
	userBulk:       needUsers | operators,
	userDelete:     needUsers | operators,
	userLift:       needUsers | operators | without,
	userLiftRefuse: needUsers | operators | without,
	userImport:     needUsers | operators,
	userEdit:       needUsers | operators,
	userSignOut:    needUsers | operators,
	userList:       needUsers | needAudit | operators,
	requestView:    needUsers | operators | without,
	requestDecide:  needUsers | operators | without,
	auditView:      needAudit | operators | without,
	messageExplain: needMessages | operators | without,
	reportView:     needReports | operators,
	upstreamList:   needSettings | needAudit | operators,
	upstreamAdd:    operators,
	upstreamRemove: operators,
	rulesView:      needSettings | needAudit | operators,
	rulesSet:       needSettings | operators,
	tokenView:      needIntegrations | operators,
	tokenMake:      needIntegrations | operators | host, // a token acts as its user
	tokenRevoke:    needIntegrations | operators,
	tokenEnd:       needUsers | needIntegrations | operators,
	webhookView:    needIntegrations | operators,
	webhookMake:    needIntegrations | operators,
	webhookChange:  needIntegrations | operators,
	webhookRemove:  needIntegrations | operators,
	webhookRotate:  needIntegrations | operators,
	webhookTest:    needIntegrations | operators,
	webhookPause:   needIntegrations | operators,
	webhookResume:  needIntegrations | operators,
	webhookResend:  needIntegrations | operators,
}

// refusal is an answer that must be recorded before it is given.
type refusal struct {
	fault   *fault.Error
	account int64 // in whose records it belongs, 0 = in no account's
	target  string
}

func (r *refusal) Error() string { return r.fault.Error() }
func (r *refusal) Unwrap() error { return r.fault }

// can decides whether actor may do act on the account with that number (0: on
// none in particular), in the transaction that does it, and returns the account
// and on whom in it. Where lock is set it holds the account's row, so that of
// two acts at once the second sees what the first did. An account that the actor
// does not belong to is refused as if it were not there.
func can(tx *store.Tx, actor Actor, act action, number int64, lock bool) (store.Account, reach, error) {
	need := actions[act]
	target := strconv.FormatInt(number, 10)
	denied := fault.New(fault.Denied, "err.forbidden")
	if actor.TokenID != "" {
		denied = fault.New(fault.Denied, "tok.beyond")
	}
	find := tx.FindAccount
	if lock {
		find = tx.LockAccount
	}
	switch {
	case actor.Kind == KindOperator && need&operators != 0:
		on := target
		if number == 0 {
			on = ""
		}
		if err := operates(tx, actor, need, on); err != nil {
			return store.Account{}, reach{}, err
		}
		r := reach{Held: Held{operator: true}, actor: actor, number: number, all: true}
		if number == 0 && need&without != 0 {
			return store.Account{}, r, nil
		}
		a, err := find(number)
		return a, r, orNotFound(err)
	case actor.Kind != KindUser || need&(anyRight|administrators) == 0:
		home, err := homeOf(tx, actor)
		return store.Account{}, reach{}, cmp.Or(err, error(&refusal{denied, home, target}))
	}
	u, err := tx.FindUser(actor.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return store.Account{}, reach{}, &refusal{denied, 0, target}
	} else if err != nil {
		return store.Account{}, reach{}, err
	}
	if number == 0 || u.AccountID != number {
		return store.Account{}, reach{}, &refusal{notFound(), u.AccountID, target}
	}
	a, err := find(number)
	if err != nil {
		return store.Account{}, reach{}, err
	}
	live, err := tx.SessionActs(actor.SessionHash, u.ID)
	if err != nil {
		return store.Account{}, reach{}, err
	}
	holds, err := tx.ListHoldings(u.ID, number)
	if err == nil && actor.TokenID != "" {
		live, holds, err = throughToken(tx, actor, number, holds)
	}
	if err != nil {
		return store.Account{}, reach{}, err
	}
	r := reach{Held: Held{holds: holds}, actor: actor, number: number}
	for _, h := range holds {
		switch {
		case needOf[h.Right]&need == 0:
		case h.Scope == "":
			r.all = true
		default:
			r.groups = append(r.groups, h.Scope)
		}
	}
	if !live || u.State != store.UserActive || u.Temporary || !isOpen(a, act, holds) || !r.all && len(r.groups) == 0 {
		return store.Account{}, reach{}, &refusal{denied, number, target}
	}
	return a, r, nil
}

// whileDeleting is what administrators may still do in an account that is about
// to be destroyed: see it, take out what is in it, and cancel. One that was
// suspended before stays closed to them.
var whileDeleting = map[action]bool{accountList: true, accountView: true, accountKeep: true, accountExport: true, auditView: true, settingsView: true, groupView: true}

// isOpen reports whether an account is in a state in which people act in it.
func isOpen(a store.Account, act action, holds []store.Holding) bool {
	administers := slices.ContainsFunc(holds, func(h store.Holding) bool { return h.Right == store.RightAll && h.Scope == "" })
	return a.State == store.AccountActive || a.State == store.AccountDeleting && a.Deletion.Before == store.AccountActive && administers && whileDeleting[act]
}

// OperatorLimit is how long a second factor lets somebody act as an operator.
const OperatorLimit = 12 * time.Hour

// operates refuses an operator who signed in and is none any longer, or has not
// proved a second factor of late, what they would act on being target. A job that
// they began has no session.
func operates(tx *store.Tx, actor Actor, need needs, target string) error {
	if actor.UserID == "" {
		return nil
	}
	no := &refusal{fault.New(fault.Denied, "err.forbidden"), 0, target}
	u, err := tx.FindUser(actor.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return no
	} else if err != nil {
		return err
	}
	is, err := tx.IsOperator(u.ID)
	if err != nil {
		return err
	}
	if !is || need&host != 0 || actor.TokenID != "" || u.State != store.UserActive || u.Temporary {
		return no
	}
	if actor.SessionHash == "" {
		return nil
	}
	if live, err := tx.SessionActs(actor.SessionHash, u.ID); err != nil || !live {
		return cmp.Or(err, error(no))
	}
	row, err := tx.FindSession(actor.SessionHash)
	if err == nil && !row.SecondAt.Add(OperatorLimit).After(tx.Now) {
		no.fault = fault.New(fault.Denied, "second.first")
		return no
	}
	return err
}

// homeOf is the account of who acts, 0 of an operator and of who is not there.
func homeOf(tx *store.Tx, actor Actor) (int64, error) {
	if actor.UserID == "" || actor.Kind == KindOperator {
		return 0, nil
	}
	u, err := tx.FindUser(actor.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return u.AccountID, err
}

// act does fn on an account, if actor may over the whole of it, in one
// transaction; fn records what it did. A refusal is recorded in a transaction of
// its own before it is returned: without its record there is no answer.
func (s *Service) act(ctx context.Context, actor Actor, act action, number int64, fn func(tx *store.Tx, a store.Account) error) error {
	return s.actWithin(ctx, actor, act, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		return fn(tx, a)
	})
}

// actWithin is act for what may also be done on some groups and their members
// only: fn finds everybody and everything through r.
func (s *Service) actWithin(ctx context.Context, actor Actor, act action, number int64, fn func(tx *store.Tx, a store.Account, r reach) error) error {
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		a, r, err := can(tx, actor, act, number, true)
		if err != nil {
			return err
		}
		return fn(tx, a, r)
	})
	if err == nil {
		s.wake()
		return nil
	}
	return s.refused(ctx, actor, act, err)
}

// look is act for what only reads. What was looked at is not recorded, what was refused is.
func (s *Service) look(ctx context.Context, actor Actor, act action, number int64, fn func(tx *store.Tx, a store.Account) error) error {
	return s.lookWithin(ctx, actor, act, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		return fn(tx, a)
	})
}

// lookWithin is actWithin for what only reads.
func (s *Service) lookWithin(ctx context.Context, actor Actor, act action, number int64, fn func(tx *store.Tx, a store.Account, r reach) error) error {
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		a, r, err := can(tx, actor, act, number, false)
		if err != nil {
			return err
		}
		return fn(tx, a, r)
	})
	if err == nil {
		return nil
	}
	return s.refused(ctx, actor, act, err)
}

func (s *Service) refused(ctx context.Context, actor Actor, act action, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return orNotFound(err)
	}
	if err := s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return r.record(tx, actor, act) }); err != nil {
		return err
	}
	return r.fault
}

// record writes that actor was refused act.
func (r *refusal) record(tx *store.Tx, actor Actor, act action) error {
	return tx.InsertAudit(store.AuditRow{
		AccountID: r.account, Actor: actor.String(), Action: string(act), Target: r.target,
		Outcome: store.Refused, Detail: actor.details("reason", r.fault.Key), Origin: actor.Origin,
	})
}

// record writes what actor did, in the transaction that did it. Details are pairs of name and value.
func record(tx *store.Tx, actor Actor, act action, number int64, target string, details ...string) error {
	return tx.InsertAudit(store.AuditRow{AccountID: number, Actor: actor.String(), Action: string(act), Target: target, Detail: actor.details(details...), Origin: actor.Origin})
}

// details are particulars of a record, pairs of name and value, with the token that acts.
func (a Actor) details(pairs ...string) map[string]string {
	m := make(map[string]string, len(pairs)/2+1)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	if a.TokenID != "" {
		m["token"] = a.TokenID
	}
	return m
}
