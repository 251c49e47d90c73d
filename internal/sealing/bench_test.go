package sealing_test

import (
	"io"
	"testing"

	"github.com/pli-mail/pli/internal/sealing"
)

// BenchmarkSeal is one message of 25 MB to three recipients, from the posted
// form to the letters in the outbox. B/op shows that it is never in memory.
func BenchmarkSeal(b *testing.B) {
	h := newHouse(b, nil)
	const size = 25_000_000
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		r := h.request("bob@x.test", "carol@x.test", "dan@x.test")
		r.Files = files(&sealing.File{Name: "scan.pdf", Type: "application/pdf", Reader: io.LimitReader(zeros{}, size)})
		if _, err := h.seal.Seal(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
