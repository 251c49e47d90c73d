package account

import (
	"errors"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// refusalWindow is how long tries of one kind are counted together.
const refusalWindow = time.Hour

// refuse records a try that anybody can make without a right, such as a wrong
// password, and that they can make often: of one kind, by one actor at one
// target, the first in an hour, the tenth, the hundredth and so on leave a
// record, with how many there were. So a flood of n leaves some log n of them.
// The record is in the account of the person that it is about; tries at who does
// not exist are counted as one target, and are in no account.
func refuse(tx *store.Tx, r store.AuditRow, reason string, details ...string) error {
	_, name := typed(r.Actor + "\n" + r.Target)
	t, err := tx.LockThrottle("refused:" + r.Action + ":" + reason + ":" + name)
	if err != nil {
		return err
	}
	if t.Count == 0 || tx.Now.Sub(t.Since) >= refusalWindow {
		t.Count, t.Since = 0, tx.Now
	}
	t.Count++
	if err := tx.PutThrottle(t); err != nil {
		return err
	}
	n := t.Count
	for n%10 == 0 {
		n /= 10
	}
	if n != 1 {
		return nil
	}
	r.Outcome, r.Detail = store.Refused, map[string]string{"reason": reason}
	for i := 0; i+1 < len(details); i += 2 {
		r.Detail[details[i]] = details[i+1]
	}
	if t.Count > 1 {
		r.Detail["times"] = strconv.Itoa(t.Count)
	}
	return tx.InsertAudit(r)
}

// refusePerson is refuse about a person. One without an ID does not exist: what
// was typed is not kept, as it may be a password in the wrong field.
func refusePerson(tx *store.Tx, u store.User, act action, origin, reason string, details ...string) error {
	r := store.AuditRow{Actor: "nobody", Action: string(act), Origin: origin}
	if u.ID != "" {
		r.AccountID, r.Actor, r.Target = u.AccountID, "user:"+u.Address, u.Address
	}
	return refuse(tx, r, reason, details...)
}

// refuseAddress is refusePerson about whoever has an address, if anybody does.
func refuseAddress(tx *store.Tx, address string, act action, origin, reason string, details ...string) error {
	u, err := tx.FindUserByAddress(address)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return refusePerson(tx, u, act, origin, reason, details...)
}

// codeFor are the acts that a mailed code is for.
var codeFor = map[string]action{store.CodeSignIn: "session.signin", store.CodeRecover: "password.recover", store.CodeAlias: "alias.add", store.CodeLift: liftAsk, store.CodeKeep: "user.merged", store.CodeGone: "user.merged"}

// refuseCode records that a mailed code was not taken. It is about who is to
// have the address, and about the address's person else.
func refuseCode(tx *store.Tx, sess *Session, c store.Code, origin string, answer *fault.Error) error {
	if c.Purpose == store.CodeAlias {
		return refusePerson(tx, *sess.User, codeFor[c.Purpose], origin, answer.Key)
	}
	return refuseAddress(tx, c.Address, codeFor[c.Purpose], origin, answer.Key, "how", "code")
}
