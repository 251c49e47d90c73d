package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
)

const (
	chainEvery  = time.Second
	checkEvery  = 5 * time.Second
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

	searched time.Time // when it last looked for chains that are gone

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
	var checks sync.WaitGroup
	checks.Go(func() { // a long log is read for a while, and what is done meanwhile is chained
		n.each(ctx, checkEvery, "audit log: it is chained, and is not checked", n.CheckDue)
	})
	n.each(ctx, chainEvery, "audit log: what was done is recorded, and is not chained yet", n.Chain)
	checks.Wait()
}

// each does fn again and again until ctx ends, and says once that it fails.
func (n *Notary) each(ctx context.Context, every time.Duration, failing string, fn func(context.Context) (int, error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for said := false; ; {
		_, err := fn(ctx)
		if err != nil && ctx.Err() == nil && !said {
			n.c.Log.Error(failing, "error", err)
		}
		said = err != nil
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
		var b *batch
		err := n.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			if b, err = n.begin(tx, key); err != nil {
				return err
			}
			return b.run()
		})
		if err != nil {
			return total, fmt.Errorf("chain audit log: %w", err)
		}
		total += b.chained
		n.signed(b)
	}
}

// signed remembers what a committed transaction signed, and tells what it found.
func (n *Notary) signed(b *batch) {
	n.mu.Lock()
	for account, h := range b.heads {
		n.last[account] = HeadOf(*h)
	}
	n.mu.Unlock()
	for _, broken := range b.broken {
		n.c.Log.Error("the audit log was tampered with", "account", broken.AccountID, "from", broken.BrokenSeq, "why", broken.BrokenWhy)
	}
}

// batch is one transaction in which records are chained.
type batch struct {
	n       *Notary
	tx      *store.Tx
	key     ed25519.PrivateKey
	heads   map[int64]*store.AuditHead
	broken  []store.AuditHead // found now
	first   map[int64]bool    // accounts whose chain begins here
	pos     int64             // of the last record that was chained
	chained int
}

// begin makes this transaction the one that chains.
func (n *Notary) begin(tx *store.Tx, key ed25519.PrivateKey) (*batch, error) {
	pos, err := tx.LockNotary()
	return &batch{n: n, tx: tx, key: key, heads: map[int64]*store.AuditHead{}, first: map[int64]bool{}, pos: pos}, err
}

func (b *batch) run() error {
	rows, err := b.tx.ListUnchained(chainBatch)
	if err != nil {
		return err
	}
	for _, r := range rows {
		h, err := b.head(r.AccountID)
		if err != nil {
			return err
		}
		if r, err = b.chain(h, r); err != nil {
			return err
		}
		if b.first[r.AccountID] {
			delete(b.first, r.AccountID)
			if err := b.began(r); err != nil {
				return err
			}
		}
	}
	b.chained = len(rows)
	return b.end()
}

// chain gives a record the next place of its chain.
func (b *batch) chain(h *store.AuditHead, r store.AuditRow) (store.AuditRow, error) {
	b.pos++
	r.Pos, r.Seq = b.pos, h.Seq+1
	r.Digest = Hash(h.Digest, r)
	ours, err := b.tx.ChainAudit(r)
	if err == nil && !ours {
		err = fmt.Errorf("record %s was chained by somebody else", r.ID)
	}
	h.Seq, h.Digest = r.Seq, r.Digest
	return r, err
}

// end signs the chains that grew.
func (b *batch) end() error {
	for _, h := range b.heads {
		if err := b.close(h); err != nil {
			return err
		}
	}
	return b.tx.KeepNotary(b.pos)
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
	begun := true
	if !remembered {
		if begun, err = hasBegun(b.tx, account, b.key.Public().(ed25519.PublicKey)); err != nil {
			return nil, err
		}
	}
	var wrong *Break
	switch {
	case missing && last.Seq == 0 && !begun:
		b.first[account] = true
	case missing && last.Seq == 0:
		wrong = &Break{1, "", Truncated}
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
	b.heads[account] = &h
	if wrong != nil {
		if last.Seq >= h.Seq {
			h.Digest = last.Digest
		}
		own, err := shortfall(b.tx, b.key.Public().(ed25519.PublicKey), account) // the places that were its own
		if err != nil {
			return nil, err
		}
		h.Seq = max(h.Seq, last.Seq, known.Seq, own) // no place is given twice, and none is missed elsewhere
		return &h, b.breaks(&h, *wrong)
	}
	h.BrokenSeq = 0                         // nothing new
	if !begun && !missing && account != 0 { // a chain that is older than these events
		rows, err := b.tx.ListChain(account, 0, 1)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if err := b.began(r); err != nil {
				return nil, err
			}
		}
	}
	return &h, nil
}

// breaks goes on with a chain that does not verify, with an event in it that says
// so: what is kept beside the chain, whoever writes to the database can take back.
func (b *batch) breaks(h *store.AuditHead, wrong Break) error {
	h.BrokenSeq, h.BrokenID, h.BrokenWhy = wrong.Seq, wrong.ID, wrong.Why
	b.broken = append(b.broken, *h)
	r := wrong.event(h.AccountID, b.tx.Now)
	if err := b.tx.InsertAudit(r); err != nil {
		return err
	}
	_, err := b.chain(h, r)
	return err
}

// began keeps, in the chain of no account, with which record another began: who
// takes a whole chain away, or begins another, would have to change that one, too.
func (b *batch) began(first store.AuditRow) error {
	if first.AccountID == 0 {
		return nil
	}
	return b.tx.InsertAudit(begin(first))
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
