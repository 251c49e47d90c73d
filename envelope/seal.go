package envelope

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Sealer seals one message once and makes a slot per recipient. It holds the
// message's content key, so it must not outlive the sealing. It is not safe
// for concurrent use.
type Sealer struct {
	id     MessageID
	mh     []byte
	hh     [32]byte
	ck     Secret
	sealed bool
	random io.Reader // crypto/rand, except where vectors are made
}

// NewSealer makes the content key of a message with header h.
func NewSealer(h Header) (*Sealer, error) {
	return newSealer(h, rand.Reader)
}

func newSealer(h Header, random io.Reader) (*Sealer, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	mh := appendHeader(make([]byte, 0, 256), h)
	s := &Sealer{id: h.ID, mh: mh, hh: headerHash(mh), random: random}
	if _, err := io.ReadFull(random, s.ck[:]); err != nil {
		return nil, fmt.Errorf("make content key: %w", err)
	}
	return s, nil
}

// MH is the message header's TLVs (spec section 2), for Head.
func (s *Sealer) MH() []byte { return s.mh }

// HH is the hash of the message header, which every key and the seal are bound to.
func (s *Sealer) HH() [32]byte { return s.hh }

// Payload is what must be kept of a written payload.
type Payload struct {
	Hash [32]byte // PH
	Size int64    // bytes
}

// Seal writes the payload to w: salt, commitment, and the chunks of manifest,
// message and padding. It reads message to its end, which must come after
// exactly m.Length bytes, and keeps one chunk in memory. After an error, what
// was written is of no use and the Sealer is spent.
func (s *Sealer) Seal(w io.Writer, m *Manifest, message io.Reader) (Payload, error) {
	if s.sealed {
		return Payload{}, errors.New("seal message: a sealer is used once")
	}
	s.sealed = true
	if err := m.Check(); err != nil {
		return Payload{}, fmt.Errorf("seal message: %w", err)
	}
	lead := make([]byte, contentLead, 1024)
	lead = m.append(lead)
	size := len(lead) - contentLead
	if size > maxManifest {
		return Payload{}, fmt.Errorf("seal message: manifest: %w: %d bytes", ErrTooLarge, size)
	}
	copy(lead, contentMagic)
	binary.BigEndian.PutUint32(lead[4:], uint32(size))

	p, err := s.sealContent(w, lead, message, m.Length, padded(int64(len(lead))+m.Length))
	if err != nil {
		return Payload{}, fmt.Errorf("seal message: %w", err)
	}
	return p, nil
}

// sealContent writes the payload of lead, n bytes of message, and zeros up to
// total bytes of content.
func (s *Sealer) sealContent(w io.Writer, lead []byte, message io.Reader, n, total int64) (Payload, error) {
	p := payloadWriter{w: w, hash: sha256.New(), buf: make([]byte, 0, min(total, chunkLen)+tagLen)}
	prefix := make([]byte, prefixLen)
	if _, err := io.ReadFull(s.random, prefix[:saltLen]); err != nil {
		return Payload{}, fmt.Errorf("make salt: %w", err)
	}
	var commitment [commitmentLen]byte
	var err error
	if p.chunks, commitment, err = newChunks(s.ck, prefix[:saltLen], s.hh); err != nil {
		return Payload{}, err
	}
	copy(prefix[saltLen:], commitment[:])
	if err := p.write(prefix); err != nil {
		return Payload{}, err
	}
	if err := p.fill(lead, message, n, total-int64(len(lead))-n); err != nil {
		return Payload{}, err
	}
	out := Payload{Size: payloadSize(total)}
	p.hash.Sum(out.Hash[:0])
	return out, nil
}

// payloadWriter gathers content in one chunk's buffer, encrypts it there, and
// hashes what it writes.
type payloadWriter struct {
	w      io.Writer
	hash   hash.Hash
	chunks *chunks
	buf    []byte // content of the chunk being filled; capacity for its tag
}

// fill writes lead, then exactly n bytes of message, then pad zero bytes, and
// ends with the short chunk.
func (p *payloadWriter) fill(lead []byte, message io.Reader, n, pad int64) error {
	for len(lead) > 0 {
		k := min(len(lead), chunkLen-len(p.buf))
		p.buf = append(p.buf, lead[:k]...)
		lead = lead[k:]
		if err := p.flushFull(); err != nil {
			return err
		}
	}
	for n > 0 {
		at := len(p.buf)
		k := int(min(n, int64(chunkLen-at)))
		p.buf = p.buf[:at+k]
		if _, err := io.ReadFull(message, p.buf[at:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return errors.New("message is shorter than its manifest says")
			}
			return fmt.Errorf("read message: %w", err)
		}
		n -= int64(k)
		if err := p.flushFull(); err != nil {
			return err
		}
	}
	if err := atEnd(message); err != nil {
		if errors.Is(err, errMore) {
			return errors.New("message is longer than its manifest says")
		}
		return fmt.Errorf("read message: %w", err)
	}
	for pad > 0 {
		at := len(p.buf)
		k := int(min(pad, int64(chunkLen-at)))
		p.buf = p.buf[:at+k]
		clear(p.buf[at:])
		pad -= int64(k)
		if err := p.flushFull(); err != nil {
			return err
		}
	}
	return p.flush()
}

func (p *payloadWriter) flushFull() error {
	if len(p.buf) < chunkLen {
		return nil
	}
	return p.flush()
}

func (p *payloadWriter) flush() error {
	sealed, err := p.chunks.seal(p.buf, len(p.buf))
	if err != nil {
		return err
	}
	err = p.write(sealed)
	p.buf = p.buf[:0]
	return err
}

func (p *payloadWriter) write(b []byte) error {
	p.hash.Write(b)
	if _, err := p.w.Write(b); err != nil {
		return fmt.Errorf("write payload: %w", err)
	}
	return nil
}

var errMore = errors.New("more bytes follow")

// atEnd returns nil when r is at its end, errMore when it is not.
func atEnd(r io.Reader) error {
	var one [1]byte
	switch _, err := io.ReadFull(r, one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return errMore
	default:
		return err
	}
}

// Slot is one recipient's way in. S goes to the key server, E into that
// recipient's mail, Pop to the key server; nobody keeps S and E together.
type Slot struct {
	ID   SlotID
	RH   []byte        // the recipient header's TLVs, for Head
	Wrap [wrapLen]byte // the content key under both halves
	S, E Secret
	Pop  [32]byte
}

// NewSlot makes a slot for one recipient. hint is what may be shown of the
// address before sign-in, such as b***@x.test; empty for none.
func (s *Sealer) NewSlot(hint string) (Slot, error) {
	if err := checkHint("recipient hint", hint); err != nil {
		return Slot{}, fmt.Errorf("make slot: %w", err)
	}
	return s.newSlot(func(id SlotID) []byte { return appendSlot(make([]byte, 0, 64), id, hint) })
}

// newSlot makes a slot whose recipient header is what rh gives for its id.
func (s *Sealer) newSlot(rh func(SlotID) []byte) (Slot, error) {
	var slot Slot
	for _, b := range [][]byte{slot.ID[:], slot.S[:], slot.E[:]} {
		if _, err := io.ReadFull(s.random, b); err != nil {
			return Slot{}, fmt.Errorf("make slot: %w", err)
		}
	}
	slot.RH = rh(slot.ID)
	aead, nonce, err := slotCipher(slot.S, slot.E, s.id, slot.ID, s.hh, sha256.Sum256(slot.RH))
	if err != nil {
		return Slot{}, fmt.Errorf("make slot: %w", err)
	}
	aead.Seal(slot.Wrap[:0], nonce, s.ck[:], nil)
	slot.Pop = Pop(slot.E, slot.ID, s.hh)
	return slot, nil
}

// slotCipher is what wraps the content key: a cipher and its one nonce.
func slotCipher(s, e Secret, message MessageID, slot SlotID, hh, rhh [32]byte) (cipher.AEAD, []byte, error) {
	var halves [64]byte
	copy(halves[:], s[:])
	copy(halves[32:], e[:])
	var salt [32]byte
	copy(salt[:], message[:])
	copy(salt[16:], slot[:])
	okm := make([]byte, 32+12)
	derive(okm, halves[:], salt[:], []byte(labelSlot), hh[:], rhh[:])
	aead, err := newGCM(okm[:32])
	return aead, okm[32:], err
}

// Pop is what the key server keeps of E: enough to check that someone holds
// the envelope, not enough to open it (spec section 1).
func Pop(e Secret, id SlotID, hh [32]byte) (pop [32]byte) {
	derive(pop[:], e[:], id[:], []byte(labelPop), hh[:])
	return pop
}

// Possession answers the key server's nonce: whoever can, holds E
// (spec section 4).
func Possession(pop [32]byte, nonce []byte) [32]byte {
	mac := hmac.New(sha256.New, pop[:])
	io.WriteString(mac, labelPossession)
	mac.Write(nonce)
	return [32]byte(mac.Sum(nil))
}

// sealText is what the seal signs.
func sealText(hh, ph [32]byte) []byte {
	b := make([]byte, 0, len(labelSeal)+64)
	return append(append(append(b, labelSeal...), hh[:]...), ph[:]...)
}

// Sign makes the seal: this header and this payload belong together, says the
// holder of the service's seal key.
func Sign(key ed25519.PrivateKey, hh, ph [32]byte) [64]byte {
	return [64]byte(ed25519.Sign(key, sealText(hh, ph)))
}

// VerifySeal reports whether the seal was made by the holder of key.
func VerifySeal(key ed25519.PublicKey, hh, ph [32]byte, seal [64]byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, sealText(hh, ph), seal[:])
}

// Head is every byte of the file before the payload. mh and rh are TLVs as
// Sealer.MH and Slot.RH give them; payloadSize is Payload.Size.
func Head(mh, rh []byte, wrap [48]byte, seal [64]byte, payloadSize int64) []byte {
	b := make([]byte, 0, fixedLen+len(mh)+4+len(rh)+wrapLen+sealLen+8)
	b = appendFixed(b, len(mh))
	b = append(b, mh...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(rh)))
	b = append(b, rh...)
	b = append(b, wrap[:]...)
	b = append(b, seal[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(payloadSize))
}
