package envelope

import (
	"io"
	"strings"
)

// NewSealerWithRandom is NewSealer with the given randomness, so that vectors
// come out the same every time.
func NewSealerWithRandom(h Header, random io.Reader) (*Sealer, error) { return newSealer(h, random) }

// NewSealerWithKey seals under a known content key: the forger who was a
// recipient (AT-07).
func NewSealerWithKey(h Header, ck Secret, random io.Reader) (*Sealer, error) {
	s, err := newSealer(h, random)
	if err == nil {
		s.ck = ck
	}
	return s, err
}

// CK shows the content key.
func (s *Sealer) CK() Secret { return s.ck }

// SealRaw seals content as it is given, without checks or padding.
func (s *Sealer) SealRaw(w io.Writer, content []byte) (Payload, error) {
	return s.sealContent(w, content, strings.NewReader(""), 0, int64(len(content)))
}

// CanonicalManifest is the text that Seal writes for a manifest.
func CanonicalManifest(m *Manifest) []byte { return m.append(nil) }

// Padded is the size of content of n bytes after padding.
func Padded(n int64) int64 { return padded(n) }

// AppendTLV appends one field of a header.
func AppendTLV(b []byte, kind uint16, value []byte) []byte { return appendTLV(b, kind, value) }

// HeaderHash is HH of any TLVs.
func HeaderHash(mh []byte) [32]byte { return headerHash(mh) }
