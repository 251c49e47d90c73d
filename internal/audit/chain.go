// Package audit makes the audit log evident to tampering and takes it
// elsewhere. Acts write their records in their own transaction (store.InsertAudit);
// the Notary, one at a time on however many nodes, gives each committed record
// its place in the chain of its account and signs where the chain ends. A
// Verifier finds the first place at which a chain is not as it was written. The
// format is docs/spec/audit-chain.md.
package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// CheckpointAction is the action of the events in which the notary vouches for
// the chain up to a place.
const CheckpointAction = "audit.checkpoint"

// BeginAction is the action of the events, in the chain of no account, that say
// with which record the chain of an account began.
const BeginAction = "audit.begin"

// detailEvent is the ID of the first record of a chain; detailHash is its hash.
const detailEvent = "event"

// begin is the event that says with which record a chain began.
func begin(first store.AuditRow) store.AuditRow {
	return store.AuditRow{Actor: "system", Action: BeginAction, Target: strconv.FormatInt(first.AccountID, 10), Origin: "server",
		Detail: map[string]string{detailEvent: first.ID, detailHash: hex.EncodeToString(first.Digest)}}
}

// beginOf finds the event that says how the chain of an account began: the first,
// where somebody added others. ErrNotFound: it has not, or not since there are such events.
func beginOf(tx *store.Tx, account int64) (store.AuditRow, error) {
	return tx.FindFirstOfNone(BeginAction, strconv.FormatInt(account, 10))
}

// BrokenAction is the action of the events in which the notary says, in the chain itself,
// from where that chain does not verify: to take it away again breaks the chain again.
const BrokenAction = "audit.broken"

// detailWhy is the Why of a Break, detailSeq and detailEvent its place and record.
const detailWhy = "why"

func (b Break) event(account int64, at time.Time) store.AuditRow {
	return store.AuditRow{ID: id.Ordered(), At: at, AccountID: account, Actor: "system", Action: BrokenAction, Outcome: store.Done, Origin: "server",
		Detail: map[string]string{detailSeq: strconv.FormatInt(b.Seq, 10), detailEvent: b.ID, detailWhy: b.Why}}
}

// breakOf reads the break that a record tells of.
func breakOf(r store.AuditRow) *Break {
	seq, err := strconv.ParseInt(r.Detail[detailSeq], 10, 64)
	if err != nil || seq <= 0 || seq > r.Seq {
		seq = r.Seq
	}
	return &Break{seq, r.Detail[detailEvent], r.Detail[detailWhy]}
}

// names of a checkpoint event's details.
const (
	detailSeq       = "seq"
	detailHash      = "hash"
	detailSignedAt  = "signed_at"
	detailSignature = "signature"
)

// Hash is the hash of r at its place in the chain after prev, the hash of the
// record before it (nil before the first): SHA-256 over netstrings.
func Hash(prev []byte, r store.AuditRow) []byte {
	if len(prev) == 0 {
		prev = make([]byte, sha256.Size)
	}
	var b bytes.Buffer
	for _, s := range []string{
		"pli audit 1", hex.EncodeToString(prev), strconv.FormatInt(r.AccountID, 10), strconv.FormatInt(r.Seq, 10), r.ID,
		strconv.FormatInt(r.At.UnixMilli(), 10), r.Actor, r.Action, r.Target, r.Outcome, r.Origin,
	} {
		netstring(&b, s)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Detail)) {
		netstring(&b, name)
		netstring(&b, r.Detail[name])
	}
	sum := sha256.Sum256(b.Bytes())
	return sum[:]
}

func netstring(b *bytes.Buffer, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
	b.WriteByte(',')
}

// Checkpoint says that the chain of an account ended at Seq with Hash at some
// time, signed by the service.
type Checkpoint struct {
	Account   int64
	Seq       int64
	Hash      []byte
	At        time.Time
	Signature []byte
}

func (c Checkpoint) signed() []byte {
	var b bytes.Buffer
	for _, s := range []string{"pli audit checkpoint 1", strconv.FormatInt(c.Account, 10), strconv.FormatInt(c.Seq, 10),
		hex.EncodeToString(c.Hash), strconv.FormatInt(c.At.UnixMilli(), 10)} {
		netstring(&b, s)
	}
	return b.Bytes()
}

func (c Checkpoint) sign(key ed25519.PrivateKey) Checkpoint {
	c.Signature = ed25519.Sign(key, c.signed())
	return c
}

// Signed reports whether key's owner signed c.
func (c Checkpoint) Signed(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, c.signed(), c.Signature)
}

// HeadOf is the checkpoint that is kept at the end of a chain.
func HeadOf(h store.AuditHead) Checkpoint {
	return Checkpoint{h.AccountID, h.Seq, h.Digest, h.At, h.Signature}
}

// event is a checkpoint as a record of its account.
func (c Checkpoint) event() store.AuditRow {
	return store.AuditRow{AccountID: c.Account, Actor: "system", Action: CheckpointAction, Origin: "server", Detail: map[string]string{
		detailSeq: strconv.FormatInt(c.Seq, 10), detailHash: hex.EncodeToString(c.Hash),
		detailSignedAt:  strconv.FormatInt(c.At.UnixMilli(), 10),
		detailSignature: base64.StdEncoding.EncodeToString(c.Signature),
	}}
}

// checkpointOf reads the checkpoint that a record is.
func checkpointOf(r store.AuditRow) (c Checkpoint, ok bool) {
	seq, err1 := strconv.ParseInt(r.Detail[detailSeq], 10, 64)
	hash, err2 := hex.DecodeString(r.Detail[detailHash])
	at, err3 := strconv.ParseInt(r.Detail[detailSignedAt], 10, 64)
	signature, err4 := base64.StdEncoding.DecodeString(r.Detail[detailSignature])
	ok = r.Action == CheckpointAction && err1 == nil && err2 == nil && err3 == nil && err4 == nil
	return Checkpoint{r.AccountID, seq, hash, time.UnixMilli(at).UTC(), signature}, ok
}

// Why a chain does not verify.
const (
	Changed   = "changed"   // a record is not what was chained
	Removed   = "removed"   // records are missing in the middle, or were moved
	Truncated = "truncated" // records are missing at the end
	Added     = "added"     // records that the notary did not write
	Unsigned  = "unsigned"  // a checkpoint, or the end of the chain, has no signature of this service
	Replaced  = "replaced"  // the chain is not the one that a checkpoint vouches for
	Older     = "older"     // the chain ends before one that is known from elsewhere
)

// Break is the first place from which a chain does not verify.
type Break struct {
	Seq int64
	ID  string // of the record there, "" where there is none
	Why string
}

// Verifier follows one chain in order. The zero value with a Key begins at the first record.
type Verifier struct {
	Key     ed25519.PublicKey // nil: signatures are not looked at
	Account int64

	seq     int64
	prev    []byte
	sure    int64            // place up to which a signature vouches
	pending map[int64][]byte // hashes since then, which the next checkpoint may name
	broken  *Break
}

// Add follows the chain over its next record, and reports whether it still verifies.
func (v *Verifier) Add(r store.AuditRow) bool {
	if v.broken != nil {
		return false
	}
	fail := func(why string) bool { v.broken = &Break{r.Seq, r.ID, why}; return false }
	switch {
	case r.AccountID != v.Account:
		return fail(Changed)
	case r.Seq != v.seq+1:
		v.broken = &Break{v.seq + 1, "", Removed}
		return false
	case !bytes.Equal(Hash(v.prev, r), r.Digest):
		return fail(Changed)
	}
	v.seq, v.prev = r.Seq, r.Digest
	if r.Action == BrokenAction {
		v.broken = breakOf(r)
		return false
	}
	if r.Action == CheckpointAction {
		c, ok := checkpointOf(r)
		if !ok || v.Key != nil && !c.Signed(v.Key) {
			return fail(Unsigned)
		}
		if !v.vouched(c) {
			return false
		}
	}
	if v.pending == nil {
		v.pending = map[int64][]byte{}
	}
	v.pending[r.Seq] = r.Digest
	return true
}

// vouched compares the chain so far with a checkpoint whose signature is right.
// Where they differ, all since the last one that agreed is doubtful.
func (v *Verifier) vouched(c Checkpoint) bool {
	hash, known := v.pending[c.Seq]
	if c.Seq <= v.sure { // an older one says nothing new
		return true
	}
	if !known || !bytes.Equal(hash, c.Hash) {
		v.broken = &Break{v.sure + 1, "", Replaced}
		return false
	}
	v.sure = c.Seq
	for seq := range v.pending {
		if seq < c.Seq {
			delete(v.pending, seq)
		}
	}
	return true
}

// End compares the end of the chain with the head that was kept of it.
func (v *Verifier) End(head Checkpoint) *Break {
	switch {
	case v.broken != nil:
	case v.Key != nil && !head.Signed(v.Key), head.Account != v.Account:
		v.broken = &Break{v.sure + 1, "", Unsigned}
	case head.Seq > v.seq:
		v.broken = &Break{v.seq + 1, "", Truncated}
	case head.Seq < v.seq:
		v.broken = &Break{head.Seq + 1, "", Added}
	case !bytes.Equal(head.Hash, v.prev):
		v.broken = &Break{v.sure + 1, "", Replaced}
	}
	return v.broken
}

// Broken is the first place that did not verify so far.
func (v *Verifier) Broken() *Break { return v.broken }

// Seq is the place that the chain verifies up to.
func (v *Verifier) Seq() int64 { return v.seq }

// Outside compares the chain with a checkpoint that was kept elsewhere; hash is
// that of the chain's record at its place, nil where there is none.
func Outside(c Checkpoint, key ed25519.PublicKey, hash []byte) *Break {
	switch {
	case !c.Signed(key):
		return &Break{c.Seq, "", Unsigned}
	case hash == nil:
		return &Break{c.Seq, "", Older}
	case !bytes.Equal(hash, c.Hash):
		return &Break{c.Seq, "", Replaced}
	}
	return nil
}
