package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
)

const (
	chainEvery  = time.Second
	chainBatch  = 200  // records of one transaction: it holds SQLite's one writer
	checkPage   = 1000 // records of one reading
	checkDue    = 24 * time.Hour
	checkClaim  = time.Hour // after which another node takes a check over
	checkpoints = 1000      // records between two, at most
	// A chain that grows has a checkpoint of every day, too.
	checkpointAge = 24 * time.Hour

	keyName    = "audit"
	keyPurpose = "service key/audit"
)

// Config is what the notary needs.
type Config struct {
	DB   *store.DB
	Root *masterkey.Root
	Log  *slog.Logger
	// Mark is a file beside the database that says how far the log is. A
	// database that is behind it is an older one. Empty: there is none.
	Mark string
}

// Notary chains committed audit records. It is safe for concurrent use.
type Notary struct {
	c Config

	mu      sync.Mutex
	private ed25519.PrivateKey
	last    map[int64]Checkpoint // what this process signed last, by account

	marked   int64 // position in the file, 0: not written yet
	markedAt time.Time
}

// New returns a notary, which does nothing by itself until Run.
func New(c Config) *Notary { return &Notary{c: c, last: map[int64]Checkpoint{}} }

// Key is the public key of the service that checkpoints verify with. It is made
// at its first use and stays.
func (n *Notary) Key(ctx context.Context) (ed25519.PublicKey, error) {
	private, err := n.signer(ctx)
	if err != nil {
		return nil, err
	}
	return private.Public().(ed25519.PublicKey), nil
}

// signer is a key of its own: what signs envelopes signs no log.
func (n *Notary) signer(ctx context.Context) (ed25519.PrivateKey, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.private != nil {
		return n.private, nil
	}
	var kept store.ServiceKey
	err := n.c.DB.View(ctx, func(tx *store.Tx) (err error) { kept, err = tx.FindServiceKey(keyName); return err })
	if errors.Is(err, store.ErrNotFound) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails (crypto/rand)
		box, err := n.c.Root.Seal(keyPurpose, seed)
		if err != nil {
			return nil, fmt.Errorf("make audit key: %w", err)
		}
		err = n.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			kept, err = tx.KeepServiceKey(store.ServiceKey{Name: keyName, Version: n.c.Root.Version(), Box: box})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("make audit key: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("read audit key: %w", err)
	}
	seed, err := n.c.Root.Open(keyPurpose, kept.Box)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("open audit key: %w", errors.Join(errors.New("not the root key that sealed it"), err))
	}
	n.private = ed25519.NewKeyFromSeed(seed)
	return n.private, nil
}

// Run chains what is committed, every second, and checks each chain once a day,
// until ctx ends.
func (n *Notary) Run(ctx context.Context) {
	tick := time.NewTicker(chainEvery)
	defer tick.Stop()
	failing := false
	for {
		_, err := n.Chain(ctx)
		if err == nil {
			_, err = n.CheckDue(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			n.c.Log.Error("audit log: what was done is recorded, and is not chained yet", "error", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Chain gives every record that is committed now its place, and returns how many
// those were. Of several notaries at once, each record is chained by one.
func (n *Notary) Chain(ctx context.Context) (total int, err error) {
	key, err := n.signer(ctx)
	if err != nil {
		return 0, err
	}
	for {
		var waiting int
		if err := n.c.DB.View(ctx, func(tx *store.Tx) (err error) { waiting, _, err = tx.CountUnchained(1); return err }); err != nil {
			return total, fmt.Errorf("chain audit log: %w", err)
		}
		if waiting == 0 {
			return total, n.mark(ctx)
		}
		var b batch
		err := n.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			b = batch{n: n, tx: tx, key: key, heads: map[int64]*store.AuditHead{}}
			return b.run()
		})
		if err != nil {
			return total, fmt.Errorf("chain audit log: %w", err)
		}
		total += b.chained
		n.mu.Lock()
		for account, h := range b.heads {
			n.last[account] = HeadOf(*h)
		}
		n.mu.Unlock()
		for _, broken := range b.broken {
			n.c.Log.Error("the audit log was tampered with", "account", broken.AccountID, "from", broken.BrokenSeq, "why", broken.BrokenWhy)
		}
	}
}

// batch is one transaction of Chain.
type batch struct {
	n       *Notary
	tx      *store.Tx
	key     ed25519.PrivateKey
	heads   map[int64]*store.AuditHead
	broken  []store.AuditHead // found now
	chained int
}

func (b *batch) run() error {
	pos, err := b.tx.LockNotary()
	if err != nil {
		return err
	}
	rows, err := b.tx.ListUnchained(chainBatch)
	if err != nil {
		return err
	}
	for _, r := range rows {
		h, err := b.head(r.AccountID)
		if err != nil {
			return err
		}
		pos++
		r.Pos, r.Seq = pos, h.Seq+1
		r.Digest = Hash(h.Digest, r)
		ours, err := b.tx.ChainAudit(r)
		if err != nil {
			return err
		}
		if !ours {
			return fmt.Errorf("record %s was chained by somebody else", r.ID)
		}
		h.Seq, h.Digest = r.Seq, r.Digest
	}
	b.chained = len(rows)
	for _, h := range b.heads {
		if err := b.close(h); err != nil {
			return err
		}
	}
	return b.tx.KeepNotary(pos)
}

// head is where the next record of an account goes, after a look at whether
// the chain still ends where it was left. What is wrong is kept with the chain,
// which goes on: what was done must have a record.
func (b *batch) head(account int64) (*store.AuditHead, error) {
	if h := b.heads[account]; h != nil {
		return h, nil
	}
	h, err := b.tx.FindAuditHead(account)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	last, err := b.tx.LastOfChain(account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	b.n.mu.Lock()
	known, remembered := b.n.last[account]
	b.n.mu.Unlock()
	var wrong *Break
	switch {
	case missing && last.Seq == 0 && !remembered: // the first of all
	case missing || !HeadOf(h).Signed(b.key.Public().(ed25519.PublicKey)):
		wrong = &Break{h.CheckpointSeq + 1, "", Unsigned}
	case last.Seq < h.Seq:
		wrong = &Break{last.Seq + 1, "", Truncated}
	case last.Seq > h.Seq:
		wrong = &Break{h.Seq + 1, last.ID, Added}
	case !bytes.Equal(last.Digest, h.Digest):
		wrong = &Break{h.Seq, last.ID, Changed}
	case remembered:
		if wrong, err = b.remembers(known); err != nil {
			return nil, err
		}
	}
	if missing {
		h = store.AuditHead{AccountID: account, CheckpointAt: b.tx.Now}
	}
	if wrong != nil {
		h.BrokenSeq, h.BrokenID, h.BrokenWhy = wrong.Seq, wrong.ID, wrong.Why
		if last.Seq >= h.Seq {
			h.Digest = last.Digest
		}
		h.Seq = max(h.Seq, last.Seq, known.Seq) // no place is given twice
		b.broken = append(b.broken, h)
	} else {
		h.BrokenSeq = 0 // nothing new
	}
	b.heads[account] = &h
	return &h, nil
}

// remembers compares a chain with what this process signed of it before: a
// database that was put back in time agrees with itself.
func (b *batch) remembers(known Checkpoint) (*Break, error) {
	rows, err := b.tx.ListChain(known.Account, known.Seq-1, 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || rows[0].Seq != known.Seq {
		last, err := b.tx.LastOfChain(known.Account)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		return &Break{last.Seq + 1, "", Older}, nil
	}
	if !bytes.Equal(rows[0].Digest, known.Hash) {
		return &Break{known.Seq, rows[0].ID, Replaced}, nil
	}
	return nil, nil
}

// close signs the end of a chain. Now and then it adds an event that vouches for
// it, which goes wherever the events go.
func (b *batch) close(h *store.AuditHead) error {
	h.At = b.tx.Now
	c := Checkpoint{Account: h.AccountID, Seq: h.Seq, Hash: h.Digest, At: h.At}.sign(b.key)
	h.Signature = c.Signature
	if h.Seq-h.CheckpointSeq >= checkpoints || b.tx.Now.Sub(h.CheckpointAt) >= checkpointAge {
		if err := b.tx.InsertAudit(c.event()); err != nil {
			return err
		}
		h.CheckpointSeq, h.CheckpointAt = h.Seq, b.tx.Now
	}
	if err := b.tx.KeepAuditHead(*h); err != nil {
		return err
	}
	if h.BrokenSeq == 0 {
		return nil
	}
	// The full check is due at once: it says the same, or an earlier place.
	found := *h
	found.CheckedAt = time.Time{}
	return b.tx.KeepAuditCheck(found)
}

// Accept takes the database as it is for the log, for an operator who has
// restored a backup knowingly, and records that. It returns how many events the
// file beside it had seen, and how many there are.
func (n *Notary) Accept(ctx context.Context, actor, origin string) (seen, has int64, err error) {
	var back *RolledBack
	if err := n.CheckMark(ctx); err != nil && !errors.As(err, &back) {
		return 0, 0, err
	}
	if back == nil {
		has, err = n.pos(ctx)
		return has, has, err
	}
	if err := n.c.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertAudit(store.AuditRow{Actor: actor, Action: "audit.accept", Target: "audit", Origin: origin,
			Detail: map[string]string{"seen": strconv.FormatInt(back.Seen, 10), "has": strconv.FormatInt(back.Has, 10)}})
	}); err != nil {
		return 0, 0, fmt.Errorf("record the acceptance: %w", err)
	}
	return back.Seen, back.Has, n.Mark(ctx)
}

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
	for {
		var rows []store.AuditRow
		missing, there := false, false
		// The head is read with each page: what comes after it was chained meanwhile.
		if err := n.c.DB.View(ctx, func(tx *store.Tx) (err error) {
			kept, err = tx.FindAuditHead(account)
			if missing = errors.Is(err, store.ErrNotFound); err != nil && !missing {
				return err
			}
			if rows, err = tx.ListChain(account, v.Seq(), checkPage); err != nil || !missing || account == 0 {
				return err
			}
			if _, err = tx.FindAccount(account); errors.Is(err, store.ErrNotFound) {
				return nil
			}
			there = err == nil
			return err
		}); err != nil {
			return out, fmt.Errorf("verify audit log: %w", err)
		}
		out.Head = HeadOf(kept)
		for _, r := range rows {
			if out.Since.IsZero() {
				out.Since = r.At
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
		case there: // its creation at least was recorded
			out.Broken = &Break{Seq: 1, Why: Truncated}
		}
		// What was wrong once stays so, also where somebody mended it.
		if kept.BrokenSeq != 0 && (out.Broken == nil || kept.BrokenSeq <= out.Broken.Seq) {
			out.Broken = &Break{kept.BrokenSeq, kept.BrokenID, kept.BrokenWhy}
		}
		n.name(ctx, account, out.Broken)
		return out, nil
	}
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
		for after := int64(-1); ; {
			without, err := tx.ListAccountsWithoutChain(after, checkPage)
			if err != nil {
				return err
			}
			out = append(out, without...)
			if len(without) < checkPage {
				return nil
			}
			after = without[len(without)-1]
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list audit logs: %w", err)
	}
	return out, nil
}
