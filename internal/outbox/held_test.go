package outbox_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// A person's envelope that could not be delivered keeps its letter for a week,
// sealed, so that it can go to a corrected address with the same half; then it
// is emptied. Nobody else's is kept.
func TestHeld(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		attach := func() *outbox.Attach {
			return &outbox.Attach{Name: "securedoc_1.html", Lang: "en", Origin: "https://pli.example", Reference: "ABC-DEF",
				Part: envelope.KeyPart{E: envelope.Secret{7, 7}}, Payload: "p", PayloadSize: 1}
		}
		bbo, late, foreign := h.withSlot(t, "bbo@x.test"), h.withSlot(t, "late@x.test"), h.withSlot(t, "foreign@x.test")
		bbo.Attach, late.Attach, foreign.Attach, foreign.SenderID = attach(), attach(), attach(), ""
		h.enqueue(t, bbo, late, foreign)
		next := &hop{answer: func(p outbox.Parcel, _ int) error {
			if p.To[0].Addr.String() == "bob@x.test" {
				return nil
			}
			return &outbox.Error{Permanent: true, Code: 550, Text: "5.1.1 no such user"}
		}}
		run(t, h.box, next, nil)
		state := func(to string) string {
			for _, r := range h.rows(t) {
				if r.Recipient == to {
					return r.State
				}
			}
			return ""
		}
		eventually(t, "the refusals", func() bool {
			return state("bbo@x.test") == store.OutboxHeld && state("late@x.test") == store.OutboxHeld && state("foreign@x.test") == store.OutboxFailed
		})
		if err := h.box.Retry(t.Context(), "operator:test", h.rows(t)[0].ID); err == nil {
			t.Error("an operator sent to an address that is refused, whoever has it by now")
		}
		err := h.db.Update(t.Context(), func(tx *store.Tx) error {
			l, err := h.box.Take(tx, bbo.SlotID)
			if err != nil || l == nil || l.Attach.Part.E != bbo.Attach.Part.E || l.SlotID != bbo.SlotID || l.SenderID != bbo.SenderID {
				t.Errorf("taken: %+v, %v", l, err)
			}
			if again, err := h.box.Take(tx, bbo.SlotID); again != nil || err != nil {
				t.Errorf("taken twice: %+v, %v", again, err)
			}
			if other, err := h.box.Take(tx, foreign.SlotID); other != nil || err != nil {
				t.Errorf("of nobody here: %+v, %v", other, err)
			}
			l.To, l.Header = message.Mailbox{Addr: mailaddr.MustParse("bob@x.test")}, nil
			return h.box.Enqueue(tx, *l)
		})
		if err != nil {
			t.Fatal(err)
		}
		h.box.Wake()
		eventually(t, "the corrected address", func() bool { return h.slot(t, bbo.SlotID).Delivery == store.DeliverySent })
		empty := func() (n int64) {
			if err := h.db.Update(t.Context(), func(tx *store.Tx) (err error) { n, err = tx.EmptyHeld(); return err }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		h.shift.Add(int64(7*24*time.Hour - time.Hour))
		if n := empty(); n != 0 {
			t.Errorf("%d emptied in the week", n)
		}
		h.shift.Add(int64(2 * time.Hour))
		if n := empty(); n != 1 || state("late@x.test") != store.OutboxFailed {
			t.Errorf("%d emptied after it", n)
		}
		for _, r := range h.rows(t) {
			if r.HasLetter {
				t.Errorf("still there: %+v", r)
			}
		}
	})
}
