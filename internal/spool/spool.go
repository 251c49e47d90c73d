// Package spool keeps large scratch data on disk without ever putting plain
// text there.
//
// A File is written once, finished, and then read as often as needed. A short
// one never leaves memory. The bytes of a longer one
// are sealed with AES-256-GCM in chunks of 64 KiB under a random key
// that exists only in this process's memory: who takes the disk has nothing,
// and a crash leaves nothing that could be opened. Where the system allows it
// the file has no name from the first moment on, so that it is gone with the
// process; elsewhere Close removes it and Sweep removes what a crash left.
package spool

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	chunkSize = 64 << 10
	tagSize   = 16
	prefix    = "pli-spool-"

	inMemory = 128 << 10 // bytes up to which there is no file
)

// Errors of a File.
var (
	ErrState   = errors.New("use spool file: not in a state for that")
	ErrChanged = errors.New("read spool file: its bytes were changed or are missing")
)

// File is one scratch file. Write and Finish are for one goroutine; after
// Finish any number of readers may run at the same time.
type File struct {
	dir  string
	f    *os.File // nil while all of it is in short
	name string   // empty once unlinked
	aead cipher.AEAD

	short  []byte // all of the plain text, up to inMemory
	buf    []byte // plain text of the chunk being filled, up to chunkSize
	sealed []byte
	chunks uint64
	size   int64

	mu       sync.Mutex // guards finished and closed
	finished bool
	closed   bool
	err      error // first write error; sticky
}

// New begins a file, which is made in dir once it is too long for memory; dir
// must exist then. The caller must Close it.
func New(dir string) *File { return &File{dir: dir} }

// spill makes the file and moves there what was in memory.
func (s *File) spill() error {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails (crypto/rand)
	aead, err := newAEAD(key)
	if err != nil {
		return fmt.Errorf("create spool file: %w", err)
	}
	clear(key)
	s.aead = aead
	// os.CreateTemp opens with O_EXCL and mode 0600.
	if s.f, err = os.CreateTemp(s.dir, prefix+"*"); err != nil {
		return fmt.Errorf("create spool file: %w", err)
	}
	s.name = s.f.Name()
	// An open file can lose its name on Unix, not on Windows.
	if os.Remove(s.name) == nil {
		s.name = ""
	}
	short := s.short
	s.short = nil
	err = s.write(short)
	clear(short)
	return err
}

// nonce is the chunk's number; it never repeats under the file's own key.
func nonce(n uint64) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

// Write adds p. After an error the file can only be closed.
func (s *File) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.isFinished() {
		return 0, ErrState
	}
	switch {
	case s.f == nil && len(s.short)+len(p) <= inMemory:
		s.short = append(s.short, p...)
	default:
		if s.f == nil {
			if s.err = s.spill(); s.err != nil {
				return 0, s.err
			}
		}
		if err := s.write(p); err != nil {
			return 0, err
		}
	}
	s.size += int64(len(p))
	return len(p), nil
}

func (s *File) write(p []byte) error {
	for len(p) > 0 {
		if s.buf == nil {
			s.buf = make([]byte, 0, chunkSize)
		}
		n := copy(s.buf[len(s.buf):chunkSize], p)
		s.buf = s.buf[:len(s.buf)+n]
		p = p[n:]
		if len(s.buf) == chunkSize {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *File) flush() error {
	s.sealed = s.aead.Seal(s.sealed[:0], nonce(s.chunks), s.buf, nil)
	if _, err := s.f.Write(s.sealed); err != nil {
		s.err = fmt.Errorf("write spool file: %w", err)
		return s.err
	}
	s.chunks++
	clear(s.buf)
	s.buf = s.buf[:0]
	return nil
}

// Finish ends writing. It is needed before Reader; a second call does nothing.
func (s *File) Finish() error {
	if s.err != nil {
		return s.err
	}
	if s.isFinished() {
		return nil
	}
	if len(s.buf) > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.buf, s.sealed = nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrState
	}
	s.finished = true
	return nil
}

func (s *File) isFinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished || s.closed
}

// Size is the number of plain bytes written so far.
func (s *File) Size() int64 { return s.size }

// Reader reads the plain bytes from the start. Every call gives an
// independent reader; all end with ErrChanged if the disk's bytes are not
// what was written.
func (s *File) Reader() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished || s.closed {
		return nil, ErrState
	}
	if s.f == nil {
		return io.NopCloser(bytes.NewReader(s.short)), nil
	}
	return &reader{s: s}, nil
}

// Close forgets the key and removes the file. Readers still open fail from then on.
func (s *File) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	clear(s.buf)
	s.buf = nil
	if s.f == nil {
		s.short = nil // not cleared: a reader may still be at it
		return nil
	}
	err := s.f.Close()
	if s.name != "" {
		err = errors.Join(err, os.Remove(s.name))
	}
	return err
}

type reader struct {
	s      *File
	chunk  uint64
	plain  []byte // rest of the current chunk
	buf    []byte
	closed bool
	err    error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, os.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.plain) == 0 {
		if r.err == nil {
			r.err = r.next()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// next opens one chunk. How many chunks there are and how long the last one
// is comes from memory, never from the file's length.
func (r *reader) next() error {
	if r.chunk == r.s.chunks {
		return io.EOF
	}
	want := chunkSize
	if r.chunk == r.s.chunks-1 {
		want = int(r.s.size - int64(r.chunk)*chunkSize)
	}
	if r.buf == nil {
		r.buf = make([]byte, chunkSize+tagSize)
	}
	b := r.buf[:want+tagSize]
	if _, err := r.s.f.ReadAt(b, int64(r.chunk)*(chunkSize+tagSize)); err != nil {
		if errors.Is(err, io.EOF) {
			return ErrChanged
		}
		return fmt.Errorf("read spool file: %w", err)
	}
	plain, err := r.s.aead.Open(b[:0], nonce(r.chunk), b, nil)
	if err != nil {
		return ErrChanged
	}
	r.chunk++
	r.plain = plain
	return nil
}

func (r *reader) Close() error {
	r.closed = true
	clear(r.buf)
	r.plain, r.buf = nil, nil
	return nil
}

// KeySize is the length of a key of Encrypt, in bytes.
const KeySize = 32

// Encrypt copies src to w in the form of a File, under a key that is used for
// this alone, for what has to outlive the process.
func Encrypt(w io.Writer, key []byte, src io.Reader) error {
	aead, err := newAEAD(key)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	buf := make([]byte, chunkSize, chunkSize+tagSize)
	for n := uint64(0); ; n++ {
		k, err := io.ReadFull(src, buf)
		if k > 0 {
			if _, err := w.Write(aead.Seal(buf[:0], nonce(n), buf[:k], nil)); err != nil {
				return fmt.Errorf("encrypt: %w", err)
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
	}
}

// Decrypt reads what Encrypt wrote of size plain bytes, and ends with
// ErrChanged where it is not that.
func Decrypt(r io.Reader, key []byte, size int64) (io.Reader, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return &decrypter{r: r, aead: aead, left: size}, nil
}

type decrypter struct {
	r     io.Reader
	aead  cipher.AEAD
	chunk uint64
	left  int64 // plain bytes of the chunks to come
	buf   []byte
	plain []byte
}

func (d *decrypter) Read(p []byte) (int, error) {
	for len(d.plain) == 0 {
		if d.left == 0 {
			return 0, io.EOF
		}
		if d.buf == nil {
			d.buf = make([]byte, chunkSize+tagSize)
		}
		n := min(d.left, chunkSize)
		b := d.buf[:n+tagSize]
		if _, err := io.ReadFull(d.r, b); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return 0, ErrChanged
			}
			return 0, err
		}
		var err error
		if d.plain, err = d.aead.Open(b[:0], nonce(d.chunk), b, nil); err != nil {
			return 0, ErrChanged
		}
		d.chunk++
		d.left -= n
	}
	n := copy(p, d.plain)
	d.plain = d.plain[n:]
	return n, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Sweep removes the files that a crash left in dir and returns how many. It is
// for the start of the program, before the first New.
func Sweep(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("sweep spool: %w", err)
	}
	n := 0
	var errs []error
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), prefix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				errs = append(errs, fmt.Errorf("sweep spool: %w", err))
				continue
			}
			n++
		}
	}
	return n, errors.Join(errs...)
}
