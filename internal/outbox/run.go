package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/store"
)

// Bounced writes the letters that tell of a bounce, in the transaction that
// records it. Letters without SenderID are never reported on in their turn.
type Bounced func(tx *store.Tx, b Bounce) ([]Letter, error)

// Run sends letters until ctx ends. Those in hand at that moment have Grace to
// be finished; what is cut off then is sent again later, like any attempt that
// failed. Run returns nil when no letter is in hand any more.
func (o *Outbox) Run(ctx context.Context, sender Sender, bounced Bounced) error {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	r := &run{o: o, sender: sender, bounced: bounced, sending: sending,
		general: make(chan struct{}, o.cfg.Workers), urgent: make(chan struct{}, o.cfg.Urgent)}
	defer func() {
		defer time.AfterFunc(o.cfg.Grace, cut).Stop()
		r.wg.Wait()
	}()
	for {
		wait, err := r.turn(ctx)
		if err != nil && ctx.Err() == nil {
			o.cfg.Log.Error("outbox: claim letters", "err", err)
			wait = o.cfg.Poll
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-o.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// run is one Run. The two channels are counting semaphores.
type run struct {
	o               *Outbox
	sender          Sender
	bounced         Bounced
	sending         context.Context // of the letters in hand; outlives Run's by Grace
	general, urgent chan struct{}
	wg              sync.WaitGroup
}

// turn claims what can be sent now, starts it, and returns how long to wait
// unless something happens before.
func (r *run) turn(ctx context.Context) (time.Duration, error) {
	wait := r.o.cfg.Poll
	for _, lane := range []struct {
		slots chan struct{}
		kind  string
	}{{r.general, ""}, {r.urgent, Code}} {
		free := cap(lane.slots) - len(lane.slots)
		if free == 0 {
			continue // a worker that ends wakes us
		}
		var rows []store.OutboxRow
		begun := time.Now()
		err := r.o.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
			rows, err = tx.ClaimOutbox(lane.kind, free, tx.Now.Add(r.o.cfg.Lease))
			return err
		})
		if err != nil {
			return wait, err
		}
		for _, row := range rows {
			lane.slots <- struct{}{}
			r.wg.Go(func() {
				defer func() { <-lane.slots; r.o.Wake() }()
				r.deliver(row, begun.Add(r.o.cfg.Lease))
			})
		}
		if lane.kind == "" && len(rows) < free {
			var next, now time.Time
			err := r.o.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
				next, err = tx.NextOutbox()
				now = tx.Now
				return err
			})
			if err != nil {
				return wait, err
			}
			if !next.IsZero() {
				wait = min(wait, max(next.Sub(now), 10*time.Millisecond))
			}
			break // nothing is left for the other lane
		}
	}
	return wait, nil
}

// deliver tries once a row that is claimed until expires.
func (r *run) deliver(row store.OutboxRow, expires time.Time) {
	ctx := context.WithoutCancel(r.sending) // what happened is recorded also after a cut
	log := r.o.cfg.Log.With("letter", row.ID, "kind", row.Kind, "attempt", row.Attempts)
	letter, boundary, err := r.o.read(row)
	if err != nil {
		// Perhaps the wrong key file: giving up would empty every letter.
		log.Error("outbox: letter cannot be read", "err", err)
		r.end(ctx, log, row, &Letter{}, Accepted{}, &Error{Text: "the waiting mail could not be read", Key: "mail.fail.unreadable", Cause: err})
		return
	}
	if letter.Transit != "" {
		log = log.With("trace", letter.Transit)
	}
	sending, stop := r.keep(row, expires)
	accepted, err := r.sender.Send(sending, r.o.parcel(letter, boundary))
	lost := stop()
	if lost && err != nil {
		log.Warn("outbox: claim lost while sending", "err", err)
		return
	}
	r.end(ctx, log, row, letter, accepted, err)
}

// keep renews the claim on row, which ends at expires, while it is being sent.
// The context that it returns ends before the claim does, or when another has
// taken the row, so that a letter is not sent twice at once; stop reports
// whether that happened.
func (r *run) keep(row store.OutboxRow, expires time.Time) (sending context.Context, stop func() (lost bool)) {
	lease := r.o.cfg.Lease
	sending, cancel := context.WithCancelCause(r.sending)
	// A renewal that hangs must not outlast the claim, hence a clock of its own.
	clock := time.AfterFunc(time.Until(expires)-lease/8, func() { cancel(errClaimLost) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lease / 4)
		defer tick.Stop()
		for {
			select {
			case <-sending.Done():
				return
			case <-tick.C:
			}
			var ours bool
			begun := time.Now()
			err := r.o.cfg.DB.Update(sending, func(tx *store.Tx) (err error) {
				ours, err = tx.RenewOutbox(row.ID, row.Attempts, tx.Now.Add(lease))
				return err
			})
			switch {
			case err != nil: // the clock runs on
			case ours:
				clock.Reset(time.Until(begun.Add(lease)) - lease/8)
			default:
				cancel(errClaimLost)
			}
		}
	}()
	return sending, func() bool {
		cancel(nil)
		<-done
		clock.Stop()
		return errors.Is(context.Cause(sending), errClaimLost)
	}
}

var errClaimLost = errors.New("the claim on the letter was lost")

// end records the outcome of one attempt. If the database does not answer, it
// tries until the lease is over: a letter that was sent but not recorded is sent again.
func (r *run) end(ctx context.Context, log *slog.Logger, row store.OutboxRow, letter *Letter, accepted Accepted, sent error) {
	var outcome string
	deadline := time.Now().Add(r.o.cfg.Lease)
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		err := r.o.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
			outcome, err = r.record(tx, row, letter, accepted, sent)
			return err
		})
		if err == nil {
			break
		}
		log.Error("outbox: record the outcome", "err", err)
		if time.Now().Add(pause).After(deadline) {
			return
		}
		time.Sleep(pause)
	}
	switch {
	case sent == nil:
		log.Info("outbox: " + outcome)
	default:
		log.Warn("outbox: "+outcome, "err", sent)
	}
}

func (r *run) record(tx *store.Tx, row store.OutboxRow, letter *Letter, accepted Accepted, sent error) (outcome string, err error) {
	if sent == nil {
		ours, err := tx.FinishOutbox(row.ID, row.Attempts)
		if err != nil {
			return "", err
		}
		if !ours {
			return "sent, but the row was gone or claimed again", nil
		}
		if row.SlotID != "" {
			if err := tx.SetDelivery(row.SlotID, store.DeliverySent, ""); err != nil {
				return "", err
			}
		}
		if err := r.o.passed(tx, letter, store.DeliverySent, clean(accepted.Text)); err != nil {
			return "", err
		}
		if !accepted.DSN && letter.Answer != nil && Wants(letter.Notify, "SUCCESS") {
			err = r.tell(tx, row, letter, Bounce{Action: Relayed, Status: "2.0.0", Said: clean("250 " + accepted.Text)})
		}
		return "sent", err
	}
	reason, shown, permanent := words(sent)
	next := tx.Now.Add(backoff(row.Kind, row.Attempts))
	if !permanent && next.Before(row.GiveUpAt) {
		ours, err := tx.PostponeOutbox(row.ID, row.Attempts, next, reason)
		if err != nil || !ours {
			return "not sent, and the row was gone or claimed again", err
		}
		// Once: of all attempts only one is before that hour with the next behind it.
		late := row.CreatedAt.Add(delayed)
		if letter.Answer != nil && Wants(letter.Notify, "DELAY") && tx.Now.Before(late) && !next.Before(late) {
			b := Bounce{Action: Delayed, Reason: shown}
			b.Status, b.Said = status(sent)
			b.Status = "4" + b.Status[1:]
			err = r.tell(tx, row, letter, b)
		}
		return "postponed until " + next.Format(time.RFC3339), err
	}
	// What carries an envelope of a person here can still be sent to a corrected
	// address: its E is nowhere else.
	give := func() (bool, error) { return tx.FailOutbox(row.ID, row.Attempts, reason) }
	if row.Kind == Envelope && row.SlotID != "" && row.SenderID != "" && letter.Attach != nil && !errors.Is(sent, blob.ErrNotFound) {
		give = func() (bool, error) { return tx.HoldOutbox(row.ID, row.Attempts, tx.Now.Add(heldFor), reason) }
	}
	ours, err := give()
	if err != nil || !ours {
		return "not sent, and the row was gone or claimed again", err
	}
	if row.SlotID != "" {
		if err := tx.SetDelivery(row.SlotID, store.DeliveryBounced, shown); err != nil {
			return "", err
		}
		if err := auditBounce(tx, row.AccountID, row.SlotID, letter.To.Addr.String()); err != nil {
			return "", err
		}
	}
	if err := r.o.passed(tx, letter, store.DeliveryBounced, reason); err != nil {
		return "", err
	}
	b := Bounce{Action: Failed, Reason: shown}
	b.Status, b.Said = status(sent)
	return "given up", r.tell(tx, row, letter, b)
}

// heldFor is how long a letter that could not be delivered is kept, sealed, for its
// sender to correct the address.
const heldFor = 7 * 24 * time.Hour

// delayed is when a sender who wants to know hears that a mail still waits.
const delayed = 4 * time.Hour

// tell enqueues the notice of what b says happened, or the report. Only a user of this
// service is ever told, or a sender whom an upstream was admitted to send for
// (AT-70: no backscatter); and a notice has neither SenderID nor Answer, so that
// there is no notice about a notice.
func (r *run) tell(tx *store.Tx, row store.OutboxRow, letter *Letter, b Bounce) error {
	b.Answer = letter.Answer
	if b.Action == Failed && !Wants(letter.Notify, "FAILURE") {
		b.Answer = nil
	}
	if row.SenderID == "" && b.Answer == nil || r.bounced == nil || letter.To.Addr.IsZero() {
		return nil
	}
	b.AccountID, b.SlotID, b.SenderID, b.To = row.AccountID, row.SlotID, row.SenderID, letter.To.Addr
	b.Subject, b.SentAt, b.EnvelopeID, b.Original = letter.Subject, row.CreatedAt, letter.EnvelopeID, letter.Original
	notices, err := r.bounced(tx, b)
	if err != nil {
		return fmt.Errorf("write bounce notice: %w", err)
	}
	for i := range notices {
		notices[i].SenderID, notices[i].Answer = "", nil
	}
	return r.o.Enqueue(tx, notices...)
}

// status is the enhanced code (RFC 3463) of a failure that is final, and the
// next hop's reply, "" where it gave none.
func status(err error) (code, said string) {
	var e *Error
	if !errors.As(err, &e) {
		return "5.4.7", "" // delivery time expired
	}
	code, _, _ = strings.Cut(e.Text, " ")
	if len(code) < 5 || strings.Trim(code, "0123456789.") != "" || code[1] != '.' {
		code = "5.0.0"
	}
	if code[0] == '4' {
		code = "5.4.7"
	}
	if e.Code != 0 && e.Key == "" {
		said = clean(fmt.Sprintf("%d %s", e.Code, e.Text))
	}
	return code, said
}

// words gives what operators and what people are told of a failed attempt, the
// latter as a catalogue key where the reason is our own, and whether it is final.
func words(err error) (reason, shown string, permanent bool) {
	var e *Error
	var lost *Unconfirmed
	switch {
	case errors.As(err, &lost):
		return "the next mail server did not confirm the mail, and may have it", "mail.fail.unconfirmed", false
	case errors.Is(err, blob.ErrNotFound):
		return "the encrypted message is no longer stored", "mail.fail.gone", true
	case errors.Is(err, ErrUnprotected):
		return "there is no proved and encrypted way to the recipient's mail server", "mail.fail.unprotected", false
	case !errors.As(err, &e):
		// Not an answer of the next hop: our own trouble, whose text is for the log.
		return "the next mail server could not be reached", "mail.fail.unreachable", false
	}
	reason = e.Text
	if e.Code != 0 {
		reason = fmt.Sprintf("%d %s", e.Code, e.Text)
	}
	if reason = clean(reason); e.Key != "" {
		return reason, e.Key, e.Permanent
	}
	return reason, reason, e.Permanent
}

// clean makes one line of printable text out of what a foreign server said.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 500 {
		s = string(r[:500]) + "…"
	}
	return s
}

// backoff is the pause after the given attempt, the first being 1: doubling
// from a minute to four hours, for codes from five seconds to a minute, each
// between three quarters and five quarters of that so that letters which
// failed together do not return together.
func backoff(kind string, attempt int64) time.Duration {
	first, most := time.Minute, 4*time.Hour
	if kind == Code {
		first, most = 5*time.Second, time.Minute
	}
	d := most
	if attempt < 16 {
		d = min(most, first<<max(attempt-1, 0))
	}
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2))
}
