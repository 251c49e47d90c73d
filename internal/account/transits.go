package account

import (
	"context"
	"errors"
	"strings"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Transit is one message's way through the gateway, with what was decided.
type Transit struct {
	store.Transit
	Outcomes []policy.Outcome
}

const transitsMost = 20

// Transits finds what the gateway did with a message: by its Message-ID, with or
// without angle brackets, by the trace id of a reply, a Received field or the
// log, or by the reference or message id of an envelope. Of a Message-ID that
// came more than once they are newest first. An operator's number may be 0, for
// all accounts.
func (s *Service) Transits(ctx context.Context, actor Actor, number int64, name string) ([]Transit, error) {
	name = strings.Trim(strings.TrimSpace(name), "<>")
	var out []Transit
	err := s.look(ctx, actor, messageExplain, number, func(tx *store.Tx, a store.Account) error {
		rows, err := tx.ListTransits(name, a.ID, transitsMost)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			out, err = withOutcomes(tx, rows)
			return err
		}
		trace := name
		if m, err := findEnvelope(tx, name); err == nil && m.Transit != "" {
			trace = m.Transit
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		row, err := tx.FindTransit(trace)
		if errors.Is(err, store.ErrNotFound) || err == nil && a.ID != 0 && row.AccountID != a.ID {
			return notFound()
		}
		if err == nil {
			out, err = withOutcomes(tx, []store.Transit{row})
		}
		return err
	})
	return out, err
}

// withOutcomes reads what was decided. What became of a sealed mail since is in
// its slot.
func withOutcomes(tx *store.Tx, rows []store.Transit) ([]Transit, error) {
	out := make([]Transit, len(rows))
	for i, r := range rows {
		outcomes, err := policy.DecodeOutcomes(r.Detail)
		if err != nil {
			return nil, err
		}
		for j := range outcomes {
			o := &outcomes[j]
			if o.Envelope == "" {
				continue
			}
			slots, err := tx.ListSlots(o.Envelope)
			if err != nil {
				return nil, err
			}
			for _, slot := range slots {
				if slot.DisplayAddress == o.Recipient {
					o.Result = slot.Delivery
				}
			}
		}
		out[i] = Transit{r, outcomes}
	}
	return out, nil
}

// findEnvelope finds a message by its id or by one of its references.
func findEnvelope(tx *store.Tx, name string) (store.Message, error) {
	if ref, ok := id.ParseReference(name); ok {
		messageID, err := tx.FindMessageOfRef(ref)
		if err != nil {
			return store.Message{}, err
		}
		name = messageID
	}
	return tx.FindMessage(name)
}
