package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// hasBegun reports whether an account, 0 for none, had a chain at some time. Of
// account 0 only what is missing in all tells.
func hasBegun(tx *store.Tx, account int64, key ed25519.PublicKey) (bool, error) {
	if account == 0 {
		n, err := shortfall(tx, key, -1)
		return n > 0, err
	}
	_, err := beginOf(tx, account)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// shortfall is how many records were chained that no head has but that of one account
// (nobody's: -1): each raised the notary's position by one, and the place of one chain.
// A head without a signature is wrong itself, and no other is blamed for what it lacks.
func shortfall(tx *store.Tx, key ed25519.PublicKey, but int64) (int64, error) {
	missing, err := tx.NotaryPos() // first: what is chained meanwhile is in the heads only
	if err != nil {
		return 0, err
	}
	for after := int64(-1); ; {
		heads, err := tx.ListAuditHeads(after, checkPage)
		if err != nil {
			return 0, err
		}
		for _, h := range heads {
			after = h.AccountID
			switch {
			case h.AccountID == but:
			case !HeadOf(h).Signed(key):
				return 0, nil
			default:
				missing -= h.Seq
			}
		}
		if len(heads) < checkPage {
			return max(0, missing), nil
		}
	}
}

// mustHave reports whether an account, 0 for none, without a chain had one, or
// must have: its creation at least was recorded.
func mustHave(tx *store.Tx, account int64, key ed25519.PublicKey) (bool, error) {
	begun, err := hasBegun(tx, account, key)
	if err != nil || begun || account == 0 {
		return begun, err
	}
	if _, err := tx.FindAccount(account); errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	waits, err := tx.HasUnchained(account) // for the notary: it is new
	return !waits, err
}

// searchGone looks, at its first call and then once a day, for chains that are gone
// as a whole, and begins each again with an event that says so: it is checked, and
// shown, from then on.
func (n *Notary) searchGone(ctx context.Context) error {
	n.mu.Lock()
	due := time.Since(n.searched) >= checkDue
	n.mu.Unlock()
	if !due {
		return nil
	}
	key, err := n.signer(ctx)
	if err != nil {
		return err
	}
	var without []int64
	if err := n.c.DB.View(ctx, func(tx *store.Tx) (err error) { without, err = headless(tx); return err }); err != nil {
		return fmt.Errorf("look for audit logs that are gone: %w", err)
	}
	for _, account := range without {
		r, err := n.Verify(ctx, account)
		if err != nil {
			return err
		}
		if r.Broken == nil {
			continue
		}
		if err := n.tellGone(ctx, key, account, *r.Broken); err != nil {
			return err
		}
	}
	r, err := n.Verify(ctx, 0)
	if err == nil && r.Broken != nil {
		err = n.tellGone(ctx, key, 0, *r.Broken)
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.searched = time.Now()
	n.mu.Unlock()
	return nil
}

// tellGone writes into an account's chain, or begins one with, what was found by
// looking at the others. What the log of no account lacks is made up for: of
// what is gone once it is told once.
func (n *Notary) tellGone(ctx context.Context, key ed25519.PrivateKey, account int64, found Break) error {
	var b *batch
	if err := n.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if b, err = n.begin(tx, key); err != nil {
			return err
		}
		missing, err := shortfall(tx, key.Public().(ed25519.PublicKey), -1)
		if err != nil {
			return err
		}
		h, err := b.head(account)
		if err != nil {
			return err
		}
		if len(b.broken) == 0 && (h.Seq == 0 || account == 0 && missing > 0) { // only its account, or the sum of all, tells
			delete(b.first, account)
			h.Seq += missing
			if err := b.breaks(h, found); err != nil {
				return err
			}
		}
		return b.end()
	}); err != nil {
		return fmt.Errorf("keep that an audit log is gone: %w", err)
	}
	n.signed(b)
	return nil
}

// headless are the accounts without a head of a chain, by number: 0 where there is
// any chain, those that there are, and those whose chain is said to have begun.
func headless(tx *store.Tx) ([]int64, error) {
	out := map[int64]bool{}
	pos, err := tx.NotaryPos()
	if err != nil {
		return nil, err
	}
	if pos > 0 {
		out[0] = true
	}
	for after := int64(-1); ; {
		without, err := tx.ListAccountsWithoutChain(after, checkPage)
		if err != nil {
			return nil, err
		}
		for _, account := range without {
			out[account], after = true, account
		}
		if len(without) < checkPage {
			break
		}
	}
	for at := ""; ; {
		rows, err := tx.FilterAudit(store.AuditFilter{Action: BeginAction}, at, false, checkPage)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if account, err := strconv.ParseInt(r.Target, 10, 64); err == nil {
				out[account] = true
			}
			at = r.ID
		}
		if len(rows) < checkPage {
			break
		}
	}
	for account := range out {
		if _, err := tx.FindAuditHead(account); err == nil {
			delete(out, account)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(out)), nil
}
