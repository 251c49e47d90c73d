package envelope_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"github.com/pli-mail/pli/envelope"
)

// A large file opens to what was sealed, its sealing goes on anywhere with the same
// bytes and its opening behind whatever was written, and nothing altered opens.
func TestLarge(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 4096, 4097, 16383, 16384, 16385, 1<<17 - 5, 1 << 17, 300_003} {
		l := envelope.Large{Size: size, Name: "été.bin", Type: "image/png"}
		var salt envelope.LargeSalt
		file := make([]byte, size)
		rand.Read(l.ID[:])
		rand.Read(l.Key[:])
		rand.Read(salt[:])
		rand.Read(file)
		if back, err := envelope.ReadLarge(l.Text()); err != nil || back != l {
			t.Fatalf("the descriptor comes back as another, %v", err)
		}
		sealed := func(at int64) []byte {
			r, err := l.Seal(bytes.NewReader(file), salt, at)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		all := sealed(0)
		if int64(len(all)) != l.SealedSize() {
			t.Fatalf("%d bytes become %d, foretold %d", size, len(all), l.SealedSize())
		}
		for _, at := range []int64{1, 55, 56, 57, 16455, 16456, 16457, int64(len(all)) - 1, int64(len(all))} {
			if at <= int64(len(all)) && !bytes.Equal(sealed(at), all[at:]) {
				t.Errorf("%d: other bytes from %d on", size, at)
			}
		}
		open := func(l envelope.Large, sealed []byte, done int64) ([]byte, error) {
			out := bytes.NewBuffer(nil)
			o, from, kept, err := l.Open(sealed[:envelope.LargePrefix], out, done)
			if err != nil {
				return nil, err
			}
			out.Write(file[:kept])
			for rest := sealed[min(from, int64(len(sealed))):]; len(rest) > 0; {
				n := min(7001, len(rest))
				if _, err := o.Write(rest[:n]); err != nil {
					return out.Bytes(), err
				}
				rest = rest[n:]
			}
			err = o.Close()
			return out.Bytes(), err
		}
		for _, done := range []int64{0, 1, 16384, 16385, size - 1, size} {
			if done < 0 || done > size {
				continue
			}
			if got, err := open(l, all, done); err != nil || !bytes.Equal(got, file) {
				t.Errorf("%d, %d of it done: opens to %d bytes, %v", size, done, len(got), err)
			}
		}
		refused := func(what string, l envelope.Large, sealed []byte, want error) {
			t.Helper()
			if got, err := open(l, sealed, 0); !errors.Is(err, want) || int64(len(got)) > l.Size {
				t.Errorf("%d, %s: %v, %d bytes", size, what, err, len(got))
			}
		}
		for _, at := range []int{0, 24, 55} {
			bad := bytes.Clone(all)
			bad[at] ^= 1
			refused("another prefix", l, bad, envelope.ErrWrongKey)
		}
		for _, at := range []int{56, len(all) / 2, len(all) - 1} {
			bad := bytes.Clone(all)
			bad[at] ^= 1
			refused("a bit", l, bad, envelope.ErrAltered)
		}
		refused("cut short", l, all[:len(all)-1], envelope.ErrAltered)
		refused("cut at a chunk", l, all[:56+(len(all)-57)/16400*16400], envelope.ErrAltered)
		refused("too long", l, append(bytes.Clone(all), 0), envelope.ErrAltered)
		longer := l
		longer.Size += 5000
		refused("another size", longer, all, envelope.ErrAltered)
		other := l
		other.ID[3] ^= 1
		refused("another id", other, all, envelope.ErrWrongKey)
		if size > 0 {
			if r, err := l.Seal(bytes.NewReader(file[:size-1]), salt, 0); err != nil {
				t.Error(err)
			} else if _, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("a file that became shorter: %v", err)
			}
		}
	}
	for _, odd := range []string{"", "null", "{}", `{"v":2}`, `{"v":1,"id":"../x","key":"A","size":1,"name":"x"}`} {
		if _, err := envelope.ReadLarge([]byte(odd)); !errors.Is(err, envelope.ErrFormat) {
			t.Errorf("%q: %v", odd, err)
		}
	}
}
