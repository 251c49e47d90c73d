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
	var rows []store.Transit
	err := s.look(ctx, actor, messageExplain, number, func(tx *store.Tx, a store.Account) (err error) {
		if rows, err = tx.ListTransits(name, a.ID, transitsMost); err != nil || len(rows) > 0 {
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
		rows = append(rows, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]Transit, len(rows))
	for i, r := range rows {
		out[i].Transit = r
		if out[i].Outcomes, err = policy.DecodeOutcomes(r.Detail); err != nil {
			return nil, err
		}
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
