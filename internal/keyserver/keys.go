package keyserver

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/store"
)

// The hierarchy (docs/spec/envelope-v1.md section 4): the root key seals an
// account's key, which seals one epoch key per month of expiry, which seals the
// S and the card of every message of that month. Destroying the epoch key, 32
// bytes, makes the month unreadable, in backups of the database too.

const keySize = 32

// errKey is a key that does not open what it should: altered, or of another database.
var errKey = errors.New("a key of the database does not open")

// sealKey is the service's own signing key.
type sealKey struct{ private ed25519.PrivateKey }

const sealKeyPurpose = "service key/seal"

// SealKey returns the public key that verifies this service's seals. It is made
// at its first use and stays.
func (s *Service) SealKey(ctx context.Context) (ed25519.PublicKey, error) {
	private, err := s.signer(ctx)
	if err != nil {
		return nil, err
	}
	return private.Public().(ed25519.PublicKey), nil
}

func (s *Service) signer(ctx context.Context) (ed25519.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealing != nil {
		return s.sealing.private, nil
	}
	var kept store.ServiceKey
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		kept, err = tx.FindServiceKey("seal")
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		kept, err = s.makeSealKey(ctx)
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("read seal key: %w", err))
	}
	seed, err := s.c.Root.Open(sealKeyPurpose, kept.Box)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, unavailable(fmt.Errorf("open seal key: %w", errors.Join(errKey, err)))
	}
	s.sealing = &sealKey{ed25519.NewKeyFromSeed(seed)}
	return s.sealing.private, nil
}

func (s *Service) makeSealKey(ctx context.Context) (kept store.ServiceKey, err error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails (crypto/rand)
	box, err := s.c.Root.Seal(sealKeyPurpose, seed)
	if err != nil {
		return kept, err
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		kept, err = tx.KeepServiceKey(store.ServiceKey{Name: "seal", Version: s.c.Root.Version(), Box: box})
		return err
	})
	return kept, err
}

// month is the epoch of an expiry: year*100+month, 0 for none.
func month(expires time.Time) int64 {
	if expires.IsZero() {
		return 0
	}
	expires = expires.UTC()
	return int64(expires.Year()*100) + int64(expires.Month())
}

// epochKey is an open epoch key with what it belongs to.
type epochKey struct {
	key     []byte
	account int64
	month   int64
}

// ensureEpoch returns the key of an account's month, which it makes when it is
// missing, with the account's key.
func (s *Service) ensureEpoch(tx *store.Tx, account, month int64) (epochKey, error) {
	outer, err := tx.FindAccountKey(account)
	if errors.Is(err, store.ErrNotFound) {
		outer, err = s.makeAccountKey(tx, account)
	}
	if err != nil {
		return epochKey{}, err
	}
	kept, err := tx.LockEpochKey(account, month)
	if errors.Is(err, store.ErrNotFound) {
		kept, err = s.makeEpochKey(tx, outer, month)
	}
	if err != nil {
		return epochKey{}, err
	}
	if kept.Version != outer.Version {
		if outer, err = tx.FindAccountKeyVersion(account, kept.Version); err != nil {
			return epochKey{}, err
		}
	}
	return s.openEpoch(outer.Box, kept)
}

func accountPurpose(account, version int64) string {
	return fmt.Sprintf("account key/%d/%d", account, version)
}

func (s *Service) makeAccountKey(tx *store.Tx, account int64) (store.AccountKey, error) {
	key := make([]byte, keySize)
	rand.Read(key) // never fails (crypto/rand)
	box, err := s.c.Root.Seal(accountPurpose(account, 1), key)
	if err != nil {
		return store.AccountKey{}, err
	}
	return tx.KeepAccountKey(store.AccountKey{AccountID: account, Version: 1, Root: s.c.Root.Version(), Box: box})
}

// makeEpochKey's box is nonce (12 bytes) || ciphertext and tag. The nonce is
// random, because two nodes may make the same month's key at once, under one key.
func (s *Service) makeEpochKey(tx *store.Tx, outer store.AccountKey, month int64) (store.EpochKey, error) {
	account, err := s.openAccountKey(outer.AccountID, outer.Version, outer.Box)
	if err != nil {
		return store.EpochKey{}, err
	}
	aead, err := newAEAD(account)
	if err != nil {
		return store.EpochKey{}, err
	}
	key, box := make([]byte, keySize), make([]byte, aead.NonceSize())
	rand.Read(key) // never fails (crypto/rand)
	rand.Read(box)
	k := store.EpochKey{AccountID: outer.AccountID, Month: month, Version: outer.Version}
	k.Box = aead.Seal(box, box, key, labelled("pli/1 epoch", k.AccountID, k.Month))
	return tx.KeepEpochKey(k)
}

func (s *Service) openAccountKey(account, version int64, box []byte) ([]byte, error) {
	key, err := s.c.Root.Open(accountPurpose(account, version), box)
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("open key of account %d: %w", account, errors.Join(errKey, err))
	}
	return key, nil
}

// openEpoch opens k with its account's key, whose box is accountBox.
func (s *Service) openEpoch(accountBox []byte, k store.EpochKey) (epochKey, error) {
	account, err := s.openAccountKey(k.AccountID, k.Version, accountBox)
	if err != nil {
		return epochKey{}, err
	}
	aead, err := newAEAD(account)
	if err != nil {
		return epochKey{}, err
	}
	clear(account)
	if len(k.Box) < aead.NonceSize() {
		return epochKey{}, fmt.Errorf("open epoch key %d of account %d: %w", k.Month, k.AccountID, errKey)
	}
	key, err := aead.Open(nil, k.Box[:aead.NonceSize()], k.Box[aead.NonceSize():], labelled("pli/1 epoch", k.AccountID, k.Month))
	if err != nil {
		return epochKey{}, fmt.Errorf("open epoch key %d of account %d: %w", k.Month, k.AccountID, errKey)
	}
	return epochKey{key, k.AccountID, k.Month}, nil
}

// one returns the cipher for one box alone, under a key for one slot's S or one
// message's card. Each such key seals one plaintext ever, so the nonce is zero.
func (e epochKey) one(label, salt string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha512.New, e.key, []byte(salt), string(labelled(label, e.account, e.month)), keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	aead, err := newAEAD(key)
	clear(key)
	return aead, err
}

const (
	labelSecret = "pli/1 at-rest"
	labelCard   = "pli/1 card"
	labelDraft  = "pli/1 draft"
)

var zeroNonce [12]byte

func (e epochKey) seal(label, salt string, plaintext []byte) ([]byte, error) {
	aead, err := e.one(label, salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, zeroNonce[:], plaintext, nil), nil
}

func (e epochKey) open(label, salt string, box []byte) ([]byte, error) {
	aead, err := e.one(label, salt)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, zeroNonce[:], box, nil)
	if err != nil {
		return nil, errKey
	}
	return plaintext, nil
}

func (e epochKey) sealSecret(slot envelope.SlotID, secret envelope.Secret) ([]byte, error) {
	return e.seal(labelSecret, string(slot[:]), secret[:])
}

func (e epochKey) openSecret(slot envelope.SlotID, box []byte) (envelope.Secret, error) {
	b, err := e.open(labelSecret, string(slot[:]), box)
	if err != nil || len(b) != len(envelope.Secret{}) {
		return envelope.Secret{}, fmt.Errorf("open slot %s: %w", slot, errKey)
	}
	return envelope.Secret(b), nil
}

func (e epochKey) openCard(m store.Message) (c card, err error) {
	message, err := envelope.ParseMessageID(m.ID)
	if err != nil {
		return c, err
	}
	plain, err := e.open(labelCard, string(message[:]), m.Card)
	if err != nil {
		return c, fmt.Errorf("open card of %s: %w", m.ID, err)
	}
	return c, json.Unmarshal(plain, &c)
}

// labelled is label || 00 || account || month, both u64.
func labelled(label string, account, month int64) []byte {
	b := append([]byte(label), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(account))
	return binary.BigEndian.AppendUint64(b, uint64(month))
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
