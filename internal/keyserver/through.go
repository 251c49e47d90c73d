package keyserver

import (
	"context"
	"errors"

	"github.com/pli-mail/pli/internal/store"
)

// Withdraw forgets a message that was registered to go through the gateway and
// that the next hop then refused: nobody has its mail, so nothing is lost, and
// the upstream will bring it again or tell its sender. The audit record says
// why, and then says so elsewhere in the same transaction, perhaps more than
// once. A message that has been delivered cannot be withdrawn so: it stays, and
// nothing happens.
func (s *Service) Withdraw(ctx context.Context, messageID, reason string, then func(*store.Tx) error) error {
	var blob string
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		blob = ""
		m, err := tx.FindMessage(messageID)
		if errors.Is(err, store.ErrNotFound) {
			return then(tx)
		}
		if err != nil {
			return err
		}
		slots, err := tx.ListSlots(m.ID)
		if err != nil {
			return err
		}
		for _, slot := range slots {
			if slot.Delivery != store.DeliveryPassing {
				return nil
			}
		}
		if err := tx.DeleteMessage(m); err != nil {
			return err
		}
		if !store.IsRow(m.Payload) {
			blob = m.Payload
		}
		err = tx.InsertAudit(store.AuditRow{AccountID: m.AccountID, Actor: "system", Action: "envelope.withdraw", Target: m.ID,
			Detail: map[string]string{"reason": reason, "transit": m.Transit}, Origin: "gateway"})
		if err != nil {
			return err
		}
		return then(tx)
	})
	if err != nil {
		return unavailable(err)
	}
	s.dropBlobs(ctx, blob)
	return nil
}
