package account

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
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
// they have one. The answer of a first call is not given again to who has lost a
// right since, whatever the call was: it may hold a secret, or what only that right
// lets them see. Faults: api.retry.other for the same key with another input,
// api.retry.running, api.retry.rights.
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
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		is := begun{Input: mac(string(input))}
		if is.Rights, is.Operates, err = rightsOfCaller(tx, actor); err != nil {
			return nil, err
		}
		text, err := json.Marshal(is)
		if err != nil {
			return nil, err
		}
		row := store.APIAnswer{Name: o.name, Input: string(text)}
		first, err := tx.BeginAnswer(row, tx.Now.Add(answerKept))
		if err != nil || first {
			return nil, err
		}
		was, err := tx.FindAnswer(o.name)
		if err != nil {
			return nil, err
		}
		then := begun{Input: was.Input}
		if strings.HasPrefix(was.Input, "{") { // else kept by a program from before
			if err := json.Unmarshal([]byte(was.Input), &then); err != nil {
				return nil, err
			}
		}
		now := Held{holds: is.Rights}
		switch {
		case then.Input != is.Input:
			return fault.New(fault.Invalid, "api.retry.other").In("Idempotency-Key", "api.retry.other", nil), nil
		case was.Status == 0:
			return fault.New(fault.Conflict, "api.retry.running"), nil
		case then.Operates && !is.Operates || slices.ContainsFunc(then.Rights, func(h store.Holding) bool { return !now.covers(h.Grant) }):
			return fault.New(fault.Denied, "api.retry.rights"), nil
		}
		o.Status = was.Status
		o.Answer, err = s.c.Root.Open(sealAnswer, was.Answer)
		return nil, err
	})
	return o, err
}

// begun is what is known of a call when it begins.
type begun struct {
	Input    string          `json:"input"` // MAC
	Rights   []store.Holding `json:"rights"`
	Operates bool            `json:"operates"`
}

// rightsOfCaller are what a call may be done by.
func rightsOfCaller(tx *store.Tx, actor Actor) (holds []store.Holding, operates bool, err error) {
	if actor.UserID == "" {
		return nil, false, nil
	}
	u, err := tx.FindUser(actor.UserID)
	if err != nil {
		return nil, false, orEnded(err)
	}
	if holds, err = tx.ListHoldings(u.ID, u.AccountID); err == nil {
		operates, err = tx.IsOperator(u.ID)
	}
	return holds, operates, err
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
