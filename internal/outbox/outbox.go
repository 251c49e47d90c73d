// Package outbox keeps mail until the next hop has taken it.
//
// A letter is written in the transaction of the act that it tells of, sealed
// under the root key, so that it exists exactly if the act does and cannot be
// read in the database. Run, on any number of nodes, claims due letters by a
// lease, hands them to a Sender, and ends each in one of two ways: sent (the
// row is deleted) or failed (the row stays for the operator, the letter in it
// is emptied, and the sender of an envelope is told).
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
)

// Config is what the outbox needs. Zero numbers are replaced by the defaults.
type Config struct {
	DB    *store.DB
	Root  *masterkey.Root
	Blobs *blob.Store
	Log   *slog.Logger

	Workers int           // letters sent at the same time on this node; 8
	Urgent  int           // workers besides, for codes only; 2
	Lease   time.Duration // after which another node takes over from a dead one; 2 minutes
	Poll    time.Duration // how often to look for letters of other processes; 5 s
	Grace   time.Duration // for letters in hand when Run is told to end; 15 s

	// Passed notes in the same transaction what became of a mail that passes the
	// gateway as it came: store.DeliverySent or DeliveryBounced, and what was said.
	// nil: nobody does.
	Passed func(tx *store.Tx, transit string, to mailaddr.Address, delivery, said string) error
}

// Outbox is safe for concurrent use.
type Outbox struct {
	cfg  Config
	wake chan struct{}
}

// New returns an outbox. It sends nothing until Run.
func New(cfg Config) *Outbox {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.Lease, 2*time.Minute)
	def(&cfg.Poll, 5*time.Second)
	def(&cfg.Grace, 15*time.Second)
	if cfg.Workers <= 0 {
		cfg.Workers = 8
	}
	if cfg.Urgent <= 0 {
		cfg.Urgent = 2
	}
	return &Outbox{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Sender hands one parcel to the next hop. It returns no error only when the
// next hop has taken responsibility, *Error when it answered or refused,
// *Unconfirmed when its last answer was lost, ErrUnprotected, and any other error
// for trouble that passes. It writes a parcel's mail as often as it needs.
type Sender interface {
	Send(ctx context.Context, p Parcel) (Accepted, error)
}

// Error is an answer to an attempt.
type Error struct {
	Permanent bool   // trying again is of no use
	Code      int    // SMTP reply code, 0 when the next hop did not speak
	Text      string // what it said, or our own reason, for operators; safe to show to the sender
	Key       string // catalogue key of our own reason, for people; "" shows them Text
	Cause     error  // for the log; may be nil
}

func (e *Error) Error() string {
	s := e.Text
	if e.Code != 0 {
		s = fmt.Sprintf("%d %s", e.Code, s)
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Enqueue adds letters in the caller's transaction. After the commit the
// caller calls Wake.
func (o *Outbox) Enqueue(tx *store.Tx, letters ...Letter) error {
	for i := range letters {
		l := letters[i]
		nobody := l.Bounces.IsZero() && !l.AutoReply && l.Report == nil && l.Raw == nil
		if l.To.Addr.IsZero() || nobody || l.From.Addr.IsZero() && l.Raw == nil {
			return errors.New("enqueue letter: an address is missing")
		}
		boundary := l.fix(tx.Now)
		if err := o.check(&l, boundary); err != nil {
			return fmt.Errorf("enqueue letter: %w", err)
		}
		plain, err := l.encode(boundary)
		if err != nil {
			return fmt.Errorf("enqueue letter: %w", err)
		}
		row := store.OutboxRow{
			ID: id.Ordered(), AccountID: l.AccountID, Kind: l.Kind, SlotID: l.SlotID, SenderID: l.SenderID,
			Recipient: l.To.Addr.Canonical(), NextAt: tx.Now, GiveUpAt: tx.Now.Add(patience(l.Kind)), CreatedAt: tx.Now,
		}
		if l.Raw != nil {
			row.Blob = l.Raw.Blob
		}
		if l.NotBefore.After(tx.Now) {
			row.NextAt = l.NotBefore
		}
		if l.Kind == Code {
			// The queue is worked in the order of next_at: a code overtakes
			// whatever a large mailing has put there.
			row.NextAt = tx.Now.Add(-24 * time.Hour)
		}
		if row.Letter, err = o.cfg.Root.Seal(purpose(row.ID), plain); err != nil {
			return fmt.Errorf("enqueue letter: %w", err)
		}
		clear(plain)
		if err := tx.InsertOutbox(row); err != nil {
			return fmt.Errorf("enqueue letter: %w", err)
		}
	}
	return nil
}

// Take removes the letter of a slot that could not be delivered and is held, and
// returns it for the caller to enqueue again, changed; nil where there is none.
func (o *Outbox) Take(tx *store.Tx, slotID string) (*Letter, error) {
	row, err := tx.FindLetter(slotID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l, _, err := o.read(row)
	if err != nil {
		return nil, fmt.Errorf("take letter: %w", err)
	}
	l.Kind, l.AccountID, l.SlotID, l.SenderID = row.Kind, row.AccountID, row.SlotID, row.SenderID
	return l, tx.DeleteOutbox(row.ID)
}

// read opens the letter of a row.
func (o *Outbox) read(row store.OutboxRow) (*Letter, string, error) {
	plain, err := o.cfg.Root.Open(purpose(row.ID), row.Letter)
	if err != nil {
		return nil, "", err
	}
	defer clear(plain)
	return decode(plain)
}

// passed notes what became of a letter that is a mail as it came through the gateway.
func (o *Outbox) passed(tx *store.Tx, l *Letter, delivery, said string) error {
	if o.cfg.Passed == nil || l.Raw == nil || l.Transit == "" {
		return nil
	}
	return o.cfg.Passed(tx, l.Transit, l.To.Addr, delivery, said)
}

func purpose(rowID string) string { return "outbox/" + rowID }

// Wake makes Run look at once instead of at its next turn. It never blocks.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Row is what operators see of a letter. Its content is not shown to anyone.
type Row struct {
	ID        string
	AccountID int64
	Kind      string
	Recipient string
	State     string
	Attempts  int64
	NextAt    time.Time
	GiveUpAt  time.Time
	LastError string
	CreatedAt time.Time
	HasLetter bool // Retry is possible
}

// List returns up to limit letters after the given id, oldest first. state is
// store.OutboxWaiting, store.OutboxFailed, store.OutboxHeld, or "" for all.
func (o *Outbox) List(ctx context.Context, state, after string, limit int) ([]Row, error) {
	var out []Row
	err := o.cfg.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListOutbox(state, after, limit)
		for _, r := range rows {
			out = append(out, Row{r.ID, r.AccountID, r.Kind, r.Recipient, r.State, r.Attempts, r.NextAt, r.GiveUpAt,
				r.LastError, r.CreatedAt, len(r.Letter) > 0})
		}
		return err
	})
	return out, err
}

// Counts is the state of the queue for health pages.
type Counts struct {
	Waiting, Failed int64
	Oldest          time.Time // of those that wait; zero when none does
}

// Count counts the letters.
func (o *Outbox) Count(ctx context.Context) (c Counts, err error) {
	err = o.cfg.DB.View(ctx, func(tx *store.Tx) error {
		c.Waiting, c.Failed, c.Oldest, err = tx.CountOutbox()
		return err
	})
	return c, err
}

// audit writes what an operator did with a letter, in the transaction that did it.
func audit(tx *store.Tx, actor, action string, r store.OutboxRow) error {
	detail := map[string]string{"letter": r.ID, "kind": r.Kind}
	if r.SlotID != "" {
		detail["slot"] = r.SlotID
	}
	return tx.InsertAudit(store.AuditRow{AccountID: r.AccountID, Actor: actor, Action: action, Target: r.Recipient, Detail: detail, Origin: "terminal"})
}

// Retry tries a waiting letter at once and gives it its full time again, at the
// word of actor, an operator as audit records name them. A failed one has been
// emptied and cannot be sent any more.
func (o *Outbox) Retry(ctx context.Context, actor, rowID string) error {
	err := o.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		r, err := tx.FindOutbox(rowID)
		if err != nil {
			return err
		}
		if r.State != store.OutboxWaiting || len(r.Letter) == 0 {
			return fault.New(fault.Gone, "mail.queue.empty")
		}
		if err := tx.HurryOutbox(rowID, tx.Now.Add(patience(r.Kind))); err != nil {
			return err
		}
		return audit(tx, actor, "outbox.retry", r)
	})
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.NotFound, "mail.queue.none")
	}
	if err == nil {
		o.Wake()
	}
	return err
}

// Drop removes a letter. If it was still waiting, the slot of its envelope, or the
// record of the mail that passes, says that it is not delivered; nobody is told,
// since the operator (actor) knows.
func (o *Outbox) Drop(ctx context.Context, actor, rowID string) error {
	err := o.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		r, err := tx.FindOutbox(rowID)
		if err != nil {
			return err
		}
		if r.SlotID != "" && r.State == store.OutboxWaiting {
			if err := tx.SetDelivery(r.SlotID, store.DeliveryBounced, "mail.fail.removed"); err != nil {
				return err
			}
			if err := auditBounce(tx, r.AccountID, r.SlotID, r.Recipient); err != nil {
				return err
			}
		}
		if r.Kind == Passing && r.State == store.OutboxWaiting {
			// One that cannot be read can be dropped all the same.
			if l, _, err := o.read(r); err == nil {
				if err := o.passed(tx, l, store.DeliveryBounced, "removed by the operator"); err != nil {
					return err
				}
			}
		}
		if err := tx.DeleteOutbox(rowID); err != nil {
			return err
		}
		return audit(tx, actor, "outbox.drop", r)
	})
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.NotFound, "mail.queue.none")
	}
	return err
}

// auditBounce records that the mail of a slot will not be delivered. What the
// next hop said is not in it: it is a foreign text, which the sender is shown.
func auditBounce(tx *store.Tx, account int64, slotID, recipient string) error {
	ref, message, err := tx.FindSlotNames(slotID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // taken back meanwhile
	}
	if err != nil {
		return err
	}
	return tx.InsertAudit(store.AuditRow{AccountID: account, Actor: "system", Action: "envelope.bounce", Target: message,
		Detail: map[string]string{"slot": slotID, "ref": ref, "recipient": recipient}, Origin: "server"})
}

// What a sender is told of a mail (RFC 3464, section 2.3.3). Only who sent through
// the gateway hears of more than failures.
const (
	Failed  = "failed"
	Delayed = "delayed"
	Relayed = "relayed" // to a server that tells its sender nothing more
)

// Bounce is what a sender is told of a letter: mostly that it could not be
// delivered.
type Bounce struct {
	AccountID int64
	SlotID    string  // of the envelope, "" if the letter carried none
	SenderID  string  // user to tell, "" where there is an Answer
	Answer    *Answer // who gets a report; nil: SenderID is told
	To        mailaddr.Address
	Subject   string // of the mail, which never is that of the sealed message
	SentAt    time.Time
	Reason    string // the next hop's words, or the catalogue key of our own

	// For a report: what happened, what the next hop said, and RFC 3461's names.
	Action               string // Failed, Delayed or Relayed
	Status               string // enhanced code
	Said                 string // reply with its code, "" where the next hop said nothing
	EnvelopeID, Original string
}
