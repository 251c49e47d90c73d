package outbox_test

import (
	"io"
	"testing"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// A database that does not answer while a letter is being sent is trouble that
// passes; only a payload that is gone is the end of the letter.
func TestUnreadablePayloadWaits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		l := h.withSlot(t, "bob@example.com")
		l.Attach = &outbox.Attach{Name: "securedoc_1.html", Lang: "en", Origin: "https://pli.example", Reference: "ABC-DEF", Payload: store.RowName(id.New()), PayloadSize: 100}
		storetest.Exec(t, db, "ALTER TABLE payloads RENAME TO payloads_away")
		h.enqueue(t, l)
		next := &hop{answer: func(p outbox.Parcel, _ int) error {
			_, err := p.Mail.WriteTo(io.Discard)
			return err
		}}
		run(t, h.box, next, nil)
		state := func() outbox.Row { return h.rows(t)[0] }
		eventually(t, "the first try", func() bool { return state().LastError != "" })
		if r := state(); r.State != store.OutboxWaiting || !r.HasLetter {
			t.Fatalf("while the database did not answer: %+v", r)
		}
		storetest.Exec(t, db, "ALTER TABLE payloads_away RENAME TO payloads")
		if err := h.box.Retry(t.Context(), "operator:test", state().ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end", func() bool { return state().State == store.OutboxFailed })
	})
}
