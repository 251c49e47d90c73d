package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
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
