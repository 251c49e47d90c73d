package account

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// firstNumber is where account numbers begin unless the operator chooses them.
const firstNumber = 100001

// AdministratorsName is how the built-in group is stored; pages show the
// catalogue's seed.admins for it.
const AdministratorsName = "Account Administrators"

// AccountHead is an account as each of its pages shows it.
type AccountHead struct {
	store.Account
	Held      Held // by who asks
	Unbranded bool // the operators let it have no look of its own
}

// AccountView is an account as its administrators see it.
type AccountView struct {
	AccountHead
	Users          int // up to store.MaxCount+1, which says that there are more
	Groups         int // with the built-in one; the same
	Administrators int // who are not blocked; some may still have to set a password
	Requests       int // for access, that wait
	Domains        []string
	Claims         []string // domains that wait for their record in DNS
	Recent         RecentFigures
	Quotas         []Quota // that are set; filled by Account, for who may know numbers
	Counted        bool    // whoever asks may know these numbers: they have some right over the whole account
}

// RecentFigures are an account's of the last 30 days, in its time zone, as its reports count them.
type RecentFigures struct {
	Sealed, Recipients, Opened, Activated int64
}

const recentDays = 30

func recentOf(tx *store.Tx, a store.Account) (f RecentFigures, err error) {
	today := tx.Now.In(ZoneOf(a.TimeZone))
	from, to := dayNumber(today.AddDate(0, 0, 1-recentDays)), dayNumber(today)
	days, err := tx.ListReportDays(a.ID, from, to)
	if err != nil {
		return f, err
	}
	for _, d := range days {
		f.Sealed, f.Recipients, f.Opened = f.Sealed+d.Messages, f.Recipients+d.Recipients, f.Opened+d.Opened
	}
	people, err := tx.ListPeopleDays(a.ID, from, to)
	for _, d := range people {
		f.Activated += d.Activated
	}
	return f, err
}

// AccountsPage is a page of accounts by number.
type AccountsPage struct {
	Accounts []AccountView
	Next     string // cursor, "" on the last page
}

func headOf(a store.Account, r reach) (AccountHead, error) {
	settings, err := policy.ReadSettings(a.Settings)
	return AccountHead{Account: a, Held: r.Held, Unbranded: !settings.Branding}, err
}

func viewAccount(tx *store.Tx, a store.Account, r reach) (v AccountView, err error) {
	v.Counted = r.all
	if v.AccountHead, err = headOf(a, r); err != nil || !r.all {
		return v, err
	}
	if v.Users, err = tx.CountUsers(a.ID, "", ""); err != nil {
		return v, err
	}
	if v.Groups, err = tx.CountGroups(a.ID, ""); err != nil {
		return v, err
	}
	v.Groups = min(v.Groups+1, store.MaxCount+1)
	admins, err := tx.ListAdministrators(a.ID, 1000)
	if err != nil {
		return v, err
	}
	v.Administrators = len(admins)
	requests, err := tx.ListRequests(a.ID, 0, "", 1000)
	if err != nil {
		return v, err
	}
	v.Requests = len(requests)
	domains, err := tx.ListDomains(a.ID)
	for _, d := range domains {
		v.Domains = append(v.Domains, d.Name)
	}
	if err != nil {
		return v, err
	}
	claims, err := tx.ListClaims(a.ID)
	if err != nil {
		return v, err
	}
	for _, c := range claims {
		v.Claims = append(v.Claims, c.Name)
	}
	v.Recent, err = recentOf(tx, a)
	return v, err
}

// AccountQuery is what somebody looks for in the list of accounts.
type AccountQuery struct {
	Text  string // begins the name, or is the number or a domain
	State string // store.AccountActive and its like, "" = any
	After string // cursor
}

func (q AccountQuery) filter() store.AccountFilter {
	f := store.AccountFilter{State: q.State}
	if text := clean(q.Text); text != "" {
		f.NamePrefix, f.Domain = nameKey(text), canonicalDomain(text)
		f.Number, _ = strconv.ParseInt(text, 10, 64)
	}
	return f
}

// Accounts lists the accounts in which actor has some right; an operator's are all.
// Who has none is refused with as.notadmin.
func (s *Service) Accounts(ctx context.Context, actor Actor, after string, limit int) (AccountsPage, error) {
	return s.FindAccounts(ctx, actor, AccountQuery{After: after}, limit)
}

// FindAccounts is Accounts of those that q selects.
func (s *Service) FindAccounts(ctx context.Context, actor Actor, q AccountQuery, limit int) (AccountsPage, error) {
	limit = limited(limit)
	var out AccountsPage
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		out = AccountsPage{}
		var rows []store.Account
		var all reach
		list := keyset.Of("accounts")
		from, _, wrong := list.Numbered(q.After)
		if actor.Kind == KindOperator {
			var err error
			if _, all, err = can(tx, actor, accountList, 0, false); err != nil {
				return err
			}
			if wrong != nil {
				return wrong
			}
			if rows, err = tx.ListAccounts(q.filter(), from, limit+1); err != nil {
				return err
			}
			rows, out.Next = keyset.Page(list, rows, limit, func(a store.Account) string { return keyset.Numbered(a.ID, "") })
		} else {
			home, err := homeOf(tx, actor)
			if err != nil {
				return err
			}
			a, r, err := can(tx, actor, accountList, home, false)
			var no *refusal
			if errors.As(err, &no) {
				no.fault, no.target = fault.New(fault.Denied, "as.notadmin"), ""
			}
			if err = cmp.Or(err, wrong); err != nil {
				return err
			}
			all = r
			found, err := tx.ListAccounts(q.filter(), max(from, a.ID-1), 1)
			if err != nil {
				return err
			}
			if len(found) > 0 && found[0].ID == a.ID {
				rows = found
			}
		}
		for _, a := range rows {
			v, err := viewAccount(tx, a, all)
			if err != nil {
				return err
			}
			out.Accounts = append(out.Accounts, v)
		}
		return nil
	})
	if err != nil {
		return AccountsPage{}, s.refused(ctx, actor, accountList, err)
	}
	return out, nil
}

// AccountHead returns one account without what only its overview shows.
func (s *Service) AccountHead(ctx context.Context, actor Actor, number int64) (out AccountHead, err error) {
	err = s.lookWithin(ctx, actor, accountView, number, func(_ *store.Tx, a store.Account, r reach) (err error) {
		out, err = headOf(a, r)
		return err
	})
	return out, err
}

// Account returns one account.
func (s *Service) Account(ctx context.Context, actor Actor, number int64) (AccountView, error) {
	var out AccountView
	err := s.lookWithin(ctx, actor, accountView, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if out, err = viewAccount(tx, a, r); err != nil || !r.all {
			return err
		}
		if out.Quotas, err = quotasOf(tx, a); err != nil {
			return err
		}
		return err
	})
	return out, err
}

// NewAccount is an account to be made.
type NewAccount struct {
	Number     int64 // 0: the next one
	Name       string
	Language   string
	TimeZone   string
	ExpiryDays int // 0 = envelopes can be opened for ever
	KeepDays   int // 0 = the link serves no ciphertext
	Domains    []string
}

// layer is what the account says of its days. What is as the service has it is
// not said, so that what operators say for all reaches it.
func (n NewAccount) layer() policy.Layer {
	l, usual := policy.Layer{}, policy.Effective(nil, nil, nil)
	if n.ExpiryDays != usual.ExpiryDays {
		l["expiry_days"], l["expiry_max"] = strconv.Itoa(n.ExpiryDays), strconv.Itoa(n.ExpiryDays)
	}
	if n.KeepDays != usual.KeepDays {
		l["keep_days"] = strconv.Itoa(n.KeepDays)
	}
	return l
}

// CreateAccount makes an account with its built-in group and its domains, or
// nothing. Operators only.
func (s *Service) CreateAccount(ctx context.Context, actor Actor, n NewAccount) (store.Account, error) {
	return s.OpenAccount(ctx, actor, n, "")
}

// OpenAccount is CreateAccount that also gives the account its first administrator
// by their address, unless it is "": who is a user of no account becomes one at
// once, another is invited. All or nothing.
func (s *Service) OpenAccount(ctx context.Context, actor Actor, n NewAccount, administrator string) (store.Account, error) {
	a := store.Account{
		ID: n.Number, Name: clean(n.Name), Language: language(n.Language), TimeZone: timeZone(n.TimeZone),
		State: store.AccountActive,
	}
	a.NameKey = nameKey(a.Name)
	var p problems
	if a.Name == "" {
		p.add("name", "people.noname", nil)
	}
	checkName(&p, "name", a.Name)
	checkPlace(&p, n.Language, n.TimeZone)
	own := n.layer()
	if a.ID < 0 || n.ExpiryDays < 0 || n.KeepDays < 0 || len(policy.Stack{Account: own}.Check(policy.FromAccount, []string{"expiry_max", "keep_days"})) > 0 {
		p.add("number", "people.number", nil)
	}
	var to mailaddr.Address
	var err error
	if administrator != "" {
		if to, err = mailaddr.Parse(clean(administrator)); err != nil {
			p.add("administrator", "err.email", nil)
		}
	}
	var domains []string
	for _, name := range n.Domains {
		domain, err := parseDomain(name)
		if err != nil {
			p.add("domain", "people.domain", fault.Args{"domain": clean(name)})
		}
		domains = append(domains, domain)
	}
	err = s.act(ctx, actor, accountCreate, 0, func(tx *store.Tx, _ store.Account) (err error) {
		if p.err() != nil {
			return p.err()
		}
		if err := recentlyProved(tx, actor); err != nil { // its administrator has all rights in it
			return err
		}
		a.CreatedAt = tx.Now
		if a.ID = n.Number; a.ID == 0 {
			if a.ID, err = tx.NextAccountNumber(firstNumber); err != nil {
				return err
			}
		}
		if err := tx.InsertAccount(a); err != nil {
			return err
		}
		if err := tx.SetAccountSettings(a.ID, own.Encode()); err != nil {
			return err
		}
		g := store.Group{ID: id.New(), AccountID: a.ID, Name: AdministratorsName, NameKey: nameKey(AdministratorsName), Builtin: true}
		if err := tx.InsertGroup(g); err != nil {
			return err
		}
		if err := record(tx, actor, accountCreate, a.ID, strconv.FormatInt(a.ID, 10), "name", a.Name); err != nil {
			return err
		}
		for _, domain := range domains {
			d, err := tx.FindDomain(domain)
			if err == nil && d.AccountID != a.ID {
				args := fault.Args{"number": d.AccountID, "domain": domain}
				return fault.New(fault.Conflict, "accn.dup").With("number", d.AccountID).With("domain", domain).In("domain", "accn.dup", args)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if _, _, err := addDomain(tx, actor, a, domain); err != nil {
				return err
			}
		}
		if administrator == "" {
			return nil
		}
		return s.firstAdministrator(tx, actor, a, g, to)
	})
	if errors.Is(err, store.ErrTaken) {
		return store.Account{}, fault.New(fault.Conflict, "people.accounttaken").With("number", a.ID).Because(err)
	}
	return a, err
}

func (s *Service) firstAdministrator(tx *store.Tx, actor Actor, a store.Account, g store.Group, to mailaddr.Address) error {
	u, err := tx.FindUserByAddress(to.Canonical())
	if errors.Is(err, store.ErrNotFound) {
		_, err := s.sendInvitation(tx, actor, a, store.Invitation{ID: id.New(), AccountID: a.ID, GroupID: g.ID, Address: to.Canonical(), DisplayAddress: to.String(), CreatedAt: tx.Now})
		return err
	}
	if err != nil {
		return err
	}
	if err := freeToJoin(u, a); err != nil {
		return err
	}
	if err := admit(tx, actor, a, u.Address); err != nil {
		return err
	}
	if err := tx.SetUserAccount(u.ID, a.ID); err != nil {
		return err
	}
	u.AccountID = a.ID
	_, err = s.join(tx, actor, actor.Name, accountAdmin, a, g, u, time.Time{})
	return err
}

// freeToJoin refuses who is another account's, or blocked.
func freeToJoin(u store.User, a store.Account) error {
	key := ""
	switch {
	case u.AccountID != 0 && u.AccountID != a.ID:
		key = "people.elsewhere"
	case u.State != store.UserActive:
		key = "people.blocked"
	default:
		return nil
	}
	return fault.New(fault.Conflict, key).With("email", u.DisplayAddress).In("administrator", key, fault.Args{"email": u.DisplayAddress})
}

// SuspendAccount keeps an account's people from signing in and ends their
// sessions. Operators only.
func (s *Service) SuspendAccount(ctx context.Context, actor Actor, number int64) error {
	return s.setAccountState(ctx, actor, accountSuspend, number, store.AccountSuspended)
}

// ResumeAccount undoes SuspendAccount. Operators only.
func (s *Service) ResumeAccount(ctx context.Context, actor Actor, number int64) error {
	return s.setAccountState(ctx, actor, accountResume, number, store.AccountActive)
}

func (s *Service) setAccountState(ctx context.Context, actor Actor, act action, number int64, state string) error {
	return s.act(ctx, actor, act, number, func(tx *store.Tx, a store.Account) error {
		if a.State == store.AccountDeleting || a.State == store.AccountDeleted {
			return fault.New(fault.Conflict, "life.deleting").With("number", a.ID) // cancelling gives back what was
		}
		if a.State == state {
			return nil
		}
		if state == store.AccountSuspended && actor.UserID != "" {
			if u, err := tx.FindUser(actor.UserID); err != nil || u.AccountID == a.ID { // their own session would end, and none begin
				return cmp.Or(err, error(&refusal{fault.New(fault.Conflict, "life.own"), a.ID, accountName(a.ID)}))
			}
		}
		if err := tx.SetAccountState(a.ID, state); err != nil {
			return err
		}
		if state == store.AccountSuspended {
			if _, err := tx.DeleteAccountSessions(a.ID); err != nil {
				return err
			}
		}
		return record(tx, actor, act, a.ID, strconv.FormatInt(a.ID, 10))
	})
}

// AdministratorAdded says how AddAdministrator made an administrator.
type AdministratorAdded struct {
	User              store.User // zero when Invited
	Already           bool       // they were one before
	Created           bool
	Invited           bool
	TemporaryPassword string // when Created, and none was given
}

// AddAdministrator makes the person of n.Address an administrator of the
// account: one who is a user already (of this account or of none) at once; else
// one who is created, with n.Password, or with a temporary one that is made here
// when that is empty; or, where invite is set, one who accepts an invitation.
// Operators only: it is how an account gets its first administrator. Faults: those of
// Invite and AddUser, second.again.
func (s *Service) AddAdministrator(ctx context.Context, actor Actor, number int64, n NewUser, invite bool) (AdministratorAdded, error) {
	var out AdministratorAdded
	made := ""
	if n.Password == "" {
		made = id.NewPassword()
		n.Password, n.Confirm, n.EnforceExpiry = made, made, true
	}
	prepared, err := s.prepareUser(ctx, number, n)
	if err != nil {
		return out, err
	}
	var group store.Group
	exists := false
	err = s.act(ctx, actor, accountAdmin, number, func(tx *store.Tx, a store.Account) (err error) {
		out, exists = AdministratorAdded{}, false
		if err := recentlyProved(tx, actor); err != nil {
			return err
		}
		if group, err = tx.FindBuiltinGroup(a.ID); err != nil {
			return err
		}
		u, err := tx.FindUserByAddress(prepared.user.Address)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		exists = true
		if err := freeToJoin(u, a); err != nil {
			return err
		}
		if u.AccountID == 0 {
			if err := admit(tx, actor, a, u.Address); err != nil {
				return err
			}
			if err := tx.SetUserAccount(u.ID, a.ID); err != nil {
				return err
			}
			u.AccountID = a.ID
		}
		added, err := s.join(tx, actor, actor.Name, accountAdmin, a, group, u, time.Time{})
		out.User, out.Already = u, !added
		return err
	})
	if err != nil || exists {
		return out, err
	}
	if invite {
		_, err = s.Invite(ctx, actor, number, group.ID, n.Address, time.Time{})
		out.Invited = err == nil
		return out, err
	}
	n.GroupID = group.ID
	added, err := s.AddUser(ctx, actor, number, n)
	out.User, out.Created, out.TemporaryPassword = added.User, err == nil, made
	return out, err
}
