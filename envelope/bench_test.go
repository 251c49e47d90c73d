package envelope_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
)

var benchSizes = []struct {
	name string
	size int64
}{{"20KiB", 20 << 10}, {"1MiB", 1 << 20}, {"25MiB", 25 << 20}, {"1GiB", 1 << 30}}

// pattern reads size bytes that repeat, without keeping them.
type pattern struct{ left int64 }

var patternBlock = bytes.Repeat([]byte("A sealed message, line by line.\r\n"), 4096)

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), p.left)], patternBlock)
	p.left -= int64(n)
	return n, nil
}

// count counts and drops what is written.
type count int64

func (c *count) Write(b []byte) (int, error) { *c += count(len(b)); return len(b), nil }

// keep stands between Seal and the armor, where a caller has its spool: it
// holds what fits and repeats it when read, so that a benchmark of 1 GiB
// measures this package and no disk.
type keep struct {
	buf       []byte
	n, at     int64
	remaining int64
}

func (k *keep) Write(b []byte) (int, error) {
	copy(k.buf[k.n%int64(len(k.buf)-len(b)+1):], b)
	k.n += int64(len(b))
	return len(b), nil
}

func (k *keep) Read(p []byte) (int, error) {
	if k.remaining == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), k.remaining)], k.buf[k.at%int64(len(k.buf)):])
	k.at += int64(n)
	k.remaining -= int64(n)
	return n, nil
}

func benchManifest(size int64) *envelope.Manifest {
	sum := sha256.Sum256(nil)
	return &envelope.Manifest{
		Length: size, Subject: "Quarterly figures", Date: "2026-11-02T09:30:00Z",
		From:  []envelope.Mailbox{{Name: "Alice Example", Address: "alice@corp.example"}},
		To:    []envelope.Mailbox{{Address: "bob@x.example"}},
		Parts: []envelope.Part{{Length: size, Encoding: "identity", Type: "text/plain", Charset: "utf-8", Role: "text", Size: size, SHA256: hex.EncodeToString(sum[:])}},
	}
}

func benchHeader() envelope.Header {
	return envelope.Header{ID: envelope.MessageID{1}, Origin: "https://keys.example", SealedAt: time.Unix(1793600000, 0)}
}

// sealAll is the whole way of one message for one recipient, from its bytes to
// armored text in w.
func sealAll(w io.Writer, spool *keep, key ed25519.PrivateKey, m *envelope.Manifest) (envelope.Slot, error) {
	s, err := envelope.NewSealer(benchHeader())
	if err != nil {
		return envelope.Slot{}, err
	}
	p, err := s.Seal(spool, m, &pattern{m.Length})
	if err != nil {
		return envelope.Slot{}, err
	}
	slot, err := s.NewSlot("b***@x.example")
	if err != nil {
		return envelope.Slot{}, err
	}
	a := envelope.NewArmorWriter(w)
	if _, err := a.Write(envelope.Head(s.MH(), slot.RH, slot.Wrap, envelope.Sign(key, s.HH(), p.Hash), p.Size)); err != nil {
		return envelope.Slot{}, err
	}
	spool.remaining = p.Size
	if _, err := io.CopyBuffer(a, spool, spool.copyBuf()); err != nil {
		return envelope.Slot{}, err
	}
	return slot, a.Close()
}

func (k *keep) copyBuf() []byte { return k.buf[:cap(k.buf)][len(k.buf):] }

func newKeep() *keep {
	const size = 256 << 10
	return &keep{buf: make([]byte, size+32<<10)[:size]}
}

// measure runs f b.N times and reports MB/s and how much memory one run took
// in all, which is more than it ever held at once.
func measure(b *testing.B, size int64, f func()) {
	b.SetBytes(size)
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		f()
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MiB-mem/op")
}

// BenchmarkSeal is a message sealed and armored for one recipient; its Floor is
// what no sealer can do without: AES-256-GCM and one base64, streamed.
func BenchmarkSeal(b *testing.B) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	for _, c := range benchSizes {
		b.Run("Floor/"+c.name, func(b *testing.B) {
			aead := benchGCM(b)
			buf := make([]byte, 16384+16)
			var out count
			measure(b, c.size, func() {
				in, out64 := &pattern{c.size}, base64.NewEncoder(base64.StdEncoding, &out)
				var nonce [12]byte
				for {
					n, err := io.ReadFull(in, buf[:16384])
					nonce[0]++
					if _, err := out64.Write(aead.Seal(buf[:0], nonce[:], buf[:n], nil)); err != nil {
						b.Fatal(err)
					}
					if err != nil {
						break
					}
				}
				out64.Close()
			})
		})
		b.Run("Pli/"+c.name, func(b *testing.B) {
			spool, m := newKeep(), benchManifest(c.size)
			var out count
			measure(b, c.size, func() {
				out = 0
				if _, err := sealAll(&out, spool, key, m); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(float64(out)/float64(c.size), "out/in")
		})
	}
}

// BenchmarkOpen is an armored envelope opened from a file, as `pli open` does;
// its Floor is one base64 and AES-256-GCM.
func BenchmarkOpen(b *testing.B) {
	for _, c := range benchSizes {
		name := filepath.Join(b.TempDir(), c.name)
		slot, err := sealToFile(name, c.size)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Floor/"+c.name, func(b *testing.B) {
			aead := benchGCM(b)
			buf := make([]byte, 16384+16)
			measure(b, c.size, func() {
				f := openBench(b, name)
				defer f.Close()
				in := bufio.NewReaderSize(f, 32<<10)
				in.ReadSlice('\n')
				dec := base64.NewDecoder(base64.StdEncoding, in)
				var nonce [12]byte
				for {
					n, err := io.ReadFull(dec, buf)
					aead.Seal(buf[:0], nonce[:], buf[:max(0, n-16)], nil) // the same work as Open, on another's ciphertext
					if err != nil {
						return
					}
				}
			})
		})
		b.Run("Pli/"+c.name, func(b *testing.B) {
			measure(b, c.size, func() {
				f := openBench(b, name)
				defer f.Close()
				if n, err := openBinary(f, slot, nil); err != nil || n != c.size {
					b.Fatal(n, err)
				}
			})
		})
		os.Remove(name)
	}
}

func benchGCM(b *testing.B) cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	return aead
}

func openBench(b *testing.B, name string) *os.File {
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// sealToFile seals size bytes into an armored file, keeping the payload in a
// second file meanwhile.
func sealToFile(name string, size int64) (envelope.Slot, error) {
	spool, err := os.Create(name + ".payload")
	if err != nil {
		return envelope.Slot{}, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	s, err := envelope.NewSealer(benchHeader())
	if err != nil {
		return envelope.Slot{}, err
	}
	p, err := s.Seal(spool, benchManifest(size), &pattern{size})
	if err != nil {
		return envelope.Slot{}, err
	}
	slot, err := s.NewSlot("")
	if err != nil {
		return envelope.Slot{}, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return envelope.Slot{}, err
	}
	f, err := os.Create(name)
	if err != nil {
		return envelope.Slot{}, err
	}
	defer f.Close()
	a := envelope.NewArmorWriter(f)
	head := envelope.Head(s.MH(), slot.RH, slot.Wrap, [64]byte{}, p.Size)
	if _, err := io.Copy(a, io.MultiReader(bytes.NewReader(head), spool)); err != nil {
		return envelope.Slot{}, err
	}
	return slot, a.Close()
}

// openBinary opens an envelope and returns the length of its message.
func openBinary(r io.Reader, slot envelope.Slot, want *envelope.Record) (int64, error) {
	payload, _, err := envelope.FindArmor(r)
	if err != nil {
		return 0, err
	}
	e, err := envelope.Parse(payload, 2<<30)
	if err != nil {
		return 0, err
	}
	content, err := e.Open(slot.S, slot.E, want)
	if err != nil {
		return 0, err
	}
	var n count
	if err := content.WriteMessage(&n); err != nil {
		return 0, err
	}
	if content.Manifest.Length != int64(n) {
		return 0, fmt.Errorf("wrote %d bytes of %d", n, content.Manifest.Length)
	}
	return int64(n), nil
}
