package envelope

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

const (
	contentMagic = "PLC1"
	contentLead  = 8       // contentMagic and the manifest's length
	maxManifest  = 1 << 22 // bytes; 1,000 parts with long names stay below
)

// Envelope is the head of one envelope, read and well-formed; nothing in it is
// proven until Open and WriteMessage succeed.
type Envelope struct {
	Header      Header
	Slot        SlotID
	Hint        string   // of the recipient; empty when absent
	HH          [32]byte // hash of the message header
	Seal        [64]byte
	PayloadSize int64 // bytes

	rhh  [32]byte
	wrap [wrapLen]byte
	r    io.Reader // at the payload
}

// Record is what the key server says of a message. Comparing it is what stops
// one recipient, who knows the content key, from forging another's message.
type Record struct{ HH, PH [32]byte }

// Parse reads the head of an envelope from r and checks its form. The payload
// stays unread in r. limit is the largest payload accepted, in bytes. No more
// than 128 KiB are read or kept, whatever lengths the file claims.
func Parse(r io.Reader, limit int64) (*Envelope, error) {
	e, err := parse(r, limit)
	if err != nil {
		return nil, fmt.Errorf("read envelope: %w", err)
	}
	return e, nil
}

func parse(r io.Reader, limit int64) (*Envelope, error) {
	var fixed [fixedLen]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("%w: file too short", ErrFormat)
		}
		return nil, err
	}
	if string(fixed[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrFormat)
	}
	if fixed[8] != version || fixed[9] != suite || fixed[10] != 0 || fixed[11] != 0 {
		return nil, fmt.Errorf("%w: version %d, suite %d, flags %02x%02x", ErrVersion, fixed[8], fixed[9], fixed[10], fixed[11])
	}
	mh, err := readTLVs(r, binary.BigEndian.Uint32(fixed[12:]))
	if err != nil {
		return nil, fmt.Errorf("message header: %w", err)
	}
	e := &Envelope{HH: headerHash(mh), r: r}
	if e.Header, err = parseHeader(mh); err != nil {
		return nil, fmt.Errorf("message header: %w", err)
	}
	var n [8]byte
	if err := readFull(r, n[:4]); err != nil {
		return nil, err
	}
	rh, err := readTLVs(r, binary.BigEndian.Uint32(n[:]))
	if err != nil {
		return nil, fmt.Errorf("recipient header: %w", err)
	}
	e.rhh = sha256.Sum256(rh)
	if e.Slot, e.Hint, err = parseSlot(rh); err != nil {
		return nil, fmt.Errorf("recipient header: %w", err)
	}
	for _, b := range [][]byte{e.wrap[:], e.Seal[:], n[:]} {
		if err := readFull(r, b); err != nil {
			return nil, err
		}
	}
	size := binary.BigEndian.Uint64(n[:])
	if limit < 0 || size > uint64(limit) {
		return nil, fmt.Errorf("payload: %w: %d bytes where %d are accepted", ErrTooLarge, size, limit)
	}
	if !isPayloadSize(size) {
		return nil, fmt.Errorf("payload: %w: it has no last chunk", ErrAltered)
	}
	e.PayloadSize = int64(size)
	return e, nil
}

// readTLVs reads the n bytes of a header; n is checked before memory is taken.
func readTLVs(r io.Reader, n uint32) ([]byte, error) {
	if n > maxTLVs {
		return nil, fmt.Errorf("%w: %d bytes where %d are allowed", ErrFormat, n, maxTLVs)
	}
	b := make([]byte, n)
	return b, readFull(r, b)
}

// readFull is io.ReadFull that calls an early end by its name.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends too early", ErrAltered)
	}
	return err
}

// Content is an opened envelope whose message has not been read yet. The
// manifest is decrypted and well-formed, but it is proven to be the sender's
// only when WriteMessage has returned nil.
type Content struct {
	Manifest *Manifest

	r      io.Reader // the payload
	want   *Record
	chunks *chunks
	hash   hash.Hash
	left   int64  // bytes of the payload not yet read
	plain  []byte // content decrypted and not yet used
	buf    []byte
	done   bool
	failed bool
	ph     [32]byte
}

// Open unwraps the content key with the two halves, checks the payload's
// commitment, and reads the manifest. want is the key server's record; HH is
// compared now and PH by WriteMessage. With a nil want the caller must check
// the seal against PH after WriteMessage, and show nothing before.
//
// Wrong halves and an altered wrap give the same ErrWrongKey. An Envelope is
// opened once, since its payload is read once.
func (e *Envelope) Open(s, eHalf Secret, want *Record) (*Content, error) {
	c, err := e.open(s, eHalf, want)
	if err != nil {
		return nil, fmt.Errorf("open envelope: %w", err)
	}
	return c, nil
}

func (e *Envelope) open(s, eHalf Secret, want *Record) (*Content, error) {
	if e.r == nil {
		return nil, errors.New("an envelope is opened once")
	}
	if want != nil && subtle.ConstantTimeCompare(want.HH[:], e.HH[:]) != 1 {
		return nil, fmt.Errorf("%w: its header is not the one on record", ErrAltered)
	}
	aead, nonce, err := slotCipher(s, eHalf, e.Header.ID, e.Slot, e.HH, e.rhh)
	if err != nil {
		return nil, err
	}
	var ck Secret
	if _, err := aead.Open(ck[:0], nonce, e.wrap[:], nil); err != nil {
		return nil, ErrWrongKey
	}
	return e.start(ck, want)
}

// start reads salt, commitment and manifest.
func (e *Envelope) start(ck Secret, want *Record) (*Content, error) {
	c := &Content{r: e.r, want: want, hash: sha256.New(), left: e.PayloadSize}
	c.buf = make([]byte, min(e.PayloadSize, sealedLen))
	e.r = nil
	var prefix [prefixLen]byte
	if err := c.read(prefix[:]); err != nil {
		return nil, err
	}
	chunks, commitment, err := newChunks(ck, prefix[:saltLen], e.HH)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commitment[:], prefix[saltLen:]) != 1 {
		return nil, fmt.Errorf("%w: the payload belongs to another key or header", ErrAltered)
	}
	c.chunks = chunks

	var lead [contentLead]byte
	if err := c.take(lead[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(lead[4:])
	if string(lead[:4]) != contentMagic || n > maxManifest {
		return nil, fmt.Errorf("content: %w", ErrFormat)
	}
	// The manifest must fit into what is left, or its length would take memory for nothing.
	if int64(n) > int64(len(c.plain))+c.left {
		return nil, fmt.Errorf("manifest: %w: longer than the content", ErrFormat)
	}
	text := make([]byte, n)
	if err := c.take(text); err != nil {
		return nil, err
	}
	if c.Manifest, err = ReadManifest(text); err != nil {
		return nil, err
	}
	return c, nil
}

// read fills b from the payload and hashes it.
func (c *Content) read(b []byte) error {
	if err := readFull(c.r, b); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	c.hash.Write(b)
	c.left -= int64(len(b))
	return nil
}

// more decrypts the next chunk into c.plain, which must be used up. It returns
// io.EOF after the last.
func (c *Content) more() error {
	if c.left == 0 {
		return io.EOF
	}
	sealed := c.buf[:min(c.left, sealedLen)]
	if err := c.read(sealed); err != nil {
		return err
	}
	plain, err := c.chunks.open(sealed)
	c.plain = plain
	return err
}

// take fills b with content.
func (c *Content) take(b []byte) error {
	for len(b) > 0 {
		for len(c.plain) == 0 {
			if err := c.more(); err == io.EOF {
				return fmt.Errorf("content: %w: it ends too early", ErrFormat)
			} else if err != nil {
				return err
			}
		}
		n := copy(b, c.plain)
		b, c.plain = b[n:], c.plain[n:]
	}
	return nil
}

// WriteMessage writes the message to w, byte for byte as it was sent. It
// checks every chunk and the last one, the padding, that nothing follows, and
// PH against the record. On an error the caller must throw away what was
// written: the reasons to refuse can lie at the very end of the file.
func (c *Content) WriteMessage(w io.Writer) error {
	if c.done || c.failed {
		return errors.New("write message: it was already read")
	}
	c.failed = true // until proven otherwise
	if err := c.write(w); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	c.failed, c.done = false, true
	return nil
}

func (c *Content) write(w io.Writer) error {
	for n := c.Manifest.Length; n > 0; {
		for len(c.plain) == 0 {
			if err := c.more(); err == io.EOF {
				return fmt.Errorf("content: %w: shorter than its manifest says", ErrFormat)
			} else if err != nil {
				return err
			}
		}
		part := c.plain[:min(int64(len(c.plain)), n)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		c.plain = c.plain[len(part):]
		n -= int64(len(part))
	}
	for {
		for _, b := range c.plain {
			if b != 0 {
				return fmt.Errorf("padding: %w: not zero", ErrFormat)
			}
		}
		if err := c.more(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if err := atEnd(c.r); errors.Is(err, errMore) {
		return fmt.Errorf("%w: bytes follow the payload", ErrAltered)
	} else if err != nil {
		return err
	}
	c.hash.Sum(c.ph[:0])
	if c.want != nil && subtle.ConstantTimeCompare(c.ph[:], c.want.PH[:]) != 1 {
		return fmt.Errorf("%w: its payload is not the one on record", ErrAltered)
	}
	return nil
}

// PH is the payload's hash, for VerifySeal. It is zero before WriteMessage has
// returned nil.
func (c *Content) PH() [32]byte {
	if !c.done {
		return [32]byte{}
	}
	return c.ph
}
