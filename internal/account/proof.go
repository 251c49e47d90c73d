package account

import "github.com/pli-mail/pli/internal/store"

// owesMailbox is the rule that keeps administrators from reading: a password
// that one of them typed is good alone until its person has signed in once, or
// has written something; from then on whoever uses it proves the person's
// mailbox too. It asks after every way to sign in, since whoever came first may
// have left a way behind, and until the person chooses a password of their own.
func owesMailbox(tx *store.Tx, u store.User, p proof) (bool, error) {
	if !u.Given || p.mailbox {
		return false, nil
	}
	if !u.LastSignInAt.IsZero() {
		return true, nil
	}
	return tx.HasWritten(u.ID)
}

// tellGiven mails a person that somebody signed in as them with a password that
// an administrator knows.
func (s *Service) tellGiven(tx *store.Tx, u store.User, place string) error {
	return s.mailFactor(tx, u, FactorLetter{What: FactorGivenUsed, Place: place}, u.DisplayAddress)
}
