package account

import (
	"context"
	"strconv"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Settings returns what an account decides for its envelopes.
func (s *Service) Settings(ctx context.Context, actor Actor, number int64) (policy.Settings, error) {
	var out policy.Settings
	err := s.look(ctx, actor, settingsView, number, func(_ *store.Tx, a store.Account) (err error) {
		out, err = policy.ReadSettings(a.Settings)
		return err
	})
	return out, err
}

// Setting is a new value of one of an account's settings, by name.
type Setting struct{ Name, Value string }

// SetSettings changes some of an account's settings, all or none, and returns
// all of them. Each that changes leaves a record. Faults: people.setting.
func (s *Service) SetSettings(ctx context.Context, actor Actor, number int64, changes []Setting) (policy.Settings, error) {
	var out policy.Settings
	err := s.act(ctx, actor, settingsSet, number, func(tx *store.Tx, a store.Account) (err error) {
		if out, err = policy.ReadSettings(a.Settings); err != nil {
			return err
		}
		for _, c := range changes {
			was := out.Get(c.Name)
			if !out.Set(c.Name, c.Value) {
				return fault.New(fault.Invalid, "people.setting").With("name", c.Name).With("value", c.Value)
			}
			if out.Get(c.Name) == was {
				continue
			}
			if err := record(tx, actor, settingsSet, a.ID, strconv.FormatInt(a.ID, 10), "name", c.Name, "value", c.Value, "was", was); err != nil {
				return err
			}
		}
		return tx.SetAccountSettings(a.ID, out.Encode())
	})
	return out, err
}
