package relay_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"testing"

	"github.com/pli-mail/pli/internal/relay"
)

// BenchmarkSend is a signed mail with a file of 34 MB, what a message of 25 MB
// becomes. What it allocates is the signer's copying of each buffer, short-lived.
func BenchmarkSend(b *testing.B) {
	p := newPeer(b, func(p *peer) { p.drop = true })
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	r := newRelay(b, relay.Config{Addr: p.addr, TLS: relay.None, DKIM: []relay.DKIM{{Domain: "pli.example", Selector: "s1", Key: key}}})
	c := parcel(b, "bob@x.test")
	line := append(bytes.Repeat([]byte("A"), 76), '\r', '\n')
	chunk := bytes.Repeat(line, 1000)
	const size = 34_320_000
	c.Mail.Attachments[0].Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(&endless{chunk: chunk}, size)), nil
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Send(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

type endless struct {
	chunk []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.chunk[e.at:])
	e.at = (e.at + n) % len(e.chunk)
	return n, nil
}
