package keyserver

import (
	"context"
	"errors"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Remember remembers the visitor's browser for the address of the slot with that
// reference, which this session has proved: envelopes of a low level that are
// sealed to it open there without a code, until the browser was not used for
// store.RememberLimit. device is the token that the browser is to be known by
// from now on, for what it was remembered for before too: whoever used it before
// may have kept the old one. client is its name. Faults: home.err, sess.h1, e404.h1; release.level.code for an
// envelope of another level, or a session that did not prove the address itself.
func (s *Service) Remember(ctx context.Context, v Visitor, ref string, device id.Token, client string) error {
	ref, err := parseRef(ref)
	if err != nil {
		return err
	}
	if r := []rune(client); len(r) > 200 {
		client = string(r[:200])
	}
	return unavailable(s.c.DB.Update(ctx, func(tx *store.Tx) error {
		o, err := tx.FindOpeningByRef(ref, v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		} else if err != nil {
			return err
		}
		if r := checkSession(o.Session, o.Scope, o.SessionEnds, tx.Now); r != nil {
			return r.fault
		}
		if !o.Possession || o.Proven != o.Slot.Address || level(o) != policy.Low {
			return levelRefusal(o, "release.level.code", "/e/"+o.Slot.Ref).fault
		}
		if v.Device != "" {
			if err := tx.MoveRemembered(v.Device, device.Hash()); err != nil {
				return err
			}
		}
		if err := tx.PutRemembered(store.Remembered{TokenHash: device.Hash(), Address: o.Slot.Address, Client: client}); err != nil {
			return err
		}
		return tx.InsertAudit(store.AuditRow{AccountID: o.Message.AccountID, Actor: "recipient:" + o.Slot.Address, Action: "device.remember",
			Target: o.Message.ID, Origin: v.Origin, Detail: map[string]string{"slot": o.Slot.ID, "ref": o.Slot.Ref, "recipient": o.Slot.DisplayAddress}})
	}))
}

// Forget forgets all that the visitor's browser is remembered for: it holds from
// the next release on.
func (s *Service) Forget(ctx context.Context, v Visitor) error {
	if v.Device == "" {
		return nil
	}
	return unavailable(s.c.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.ForgetDevice(v.Device)
		return err
	}))
}
