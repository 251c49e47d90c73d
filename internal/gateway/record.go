package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

const (
	recordsMost  = 4096 // that wait; beyond, whoever has one more waits too
	recordsBatch = 512
	recordsPause = 100 * time.Millisecond // in which they are gathered
)

// record is what became of a sealed mail that was cut through.
type record struct {
	slot string
}

// recorder writes them, many in one transaction: the upstream has its answer
// already, and what a crash forgets is shown as not confirmed.
type recorder struct {
	db  *store.DB
	log *slog.Logger
	in  chan record
}

func (r *recorder) sent(slot string) { r.in <- record{slot} }

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

func (r *recorder) gather(ctx context.Context, first record) []record {
	list := []record{first}
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

func (r *recorder) write(ctx context.Context, list []record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for try := 0; ; try++ {
		err := r.db.Update(ctx, func(tx *store.Tx) error {
			for _, x := range list {
				if err := tx.SetDelivery(x.slot, store.DeliverySent, ""); err != nil {
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
