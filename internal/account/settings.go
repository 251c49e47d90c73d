package account

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Place is one layer of settings: the site's, an account's limits or its own,
// or a group's.
type Place struct {
	Layer   policy.From
	Account int64  // 0 of the site
	Group   string // of a group's layer
}

// OfSite, LimitsOf, SettingsOf and SettingsOfGroup are the places of settings.
func OfSite() Place                 { return Place{Layer: policy.FromSite} }
func LimitsOf(number int64) Place   { return Place{policy.FromLimits, number, ""} }
func SettingsOf(number int64) Place { return Place{policy.FromAccount, number, ""} }
func SettingsOfGroup(number int64, group string) Place {
	return Place{policy.FromGroup, number, group}
}

// actions are those of looking at a place's settings and of changing them.
func (p Place) actions() (view, set action) {
	switch p.Layer {
	case policy.FromSite:
		return siteView, siteSet
	case policy.FromLimits:
		return limitsView, limitsSet
	case policy.FromGroup:
		return settingsView, groupSettings
	}
	return settingsView, settingsSet
}

// SettingsView is one layer, with those above it.
type SettingsView struct {
	Place
	Held  Held         // by who asks
	Stack policy.Stack // in which the place's layer is the lowest
	Group store.Group  // of a group's layer
	Name  string       // of the account
	Usage store.Usage  // of the account's quotas
	raw   string
}

// Said is what the layer itself says.
func (v SettingsView) Said() policy.Layer { return v.Stack.Layer(v.Layer) }

// Revision names the state of the layer: an act whose IfMatch is another is refused.
func (v SettingsView) Revision() string { return revision(v.Layer, v.Account, v.Place.Group, v.raw) }

// Settings returns the settings of a place, and what holds there.
func (s *Service) Settings(ctx context.Context, actor Actor, at Place) (out SettingsView, err error) {
	view, _ := at.actions()
	err = s.lookWithin(ctx, actor, view, at.Account, func(tx *store.Tx, a store.Account, r reach) error {
		out, err = settingsAt(tx, a, r, at)
		return err
	})
	return out, err
}

func settingsAt(tx *store.Tx, a store.Account, r reach, at Place) (v SettingsView, err error) {
	if err := r.whole(); err != nil {
		return v, err
	}
	v = SettingsView{Place: at, Name: a.Name, Held: r.Held}
	site, err := tx.SiteSettings()
	if err != nil {
		return v, err
	}
	if at.Layer == policy.FromSite {
		v.Stack.Site, err = policy.ReadLayer(site)
		v.raw = v.Said().Encode() // not as kept: before anybody said something there is no row
		return v, err
	}
	if v.Stack, err = policy.ReadStack(a.Settings); err != nil {
		return v, err
	}
	if v.Usage, err = tx.Usage(a.ID); err != nil {
		return v, err
	}
	switch at.Layer {
	case policy.FromLimits:
		v.Stack.Account = nil
	case policy.FromGroup:
		if v.Group, err = r.group(tx, at.Group); err != nil {
			return v, err
		}
		text, err := tx.GroupSettings(at.Group)
		if err != nil {
			return v, err
		}
		l, err := policy.ReadLayer(text)
		if err != nil {
			return v, err
		}
		v.Stack.Groups = []policy.Layer{l}
	}
	v.raw = v.Said().Encode()
	return v, nil
}

// Setting is a new value of a setting by name; "" has the layer say nothing of it.
type Setting struct{ Name, Value string }

// SetSettings changes what a place says, all or nothing, and returns it as it
// then is. Each setting that changes leaves a record with its old value. Faults:
// people.setting, people.nosetting, po.conflict (with a field for each that is wrong), api.stale.
func (s *Service) SetSettings(ctx context.Context, actor Actor, at Place, changes []Setting) (out SettingsView, err error) {
	return s.setSettings(ctx, actor, at, func(*store.Tx, SettingsView) ([]Setting, error) { return changes, nil })
}

// setSettings is SetSettings of what decide says, seeing what the place says now.
func (s *Service) setSettings(ctx context.Context, actor Actor, at Place, decide func(*store.Tx, SettingsView) ([]Setting, error)) (out SettingsView, err error) {
	_, set := at.actions()
	err = s.actWithin(ctx, actor, set, at.Account, func(tx *store.Tx, a store.Account, r reach) error {
		if at.Layer == policy.FromSite {
			if _, err := tx.LockSite(); err != nil {
				return err
			}
		}
		was, err := settingsAt(tx, a, r, at)
		if err != nil {
			return err
		}
		if err := r.unchanged(was.Revision()); err != nil {
			return err
		}
		changes, err := decide(tx, was)
		if err != nil {
			return err
		}
		next, changed, err := was.change(changes)
		if err != nil {
			return err
		}
		if slices.Contains(changed, "second") || slices.Contains(changed, "second_grace_days") { // as for a person's (requireSecond)
			if err := recentlyProved(tx, actor); err != nil {
				return err
			}
		}
		for _, name := range changed {
			if err := record(tx, actor, set, at.Account, was.target(), "name", name, "value", inWords(next, name), "was", inWords(was, name)); err != nil {
				return err
			}
		}
		if len(changed) > 0 {
			if err := next.write(tx); err != nil {
				return err
			}
		}
		out = next
		out.raw = next.Said().Encode()
		return nil
	})
	return out, err
}

// target is what records of a change name.
func (v SettingsView) target() string {
	switch v.Layer {
	case policy.FromSite:
		return "site"
	case policy.FromGroup:
		return v.Group.Name
	}
	return strconv.FormatInt(v.Account, 10)
}

const inherited = "inherited" // in records: the layer says nothing

// inWords is what a record says of a setting.
func inWords(v SettingsView, name string) string { return cmp.Or(v.Said()[name], inherited) }

// SettingsChange is one setting of a place that was changed.
type SettingsChange struct {
	ID         string // of its record
	At         time.Time
	Actor      string // as records have it
	Name       string
	Value, Was string // "" = the place said nothing of it
	Stands     bool   // so it is said still: it can be undone
}

// SettingsHistoryPage is a page of changes, the newest first.
type SettingsHistoryPage struct {
	Changes []SettingsChange
	Next    string // cursor, "" on the last page
}

// SettingsHistory lists what was changed of a place's settings. A group's are those
// under the name that it has now.
func (s *Service) SettingsHistory(ctx context.Context, actor Actor, at Place, after string, limit int) (out SettingsHistoryPage, err error) {
	view, set := at.actions()
	limit = limited(limit)
	err = s.lookWithin(ctx, actor, view, at.Account, func(tx *store.Tx, a store.Account, r reach) error {
		out = SettingsHistoryPage{}
		v, err := settingsAt(tx, a, r, at)
		if err != nil {
			return err
		}
		list := keyset.Of("settings", at.Account, at.Layer, at.Group)
		before, err := list.Key(after)
		if err != nil {
			return err
		}
		rows, err := tx.FilterAudit(store.AuditFilter{AccountID: at.Account, Action: string(set), Target: v.target(), Outcome: store.Done, From: v.Group.CreatedAt}, before, false, limit+1)
		if err != nil {
			return err
		}
		rows, out.Next = keyset.Page(list, rows, limit, func(row store.AuditRow) string { return row.ID })
		for _, row := range rows {
			out.Changes = append(out.Changes, v.changeIn(row))
		}
		return nil
	})
	return out, err
}

func (v SettingsView) changeIn(row store.AuditRow) SettingsChange {
	said := func(word string) string {
		if word == inherited {
			return ""
		}
		return word
	}
	c := SettingsChange{ID: row.ID, At: row.At, Actor: row.Actor, Name: row.Detail["name"], Value: said(row.Detail["value"]), Was: said(row.Detail["was"])}
	c.Stands = v.Said()[c.Name] == c.Value
	return c
}

// UndoSetting has a place say of a setting again what it said before a change, which
// stands still. Faults: po.moved, and SetSettings'.
func (s *Service) UndoSetting(ctx context.Context, actor Actor, at Place, recordID string) (SettingsView, error) {
	_, set := at.actions()
	return s.setSettings(ctx, actor, at, func(tx *store.Tx, v SettingsView) ([]Setting, error) {
		row, err := tx.FindAudit(at.Account, recordID)
		if err == nil && (row.Action != string(set) || row.Target != v.target() || row.Outcome != store.Done || row.At.Before(v.Group.CreatedAt)) {
			err = store.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		c := v.changeIn(row)
		if !c.Stands {
			return nil, fault.New(fault.Conflict, "po.moved")
		}
		return []Setting{{c.Name, c.Was}}, nil
	})
}

// change is v after some changes, and the names of what differs, in the table's order.
func (v SettingsView) change(changes []Setting) (SettingsView, []string, error) {
	said, next := v.Said(), policy.Layer{}
	for name, value := range said {
		next[name] = value
	}
	for _, c := range changes {
		if c.Value == "" {
			if x, ok := policy.FindSetting(c.Name); !ok || !x.In(v.Layer) {
				return v, nil, wrongSetting(policy.Conflict{Name: c.Name})
			}
			delete(next, c.Name)
		} else {
			next[c.Name] = c.Value
		}
	}
	var changed []string
	for _, c := range changes {
		if next[c.Name] != said[c.Name] && !slices.Contains(changed, c.Name) {
			changed = append(changed, c.Name)
		}
	}
	v.Stack = v.Stack.With(v.Layer, next)
	if wrong := v.Stack.Check(v.Layer, changed); len(wrong) > 0 {
		return v, nil, wrongSetting(wrong...)
	}
	return v, changed, nil
}

// wrongSetting says what cannot be set, as a whole and at each field.
func wrongSetting(list ...policy.Conflict) *fault.Error {
	say := func(c policy.Conflict) (string, fault.Args) {
		if _, known := policy.FindSetting(c.Name); !known {
			return "people.nosetting", fault.Args{"name": c.Name}
		}
		if c.From == "" {
			return "people.setting", fault.Args{"name": c.Name, "value": c.Value}
		}
		x, _ := policy.FindSetting(c.Name)
		key := "po.conflict." + string(c.From)
		switch {
		case x.More:
			key = "po.conflict.least." + string(c.From)
		case x.Words != nil:
			key = "po.conflict.word." + string(c.From)
		case x.Unit == "days":
			key = "po.conflict.days." + string(c.From)
		}
		return key, fault.Args{"n": c.Most}
	}
	key, args := say(list[0])
	out := fault.New(fault.Invalid, key)
	for name, v := range args {
		out = out.With(name, v)
	}
	for _, c := range list {
		key, args := say(c)
		out = out.In(c.Name, key, args)
	}
	return out
}

func (v SettingsView) write(tx *store.Tx) error {
	text := v.Said().Encode()
	switch v.Layer {
	case policy.FromSite:
		return tx.SetSiteSettings(text)
	case policy.FromLimits:
		return tx.SetAccountLimits(v.Account, text)
	case policy.FromGroup:
		return tx.SetGroupSettings(v.Place.Group, text)
	}
	return tx.SetAccountSettings(v.Account, text)
}

// Effect is what a change would have meant for the envelopes of a day.
type Effect struct {
	From, To time.Time
	Sent     int // in that day
	Ends     int // of them: would have had another end
	Levels   int
	Replies  int
	Forwards int
}

// Noon is in the middle of the day, so that it is the same day for most readers.
func (e Effect) Noon() time.Time { return e.From.Add(12 * time.Hour) }

// TrySettings says what a change would have meant for what was sent in the 24
// hours before the beginning of this day, and changes nothing. Faults: as SetSettings, try.busy.
func (s *Service) TrySettings(ctx context.Context, actor Actor, at Place, changes []Setting) (out Effect, err error) {
	_, set := at.actions()
	err = s.lookWithin(ctx, actor, set, at.Account, func(tx *store.Tx, a store.Account, r reach) error {
		was, err := settingsAt(tx, a, r, at)
		if err != nil {
			return err
		}
		next, _, err := was.change(changes)
		if err != nil {
			return err
		}
		end, err := s.trials.begin(a.ID)
		if err != nil {
			return err
		}
		defer end()
		zone, err := time.LoadLocation(timeZone(a.TimeZone))
		if err != nil {
			return err
		}
		y, m, d := tx.Now.In(zone).Date()
		out = Effect{From: time.Date(y, m, d-1, 0, 0, 0, 0, zone), To: time.Date(y, m, d, 0, 0, 0, 0, zone)}
		texts := map[int64]string{a.ID: a.Settings}
		if at.Layer == policy.FromSite {
			if texts, err = tx.ListSettings(); err != nil {
				return err
			}
		}
		for number, text := range texts {
			k, err := policy.ReadStack(text)
			if err != nil {
				return err
			}
			past, err := tx.CountPast(number, at.Group, out.From, out.To)
			if err != nil {
				return err
			}
			if at.Layer == policy.FromGroup {
				k.Groups = was.Stack.Groups
			}
			if err := out.add(past, k, k.With(at.Layer, next.Said())); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// add counts what one account sent, under what held and what would have.
func (e *Effect) add(past []store.PastKind, was, next policy.Stack) error {
	s, t := was.Settings(), next.Settings()
	groups := next.Groups
	was.Groups, next.Groups = nil, nil // what a group says is in the permissions
	under, within := was.Settings(), next.Settings()
	for _, k := range past {
		p, err := policy.ReadPermissions(k.Policy)
		if err != nil {
			return err
		}
		e.Sent += k.N
		before, after := p.Under(under), p.Within(groups...).Under(within)
		for _, c := range []struct {
			n       *int
			changed bool
		}{
			{&e.Levels, before.Level != after.Level}, {&e.Replies, before.Reply != after.Reply}, {&e.Forwards, before.Forward != after.Forward},
			{&e.Ends, longer(k.Days, t.ExpiryMax) || usual(k.Days, s.ExpiryDays) && s.ExpiryDays != t.ExpiryDays},
		} {
			if c.changed {
				*c.n += k.N
			}
		}
	}
	return nil
}

// longer reports whether a life of days (-1: without end) is beyond the longest.
func longer(days, most int) bool { return most > 0 && (days < 0 || days > most) }

// usual reports whether a life of days is what nobody chose: a page's day ends at night.
func usual(days, of int) bool {
	if of == 0 {
		return days < 0
	}
	return days == of
}

// entry decides who else may be a user of an account.
type entry struct {
	own   []string // domains, where nobody else's may be
	bound bool     // by them
	left  int      // users, -1: any number
	quota int
}

// entryOf is the account's entry for who acts. To let somebody in, the transaction
// holds the account, or waits here for others who do as it does (hold); without, it is
// how things are now. Operators may let in anybody, up to the quota.
func entryOf(tx *store.Tx, actor Actor, a store.Account, hold bool) (e entry, err error) {
	settings, err := policy.ReadSettings(a.Settings)
	if err != nil {
		return e, err
	}
	e = entry{left: -1, quota: settings.QuotaUsers, bound: !settings.Guests && actor.Kind != KindOperator}
	if e.bound {
		own, err := tx.ListDomains(a.ID)
		if err != nil {
			return e, err
		}
		for _, d := range own {
			e.own = append(e.own, d.Name)
		}
	}
	if e.quota > 0 {
		if hold {
			if err := tx.AddUsage(a.ID, store.Usage{}, true); err != nil {
				return e, err
			}
		}
		used, err := tx.Usage(a.ID)
		e.left = max(0, e.quota-int(used.Users))
		return e, err
	}
	return e, nil
}

// admits says why one more may not come in: off.guests, quota.users.
func (e *entry) admits(address string) error {
	_, domain, _ := strings.Cut(address, "@")
	switch {
	case e.bound && !slices.Contains(e.own, domain):
		return fault.New(fault.Denied, "off.guests").With("email", address)
	case e.left == 0:
		return fault.New(fault.Closed, "quota.users").With("n", e.quota)
	}
	return nil
}

// take is admits that lets them in.
func (e *entry) take(address string) error {
	err := e.admits(address)
	if err == nil && e.left > 0 {
		e.left--
	}
	return err
}

// admit is entryOf and take for one address, canonical.
func admit(tx *store.Tx, actor Actor, a store.Account, address string) error {
	e, err := entryOf(tx, actor, a, true)
	if err != nil {
		return err
	}
	return e.take(address)
}

// siteSettings is what holds where no account is asked about.
func siteSettings(tx *store.Tx) (policy.Settings, error) {
	text, err := tx.SiteSettings()
	if err != nil {
		return policy.Settings{}, err
	}
	l, err := policy.ReadLayer(text)
	return policy.Effective(l, nil, nil), err
}

// settingsFor is what holds for somebody as a user: of their account, or of none.
func settingsFor(tx *store.Tx, u store.User) (policy.Settings, error) {
	if u.AccountID == 0 {
		return siteSettings(tx)
	}
	a, err := tx.FindAccount(u.AccountID)
	if err != nil {
		return policy.Settings{}, err
	}
	return policy.ReadSettings(a.Settings)
}

// PasswordLength is how many characters a password has at least that somebody
// of an account chooses; number 0: of none.
func (s *Service) PasswordLength(ctx context.Context, number int64) (n int, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		set, err := settingsFor(tx, store.User{AccountID: number})
		n = set.PasswordLength
		return err
	})
	return n, orNotFound(err)
}

// temporaryUntil is until when a temporary password works that is given now.
func temporaryUntil(tx *store.Tx, a store.Account) (time.Time, error) {
	set, err := policy.ReadSettings(a.Settings)
	return tx.Now.Add(time.Duration(set.TemporaryHours) * time.Hour), err
}

// SiteSettings is what holds where no account is asked about.
func (s *Service) SiteSettings(ctx context.Context) (out policy.Settings, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		out, err = siteSettings(tx)
		return err
	})
	return out, err
}

// Quota is how much of one of its quotas an account uses.
type Quota struct {
	Name      string // users, mib, day
	Used, Max int64
}

// Near reports whether 80 % of it are used.
func (q Quota) Near() bool { return q.Used*5 >= q.Max*4 }

// quotasOf are the account's that are set.
func quotasOf(tx *store.Tx, a store.Account) (out []Quota, err error) {
	s, err := policy.ReadSettings(a.Settings)
	if err != nil || s.QuotaUsers == 0 && s.QuotaMiB == 0 && s.QuotaDay == 0 {
		return nil, err
	}
	u, err := tx.Usage(a.ID)
	for _, q := range []Quota{{"users", u.Users, int64(s.QuotaUsers)}, {"mib", (u.Bytes + 1<<20 - 1) >> 20, int64(s.QuotaMiB)}, {"day", u.Envelopes, int64(s.QuotaDay)}} {
		if q.Max > 0 {
			out = append(out, q)
		}
	}
	return out, err
}
