package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// Result is what Verify found of one chain.
type Result struct {
	Account int64
	Seq     int64     // how many records the chain has
	Since   time.Time // of its first record; zero where there is none
	Broken  *Break    // nil: it verifies
	Head    Checkpoint
}

// Verify reads an account's chain, 0 for the events of none, from its first
// record to its last and compares it with the signed head.
func (n *Notary) Verify(ctx context.Context, account int64) (Result, error) {
	out := Result{Account: account}
	key, err := n.Key(ctx)
	if err != nil {
		return out, err
	}
	v := Verifier{Key: key, Account: account}
	var kept store.AuditHead
	var first *store.AuditRow
	for {
		var rows []store.AuditRow
		missing, gone := false, false
		// The head is read with each page: what comes after it was chained meanwhile.
		if err := n.c.DB.View(ctx, func(tx *store.Tx) (err error) {
			kept, err = tx.FindAuditHead(account)
			if missing = errors.Is(err, store.ErrNotFound); err != nil && !missing {
				return err
			}
			if rows, err = tx.ListChain(account, v.Seq(), checkPage); err != nil || !missing {
				return err
			}
			gone, err = mustHave(tx, account, key)
			return err
		}); err != nil {
			return out, fmt.Errorf("verify audit log: %w", err)
		}
		out.Head = HeadOf(kept)
		for _, r := range rows {
			if first == nil {
				first, out.Since = &r, r.At
			}
			if !v.Add(r) {
				break
			}
		}
		if len(rows) == checkPage && v.Broken() == nil {
			continue
		}
		out.Seq = v.Seq()
		switch {
		case !missing || out.Seq > 0:
			out.Broken = v.End(out.Head)
		case gone:
			out.Broken = &Break{Seq: 1, Why: Truncated}
		}
		if out.Broken == nil {
			if out.Broken, err = n.outOf(ctx, key, account, first); err != nil {
				return out, err
			}
		}
		// What was wrong once stays so, also where somebody mended it.
		if kept.BrokenSeq != 0 && (out.Broken == nil || kept.BrokenSeq <= out.Broken.Seq) {
			out.Broken = &Break{kept.BrokenSeq, kept.BrokenID, kept.BrokenWhy}
		}
		n.name(ctx, account, out.Broken)
		return out, nil
	}
}

// outOf is what the rest of the log says against a chain that agrees with itself: an
// account's with how it began, that of no account with how many records there are.
func (n *Notary) outOf(ctx context.Context, key ed25519.PublicKey, account int64, first *store.AuditRow) (wrong *Break, err error) {
	err = n.c.DB.View(ctx, func(tx *store.Tx) error {
		wrong = nil
		if account == 0 {
			missing, err := shortfall(tx, key, -1)
			if err != nil || missing == 0 {
				return err
			}
			without, err := headless(tx)
			if err != nil {
				return err
			}
			for _, other := range without {
				if gone, err := mustHave(tx, other, key); err != nil || gone && other != 0 {
					return err // what is missing is theirs
				}
			}
			wrong = &Break{1, "", Truncated}
			return nil
		}
		if first == nil {
			return nil
		}
		said, err := beginOf(tx, account)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case said.Detail[detailEvent] != first.ID || said.Detail[detailHash] != hex.EncodeToString(first.Digest):
			wrong = &Break{1, first.ID, Replaced}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("verify audit log: %w", err)
	}
	return wrong, err
}

// name gives b the ID of the event at its place or, where that is gone, of the next.
func (n *Notary) name(ctx context.Context, account int64, b *Break) {
	if b == nil || b.ID != "" {
		return
	}
	_ = n.c.DB.View(ctx, func(tx *store.Tx) error { // without a name, the place says it
		rows, err := tx.ListChain(account, b.Seq-1, 1)
		if err == nil && len(rows) > 0 {
			b.ID = rows[0].ID
		}
		return err
	})
}

// CheckDue verifies the chains whose last full check is a day old, and keeps what
// it found with them; one node checks each.
func (n *Notary) CheckDue(ctx context.Context) (checked int, err error) {
	if err := n.searchGone(ctx); err != nil {
		return 0, err
	}
	for ctx.Err() == nil {
		var account int64
		err := n.c.DB.View(ctx, func(tx *store.Tx) error { return tx.FindAuditCheckDue(tx.Now.Add(-checkDue), checkClaim) })
		if err == nil {
			err = n.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
				account, err = tx.ClaimAuditCheck(tx.Now.Add(-checkDue), checkClaim)
				return err
			})
		}
		if errors.Is(err, store.ErrNotFound) {
			return checked, nil
		}
		if err != nil {
			return checked, fmt.Errorf("check audit log: %w", err)
		}
		if _, err := n.Check(ctx, account); err != nil {
			return checked, err
		}
		checked++
	}
	return checked, ctx.Err()
}

// Check verifies one account's chain and keeps what it found for the page.
func (n *Notary) Check(ctx context.Context, account int64) (Result, error) {
	r, err := n.Verify(ctx, account)
	if err != nil {
		return r, err
	}
	h := store.AuditHead{AccountID: account, CheckedSeq: r.Seq}
	if r.Broken != nil {
		h.BrokenSeq, h.BrokenID, h.BrokenWhy = r.Broken.Seq, r.Broken.ID, r.Broken.Why
		n.c.Log.ErrorContext(ctx, "the audit log does not verify", "account", account, "from", h.BrokenSeq, "event", h.BrokenID, "why", h.BrokenWhy)
	}
	err = n.c.DB.Update(ctx, func(tx *store.Tx) error { h.CheckedAt = tx.Now; return tx.KeepAuditCheck(h) })
	if err != nil {
		return r, fmt.Errorf("keep audit check: %w", err)
	}
	return r, nil
}

// VerifyAgainst is Verify that also compares the chain with a checkpoint that was kept elsewhere.
func (n *Notary) VerifyAgainst(ctx context.Context, c Checkpoint) (Result, error) {
	r, err := n.Verify(ctx, c.Account)
	if err != nil || r.Broken != nil {
		return r, err
	}
	key, err := n.Key(ctx)
	if err != nil {
		return r, err
	}
	var rows []store.AuditRow
	if err := n.c.DB.View(ctx, func(tx *store.Tx) (err error) { rows, err = tx.ListChain(c.Account, c.Seq-1, 1); return err }); err != nil {
		return r, fmt.Errorf("verify audit log: %w", err)
	}
	var hash []byte
	if len(rows) == 1 && rows[0].Seq == c.Seq {
		hash = rows[0].Digest
	}
	r.Broken = Outside(c, key, hash)
	return r, nil
}

// Accounts are those that have a log, 0 among them for what belongs to none, and
// then those that must have one and have not.
func (n *Notary) Accounts(ctx context.Context) (out []int64, err error) {
	err = n.c.DB.View(ctx, func(tx *store.Tx) error {
		out = nil
		for after := int64(-1); ; {
			heads, err := tx.ListAuditHeads(after, checkPage)
			if err != nil {
				return err
			}
			for _, h := range heads {
				out, after = append(out, h.AccountID), h.AccountID
			}
			if len(heads) < checkPage {
				break
			}
		}
		without, err := headless(tx)
		out = append(out, without...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list audit logs: %w", err)
	}
	return out, nil
}
