package account

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

const (
	callsPerMinute = 600 // of one token or session
	answerKept     = 24 * time.Hour
	sealAnswer     = "api answer"
)

// Meter counts one call of the API by a token or a session. Too many in a minute
// give e429.p.
func (s *Service) Meter(ctx context.Context, sess *Session) error {
	name := "api:" + sess.Hash
	if sess.APIToken != nil {
		name = "api:" + sess.APIToken.ID
	}
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		if ok, wait, err := tx.Hit(name, time.Minute, callsPerMinute); err != nil || !ok {
			return fault.Wait("e429.p", wait), err
		}
		return nil, nil
	})
}

// Once is a call that acts only the first time. A call whose node dies in the
// middle is not done again within the day: nobody knows whether it acted.
type Once struct {
	name string

	Status int    // of the first call's answer; 0: this is the first
	Answer []byte // of it
}

// Once begins a call with an idempotency key of who calls, by their token where
// they have one. Faults: api.retry.other for the same key with another input,
// api.retry.running.
func (s *Service) Once(ctx context.Context, actor Actor, operation, key string, input []byte) (Once, error) {
	// With a key that nobody else has: what was typed in, a password too, is not
	// to be guessed from its hash.
	mac := func(parts ...string) string {
		var data [][]byte
		for _, p := range parts {
			data = append(data, []byte(p))
		}
		return hex.EncodeToString(s.c.Root.MAC("api call", data...))
	}
	o := Once{name: mac(actor.UserID, actor.TokenID, operation, key)}
	row := store.APIAnswer{Name: o.name, Input: mac(string(input))}
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		first, err := tx.BeginAnswer(row, tx.Now.Add(answerKept))
		if err != nil || first {
			return nil, err
		}
		was, err := tx.FindAnswer(o.name)
		switch {
		case err != nil:
			return nil, err
		case was.Input != row.Input:
			return fault.New(fault.Invalid, "api.retry.other").In("Idempotency-Key", "api.retry.other", nil), nil
		case was.Status == 0:
			return fault.New(fault.Conflict, "api.retry.running"), nil
		}
		o.Status = was.Status
		o.Answer, err = s.c.Root.Open(sealAnswer, was.Answer)
		return nil, err
	})
	return o, err
}

// Answered keeps the answer of a call for a day, sealed.
func (s *Service) Answered(ctx context.Context, o Once, status int, answer []byte) error {
	box, err := s.c.Root.Seal(sealAnswer, answer)
	if err != nil {
		return err
	}
	return s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.EndAnswer(store.APIAnswer{Name: o.name, Status: status, Answer: box})
	})
}

// Unanswered forgets a call that was refused: it changed nothing, and may be tried again.
func (s *Service) Unanswered(ctx context.Context, o Once) error {
	return s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.DeleteAnswer(o.name) })
}
