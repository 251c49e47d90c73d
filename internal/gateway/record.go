package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Passed notes in a message's transit what became of the mail that one recipient
// gets as it came, and that the outbox had.
func Passed(tx *store.Tx, trace string, to mailaddr.Address, delivery, said string) error {
	row, err := tx.LockTransit(trace)
	if errors.Is(err, store.ErrNotFound) {
		return nil // too old
	}
	if err != nil {
		return err
	}
	list, err := policy.DecodeOutcomes(row.Detail)
	if err != nil {
		return nil // the mail must not go once more for an explanation that nobody can read
	}
	result := policy.ResultSent
	if delivery != store.DeliverySent {
		result = policy.ResultBounced
	}
	for i := range list {
		if o := &list[i]; o.Recipient == to.String() && o.Envelope == "" {
			o.Result, o.Said = result, oneLine(said)
		}
	}
	return tx.SetTransitDetail(trace, policy.EncodeOutcomes(list))
}

const (
	recordsMost  = 4096 // that wait; beyond, whoever has one more waits too
	recordsBatch = 512
	recordsPause = 100 * time.Millisecond // in which they are gathered
)

// recorder writes which sealed mails, by their slots, the next hop has taken,
// many in one transaction: the upstream has its answer already, and what a crash
// forgets is shown as not confirmed.
type recorder struct {
	db  *store.DB
	log *slog.Logger
	in  chan string
}

func (r *recorder) sent(slot string) { r.in <- slot }

// run ends with ctx, after what is in hand has been written.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case first := <-r.in:
			r.write(ctx, r.gather(ctx, first))
		case <-ctx.Done():
			for {
				select {
				case first := <-r.in:
					r.write(ctx, r.gather(ctx, first))
				default:
					return
				}
			}
		}
	}
}

func (r *recorder) gather(ctx context.Context, first string) []string {
	list := []string{first}
	pause := time.NewTimer(recordsPause)
	defer pause.Stop()
	for len(list) < recordsBatch {
		select {
		case next := <-r.in:
			list = append(list, next)
		case <-pause.C:
			return list
		case <-ctx.Done():
			select {
			case next := <-r.in:
				list = append(list, next)
			default:
				return list
			}
		}
	}
	return list
}

func (r *recorder) write(ctx context.Context, list []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for try := 0; ; try++ {
		err := r.db.Update(ctx, func(tx *store.Tx) error {
			for _, slot := range list {
				if err := tx.SetDelivery(slot, store.DeliverySent, ""); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			return
		}
		if try == 3 || ctx.Err() != nil {
			r.log.Error("gateway: record deliveries; they are shown as not confirmed", "n", len(list), "err", err)
			return
		}
		time.Sleep(recordsPause << try)
	}
}
