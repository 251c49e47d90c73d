package policy_test

import (
	"testing"

	"github.com/pli-mail/pli/internal/policy"
)

func TestSettingsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range policy.SettingNames() {
		for _, v := range []string{"low", "medium", "high", "true", "false", "sealed", "tls", "0", "7"} {
			var s policy.Settings
			if !s.Set(name, v) {
				continue
			}
			read, err := policy.ReadSettings(s.Encode())
			if err != nil || read != s || read.Get(name) != v {
				t.Errorf("%s=%s: %+v, %q, %v", name, v, read, read.Get(name), err)
			}
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
		s    policy.Settings
		want policy.Allowed
	}{
		{"nothing said", policy.Permissions{}, policy.Settings{}, policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true, Online: true}},
		{"the account's level", policy.Permissions{Level: policy.Low}, policy.Settings{Level: policy.High},
			policy.Allowed{Level: policy.High, Reply: true, ReplyAll: true, Online: true}},
		{"the message's level", policy.Permissions{Level: policy.High}, policy.Settings{Level: policy.Low},
			policy.Allowed{Level: policy.High, Reply: true, ReplyAll: true, Online: true}},
		{"asked for and forbidden", policy.Permissions{Reply: &yes, ReplyAll: &yes, Forward: &yes}, policy.Settings{NoReply: true, NoOnline: true},
			policy.Allowed{Level: policy.Medium}},
		{"allowed and not wanted", policy.Permissions{Reply: &no, Forward: &no}, policy.Settings{Forward: true},
			policy.Allowed{Level: policy.Medium, Online: true}},
		{"reply to all alone", policy.Permissions{ReplyAll: &no}, policy.Settings{Forward: true, LeaseDays: 2},
			policy.Allowed{Level: policy.Medium, Reply: true, Forward: true, Online: true, Lease: 2}},
		{"a lease that the message forbids", policy.Permissions{Offline: &no}, policy.Settings{LeaseDays: 2},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true, Online: true}},
		{"a lease that the message wishes", policy.Permissions{Offline: &yes}, policy.Settings{},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true, Online: true}},
		{"a lease at a high level", policy.Permissions{Offline: &yes, Level: policy.High}, policy.Settings{LeaseDays: 2},
			policy.Allowed{Level: policy.High, Reply: true, ReplyAll: true, Online: true}},
		{"a lease with a passphrase", policy.Permissions{Offline: &yes, Passphrase: true}, policy.Settings{LeaseDays: 2},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true}},
		{"a passphrase", policy.Permissions{Passphrase: true, Forward: &yes}, policy.Settings{Forward: true},
			policy.Allowed{Level: policy.Medium, Reply: true, ReplyAll: true}},
	} {
		if got := c.p.Under(c.s); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
