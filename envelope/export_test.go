package envelope

import (
	"io"
	"strings"
)

// SealerFromTLVs is a Sealer with any message header, right or wrong, a chosen
// content key and known randomness, so that vectors come out the same every
// time. A zero ck is drawn from random.
func SealerFromTLVs(mh []byte, id MessageID, ck Secret, random io.Reader) (*Sealer, error) {
	s := &Sealer{id: id, mh: mh, hh: headerHash(mh), ck: ck, random: random}
	if ck != (Secret{}) {
		return s, nil
	}
	_, err := io.ReadFull(random, s.ck[:])
	return s, err
}

// CK shows the content key.
func (s *Sealer) CK() Secret { return s.ck }

// SealRaw seals content as it is given, without checks or padding.
func (s *Sealer) SealRaw(w io.Writer, content []byte) (Payload, error) {
	return s.sealContent(w, content, strings.NewReader(""), 0, int64(len(content)))
}

// SlotFromTLVs is NewSlot with any recipient header.
func (s *Sealer) SlotFromTLVs(rh func(SlotID) []byte) (Slot, error) { return s.newSlot(rh) }

// HeaderTLVs and SlotTLVs are MH and RH as they are sealed.
func HeaderTLVs(h Header) []byte                   { return appendHeader(nil, h) }
func SlotTLVs(id SlotID, hint string) []byte       { return appendSlot(nil, id, hint) }
func ManifestText(m *Manifest) []byte              { return m.append(nil) }
func Padded(n int64) int64                         { return padded(n) }
func Derive(out, ikm, salt []byte, info ...[]byte) { derive(out, ikm, salt, info...) }
func Expand(out, prk []byte, info ...[]byte)       { expand(out, prk, info...) }

// AppendTLV appends one field of a header.
func AppendTLV(b []byte, kind uint16, value []byte) []byte { return appendTLV(b, kind, value) }
