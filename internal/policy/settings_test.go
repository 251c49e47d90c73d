package policy_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/policy"
)

// today is what holds where nothing is said.
func today() policy.Settings { return policy.Effective(nil, nil, nil) }

// of are settings of an account that says these.
func of(l policy.Layer) policy.Settings { return policy.Effective(nil, nil, l) }

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := policy.Settings{
		Level: policy.Low, Reply: true, Replies: policy.RepliesSealed, Online: true, ExpiryDays: 30, ExpiryMax: 30, Subject: policy.SubjectRules,
		Attach: true, Compose: true, Requests: true, Large: true, Guests: true, Enrol: true, Branding: true, KeepDays: 14,
		Second: policy.SecondNobody, PasswordLength: 15, TemporaryHours: 168,
	}
	if got := today(); got != want {
		t.Errorf("%+v", got)
	}
	for _, x := range policy.Table {
		if x.Looser(x.Default, x.Default) || want.Get(x.Name) != x.Default || len(x.Layers) == 0 {
			t.Errorf("%s: default %q", x.Name, x.Default)
		}
	}
}

// An end may be on the last day, wherever that is, and none only where it may be none.
func TestEnds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	month, ever := policy.Settings{ExpiryMax: 30, ExpiryDays: 30}, policy.Settings{}
	for _, tt := range []struct {
		s    policy.Settings
		at   time.Time
		want bool
	}{
		{month, now.AddDate(0, 0, 30), true}, {month, now.AddDate(0, 0, 31), true}, {month, now.AddDate(0, 0, 31).Add(time.Second), false},
		{month, time.Time{}, false}, {ever, time.Time{}, true}, {ever, now.AddDate(100, 0, 0), true},
		{month, month.Latest(now), true}, {month, month.End(now, 0), true}, {month, month.End(now, 1000*time.Hour), true}, {ever, ever.Latest(now), true},
	} {
		if got := tt.s.AllowsEnd(tt.at, now); got != tt.want {
			t.Errorf("at most %d days, ends %v: %v", tt.s.ExpiryMax, tt.at, got)
		}
	}
}

// What an account said before there were layers is read as it was meant.
func TestOldSettings(t *testing.T) {
	t.Parallel()
	for text, change := range map[string]func(*policy.Settings){
		``:   func(*policy.Settings) {},
		`{}`: func(*policy.Settings) {},
		`{"level":"high","no_reply":true,"forward":true,"no_online":true,"replies":"tls","lease_days":3,"record_days":90}`: func(s *policy.Settings) {
			s.Level, s.Reply, s.Forward, s.Online, s.Replies, s.LeaseDays, s.RecordDays = policy.High, false, true, false, policy.RepliesTLS, 3, 90
		},
		`{"expiry_days":90,"expiry_max":90,"keep_days":0,"lease_days":1}`:                    func(s *policy.Settings) { s.ExpiryDays, s.ExpiryMax, s.KeepDays, s.LeaseDays = 90, 90, 0, 1 },
		`{"expiry_days":0,"expiry_max":0,"keep_days":14}`:                                    func(s *policy.Settings) { s.ExpiryDays, s.ExpiryMax = 0, 0 },
		`[{"expiry_max":"7"},{},{"expiry_days":0,"expiry_max":0}]`:                           func(s *policy.Settings) { s.ExpiryDays, s.ExpiryMax = 7, 7 },
		`[{},{"compose":"false"},{"compose":"true","quota_users":"9","of_a_later_one":"x"}]`: func(s *policy.Settings) { s.Compose = false },
	} {
		want := today()
		change(&want)
		if got, err := policy.ReadSettings(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"{", `{"level":"highest"}`, `{"lease_days":-1}`, `[{},{}]`, `[{},{},{]`, `{"lease_days":1.5}`} {
		if _, err := policy.ReadSettings(bad); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// values are some of a setting's, with those that bound it.
func values(x policy.Setting) []string {
	if x.Words != nil {
		return x.Words
	}
	return slices.DeleteFunc([]string{"0", "1", "7", "15", "30", "31", strconv.Itoa(x.Max)}, func(v string) bool {
		n, _ := strconv.Atoi(v)
		return n > x.Max || n < x.Min && (n > 0 || !x.Open)
	})
}

func drawLayer(t *rapid.T, name string, from policy.From) policy.Layer {
	l := policy.Layer{}
	for _, x := range policy.Table {
		if x.In(from) && rapid.Bool().Draw(t, name+" says "+x.Name) {
			l[x.Name] = rapid.SampledFrom(values(x)).Draw(t, name+" "+x.Name)
		}
	}
	return l
}

func drawStack(t *rapid.T) policy.Stack {
	k := policy.Stack{Site: drawLayer(t, "site", policy.FromSite), Limits: drawLayer(t, "limits", policy.FromLimits), Account: drawLayer(t, "account", policy.FromAccount)}
	for range rapid.IntRange(0, 3).Draw(t, "groups") {
		k.Groups = append(k.Groups, drawLayer(t, "group", policy.FromGroup))
	}
	return k
}

// A lower layer never loosens what is said above it; the order of groups does not
// matter, and where nothing is said the layer above decides (security.md I9).
func TestLayersOnlyTighten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := drawStack(t)
		all := k.Settings()
		turned := slices.Clone(k.Groups)
		slices.Reverse(turned)
		if policy.Effective(k.Site, k.Limits, k.Account, turned...) != all {
			t.Fatal("the order of groups matters")
		}
		for _, x := range policy.Table {
			for _, from := range []policy.From{policy.FromLimits, policy.FromAccount, policy.FromGroup} {
				above := k.Above(from).Find(x.Name)
				if bound := k.Bound(x.Name, from); bound.From != policy.FromDefault && x.Looser(all.Get(x.Name), bound.Value) {
					t.Fatalf("%s: %q, and above %s stands %q", x.Name, all.Get(x.Name), from, above.Value)
				}
			}
			f := k.Find(x.Name)
			if f.Value != all.Get(x.Name) {
				t.Fatalf("%s: found %q, holds %q", x.Name, f.Value, all.Get(x.Name))
			}
			said := false
			for _, l := range append([]policy.Layer{k.Site, k.Limits, k.Account}, k.Groups...) {
				_, has := l[x.Name]
				_, asks := l["second"]
				said = said || has || x.Name == "second_grace_days" && asks
			}
			if !said && x.Name != "expiry_days" && (f.Value != x.Default || f.From != policy.FromDefault) {
				t.Fatalf("%s: %+v, and nobody says anything", x.Name, f)
			}
		}
		if all.ExpiryMax > 0 && (all.ExpiryDays == 0 || all.ExpiryDays > all.ExpiryMax) {
			t.Fatalf("ends after %d days, at most %d", all.ExpiryDays, all.ExpiryMax)
		}
		// What Check lets a layer say holds.
		account := k
		account.Groups = nil
		for _, x := range policy.Table {
			if v, said := k.Account[x.Name]; said && len(account.Check(policy.FromAccount, []string{x.Name})) == 0 && account.Find(x.Name).Value != v {
				t.Fatalf("%s=%s was let through, and %+v holds", x.Name, v, account.Find(x.Name))
			}
		}
		read, err := policy.ReadLayer(k.Account.Encode())
		if err != nil || policy.Effective(k.Site, k.Limits, read) != account.Settings() {
			t.Fatalf("%v: %v", k.Account, err)
		}
	})
}

// A cap that nobody set hides no bound that somebody did.
func TestDefaultCapHidesNoBound(t *testing.T) {
	t.Parallel()
	k := policy.Stack{Limits: policy.Layer{"expiry_days": "31"}, Account: policy.Layer{"expiry_days": "0", "expiry_max": "0"}}
	if c := k.Check(policy.FromAccount, []string{"expiry_days"}); len(c) != 1 || c[0].Most != "31" || c[0].From != policy.FromLimits {
		t.Errorf("for ever, under a limit of 31 days: %+v", c)
	}
}

// What a message allows within groups, and then under its account, is never more
// than without them, whatever the message says.
func TestGroupsOnlyTighten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := drawStack(t)
		maybe := func(name string) *bool {
			return rapid.SampledFrom([]*bool{nil, new(bool), ptr(true)}).Draw(t, name)
		}
		p := policy.Permissions{Reply: maybe("reply"), ReplyAll: maybe("reply all"), Forward: maybe("forward"), Offline: maybe("offline"),
			Level: rapid.SampledFrom([]string{"", policy.Low, policy.Medium, policy.High}).Draw(t, "level")}
		s := policy.Effective(k.Site, k.Limits, k.Account)
		without, with := p.Under(s), p.Within(k.Groups...).Under(s)
		if policy.Stricter(without.Level, with.Level) != with.Level || with.Reply && !without.Reply || with.ReplyAll && !without.ReplyAll ||
			with.Forward && !without.Forward || with.Lease > without.Lease || with.Online != without.Online {
			t.Fatalf("%+v, and without groups %+v", with, without)
		}
		inside := k.Settings() // the same, where the message asks for what the settings say
		if got := (policy.Permissions{Level: policy.Low}).Within(k.Groups...).Under(s); got.Level != inside.Level || got.Reply != inside.Reply || got.Forward != inside.Forward ||
			got.Level != policy.High && got.Lease != inside.LeaseDays {
			t.Fatalf("%+v by permissions, %+v by settings", got, inside)
		}
		turned := slices.Clone(k.Groups)
		slices.Reverse(turned)
		if p.Within(turned...).Under(s) != with {
			t.Fatal("the order of groups matters")
		}
	})
}

func ptr(b bool) *bool { return &b }

func TestCheck(t *testing.T) {
	t.Parallel()
	site := policy.Layer{"expiry_max": "30", "forward": "false"}
	for _, c := range []struct {
		name    string
		k       policy.Stack
		layer   policy.From
		changed string
		want    []policy.Conflict
	}{
		{"within", policy.Stack{Site: site, Account: policy.Layer{"expiry_max": "7"}}, policy.FromAccount, "expiry_max", nil},
		{"longer", policy.Stack{Site: site, Account: policy.Layer{"expiry_max": "31"}}, policy.FromAccount, "expiry_max", []policy.Conflict{{"expiry_max", "31", "30", policy.FromSite}}},
		{"for ever", policy.Stack{Site: site, Account: policy.Layer{"expiry_max": "0"}}, policy.FromAccount, "expiry_max", []policy.Conflict{{"expiry_max", "0", "30", policy.FromSite}}},
		{"default above the longest", policy.Stack{Account: policy.Layer{"expiry_max": "7", "expiry_days": "8"}}, policy.FromAccount, "expiry_days", []policy.Conflict{{"expiry_days", "8", "7", policy.FromAccount}}},
		{"default with the longest", policy.Stack{Account: policy.Layer{"expiry_max": "90", "expiry_days": "60"}}, policy.FromAccount, "expiry_days", nil},
		{"allowed above", policy.Stack{Site: site, Account: policy.Layer{"forward": "true"}}, policy.FromAccount, "forward", []policy.Conflict{{"forward", "true", "false", policy.FromSite}}},
		{"a group beyond what nobody said", policy.Stack{Groups: []policy.Layer{{"forward": "true"}}}, policy.FromGroup, "forward", []policy.Conflict{{"forward", "true", "false", policy.FromAccount}}},
		{"not the layer's", policy.Stack{Account: policy.Layer{"quota_users": "3"}}, policy.FromAccount, "quota_users", []policy.Conflict{{Name: "quota_users", Value: "3"}}},
		{"no value", policy.Stack{Site: policy.Layer{"level": "top"}}, policy.FromSite, "level", []policy.Conflict{{Name: "level", Value: "top"}}},
		{"no such setting", policy.Stack{Site: policy.Layer{"nothing": "1"}}, policy.FromSite, "nothing", []policy.Conflict{{Name: "nothing", Value: "1"}}},
		{"shorter than the site asks", policy.Stack{Site: policy.Layer{"password_length": "20"}, Account: policy.Layer{"password_length": "19"}}, policy.FromAccount, "password_length",
			[]policy.Conflict{{"password_length", "19", "20", policy.FromSite}}},
		{"longer than the site asks", policy.Stack{Site: policy.Layer{"password_length": "20"}, Account: policy.Layer{"password_length": "21"}}, policy.FromAccount, "password_length", nil},
		{"below the floor", policy.Stack{Account: policy.Layer{"password_length": "14"}}, policy.FromAccount, "password_length", []policy.Conflict{{Name: "password_length", Value: "14"}}},
		{"passwords for ever", policy.Stack{Site: policy.Layer{"password_days": "90"}, Account: policy.Layer{"password_days": "0"}}, policy.FromAccount, "password_days",
			[]policy.Conflict{{"password_days", "0", "90", policy.FromSite}}},
		{"puts off what the site asks for", policy.Stack{Site: policy.Layer{"second": "administrators"}, Account: policy.Layer{"second_grace_days": "1"}}, policy.FromAccount, "second_grace_days",
			[]policy.Conflict{{"second_grace_days", "1", "0", policy.FromSite}}},
		{"as long as the site lets", policy.Stack{Site: policy.Layer{"second": "administrators", "second_grace_days": "30"}, Account: policy.Layer{"second": "everybody", "second_grace_days": "30"}},
			policy.FromAccount, "second_grace_days", nil},
		{"the site asks nobody", policy.Stack{Site: policy.Layer{"second": "nobody"}, Account: policy.Layer{"second_grace_days": "90"}}, policy.FromAccount, "second_grace_days", nil},
		{"fewer than the site asks", policy.Stack{Site: policy.Layer{"second": "everybody"}, Account: policy.Layer{"second": "administrators"}}, policy.FromAccount, "second",
			[]policy.Conflict{{"second", "administrators", "everybody", policy.FromSite}}},
		{"taken back", policy.Stack{Site: site}, policy.FromAccount, "forward", nil},
	} {
		if got := c.k.Check(c.layer, []string{c.changed}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// An account tightens what a message says, and never loosens it (security.md I9).
func TestUnder(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		name string
		p    policy.Permissions
		s    policy.Layer
		want policy.Allowed
	}{
		{"nothing said", policy.Permissions{}, nil, policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true, Online: true}},
		{"the account's level", policy.Permissions{Level: policy.Low}, policy.Layer{"level": "high"},
			policy.Allowed{Level: policy.High, Reply: true, ReplyAll: true, Online: true}},
		{"the message's level", policy.Permissions{Level: policy.High}, policy.Layer{"level": "low"},
			policy.Allowed{Level: policy.High, Reply: true, ReplyAll: true, Online: true}},
		{"asked for and forbidden", policy.Permissions{Reply: &yes, ReplyAll: &yes, Forward: &yes}, policy.Layer{"reply": "false", "online": "false"},
			policy.Allowed{Level: policy.Medium}},
		{"allowed and not wanted", policy.Permissions{Reply: &no, Forward: &no}, policy.Layer{"forward": "true"},
			policy.Allowed{Level: policy.Medium, Online: true}},
		{"reply to all alone", policy.Permissions{ReplyAll: &no}, policy.Layer{"forward": "true", "lease_days": "2"},
			policy.Allowed{Level: policy.Medium, Reply: true, Forward: true, Online: true, Lease: 2}},
		{"a lease that the message forbids", policy.Permissions{Offline: &no}, policy.Layer{"lease_days": "2"},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true, Online: true}},
		{"a lease that the message wishes", policy.Permissions{Offline: &yes}, nil,
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true, Online: true}},
		{"a lease at a high level", policy.Permissions{Offline: &yes, Level: policy.High}, policy.Layer{"lease_days": "2"},
			policy.Allowed{Level: policy.High, Reply: true, ReplyAll: true, Online: true}},
		{"a lease with a passphrase", policy.Permissions{Offline: &yes, Passphrase: true}, policy.Layer{"lease_days": "2"},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true}},
		{"a passphrase", policy.Permissions{Passphrase: true, Forward: &yes}, policy.Layer{"forward": "true"},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true}},
	} {
		if got := c.p.Under(of(c.s)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
