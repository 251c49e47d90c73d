package keyserver

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Lease lets a reader's device keep what opens one envelope, for a while.
type Lease struct {
	Until time.Time
	Proof string // by which LeaseStands knows it: slot, end and a MAC; names no person and opens nothing
}

// Lease records that the visitor's device keeps the envelope, and says until when.
// It hands nothing over: the browser has opened the envelope, and asks before it
// keeps what it has. It is refused whatever a release would be, at a high level,
// with a passphrase, and where account or message do not allow it. The check and
// its record, envelope.lease or envelope.lease_denied, are one transaction.
//
// Faults: as Release; lease.denied.
func (s *Service) Lease(ctx context.Context, v Visitor, slot envelope.SlotID) (Lease, error) {
	var until time.Time
	var refused *refusal
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		until, refused = time.Time{}, nil // of a run that was undone
		o, err := tx.LockOpening(slot.String(), v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		} else if err != nil {
			return err
		}
		if err := keepMark(tx, o.Seen); err != nil {
			return err
		}
		now := asOf(tx, o)
		if refused = checkAccess(o, now); refused == nil {
			if until = leaseEnd(o, now); until.IsZero() {
				refused = &refusal{ReasonLease, fault.New(fault.Denied, "lease.denied")}
			}
		}
		record := auditOpening(o, v, refused)
		if record.Action = "envelope.lease"; refused != nil {
			record.Action = "envelope.lease_denied"
		} else {
			record.Detail["until"] = until.UTC().Format(time.RFC3339)
		}
		return tx.InsertAudit(record)
	})
	if err != nil {
		return Lease{}, unavailable(err)
	}
	if refused != nil {
		return Lease{}, refused.fault
	}
	return Lease{until, s.leaseProof(slot, until)}, nil
}

// leaseEnd is when a lease that begins now ends: after the account's days, at the
// latest with the envelope; zero where there is none.
func leaseEnd(o store.Opening, now time.Time) time.Time {
	p, err := policy.ReadPermissions(o.Message.Policy)
	set, err2 := policy.ReadSettings(o.Settings)
	if err != nil || err2 != nil {
		return time.Time{} // what cannot be read allows nothing
	}
	days := p.Under(set).Lease
	if days == 0 {
		return time.Time{}
	}
	until := now.Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
	if end := endOf(o.Message, o.Slot); !end.IsZero() && end.Before(until) {
		until = end.Truncate(time.Second)
	}
	return until
}

// LeaseStands reports whether a device may still open by a lease: neither over,
// nor the envelope locked, ended or withdrawn since, nor leases forbidden. It asks
// for no session, as a lease outlives the reader's, and tells nothing but to who
// holds the lease; a forged one does not stand. Without one, a device that keeps
// its copy all the same is not stopped: the answer is for the page, which deletes it.
func (s *Service) LeaseStands(ctx context.Context, proof string) (bool, error) {
	raw, err := base64.RawURLEncoding.DecodeString(proof)
	if err != nil || len(raw) != 24+32 {
		return false, nil
	}
	slot := envelope.SlotID(raw[:16])
	until := time.Unix(int64(binary.BigEndian.Uint64(raw[16:24])), 0)
	if !hmac.Equal([]byte(s.leaseProof(slot, until)), []byte(proof)) {
		return false, nil
	}
	var stands bool
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		o, err := tx.FindOpening(slot.String(), "")
		if errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		now := asOf(tx, o)
		stands = until.After(now) && stateOf(o, now) == StateActive && !leaseEnd(o, now).IsZero()
		return nil
	})
	return stands, unavailable(err)
}

func (s *Service) leaseProof(slot envelope.SlotID, until time.Time) string {
	body := binary.BigEndian.AppendUint64(append([]byte(nil), slot[:]...), uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(body, s.c.Root.MAC("lease", body)...))
}
