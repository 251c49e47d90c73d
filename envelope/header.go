package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The fixed parts of an envelope file (spec section 2).
const (
	magic       = "\x89PLI1\r\n\x1a"
	version     = 1
	suite       = 1
	fixedLen    = 16      // magic, version, suite, flags, mh_len
	maxTLVs     = 1 << 16 // bytes of MH, and of RH
	wrapLen     = 48
	sealLen     = 64
	maxHint     = 1024         // bytes of a sender, subject or recipient hint
	maxUnixTime = 253402300799 // end of the year 9999, the last that every calendar library prints

	contentFormat = 1
)

// Types of the TLVs; bit 0x8000 means critical.
const (
	tlvMessageID   = 0x8001
	tlvOrigin      = 0x8002
	tlvSealedAt    = 0x8003
	tlvContent     = 0x8004
	tlvPolicy      = 0x8005
	tlvSenderHint  = 0x0010
	tlvSubjectHint = 0x0011
	tlvNotAfter    = 0x0012
	tlvSlotID      = 0x8101
	tlvSlotHint    = 0x0110

	critical = 0x8000
)

// PolicyServerMayOpen is bit 0 of Header.Policy: the key server may open the
// message for a recipient whose browser cannot. All other bits are refused.
const PolicyServerMayOpen uint32 = 1

// Header is what every recipient's envelope of one message says in the clear.
type Header struct {
	ID          MessageID
	Origin      string    // of the key server: https://host[:port], as browsers write origins
	SealedAt    time.Time // whole seconds; the sealer's claim
	Policy      uint32    // PolicyServerMayOpen or 0
	SenderHint  string    // shown before sign-in, proves nothing; empty when absent
	SubjectHint string    // empty when absent, which is the default
	NotAfter    time.Time // hint, whole seconds; zero when absent
}

// Check says whether the header may be sealed; Parse demands the same.
func (h Header) Check() error {
	if h.ID == (MessageID{}) {
		return fmt.Errorf("check header: %w: no message id", ErrFormat)
	}
	if !isOrigin(h.Origin) {
		return fmt.Errorf("check header: %w: key server origin %q must be https://host[:port]", ErrFormat, h.Origin)
	}
	if t := h.SealedAt.Unix(); t < 0 || t > maxUnixTime {
		return fmt.Errorf("check header: %w: time of sealing out of range", ErrFormat)
	}
	if t := h.NotAfter.Unix(); !h.NotAfter.IsZero() && (t < 0 || t > maxUnixTime) {
		return fmt.Errorf("check header: %w: not-after time out of range", ErrFormat)
	}
	if h.Policy&^PolicyServerMayOpen != 0 {
		return fmt.Errorf("check header: %w: unknown policy bits %#x", ErrVersion, h.Policy)
	}
	if err := checkHint("sender hint", h.SenderHint); err != nil {
		return err
	}
	return checkHint("subject hint", h.SubjectHint)
}

// checkHint refuses what could disturb a terminal or a page before anyone has
// proven anything.
func checkHint(what, s string) error {
	if len(s) > maxHint || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("check header: %w: %s must be at most %d bytes of UTF-8 without control characters", ErrFormat, what, maxHint)
	}
	return nil
}

// isOrigin reports whether s is spelled as a browser spells an origin, because
// openers compare it as text: lower case, no path, no default port.
func isOrigin(s string) bool {
	host, https := strings.CutPrefix(s, "https://")
	if !https {
		var ok bool
		if host, ok = strings.CutPrefix(s, "http://"); !ok {
			return false
		}
	}
	host, port, hasPort := strings.Cut(host, ":")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' || https && n == 443 || !https && n == 80 {
			return false
		}
	}
	if !https {
		return host == "localhost" || host == "127.0.0.1" // trials only: the page needs a secure context
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// appendTLV appends one type, length and value.
func appendTLV[T string | []byte](b []byte, kind uint16, value T) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// appendHeader appends MH, the TLVs of a checked header.
func appendHeader(b []byte, h Header) []byte {
	var n [8]byte
	b = appendTLV(b, tlvMessageID, h.ID[:])
	b = appendTLV(b, tlvOrigin, h.Origin)
	binary.BigEndian.PutUint64(n[:], uint64(h.SealedAt.Unix()))
	b = appendTLV(b, tlvSealedAt, n[:])
	binary.BigEndian.PutUint16(n[:], contentFormat)
	b = appendTLV(b, tlvContent, n[:2])
	binary.BigEndian.PutUint32(n[:], h.Policy)
	b = appendTLV(b, tlvPolicy, n[:4])
	if h.SenderHint != "" {
		b = appendTLV(b, tlvSenderHint, h.SenderHint)
	}
	if h.SubjectHint != "" {
		b = appendTLV(b, tlvSubjectHint, h.SubjectHint)
	}
	if !h.NotAfter.IsZero() {
		binary.BigEndian.PutUint64(n[:], uint64(h.NotAfter.Unix()))
		b = appendTLV(b, tlvNotAfter, n[:])
	}
	return b
}

// appendFixed appends the first 16 bytes of a file whose MH has mhLen bytes.
func appendFixed(b []byte, mhLen int) []byte {
	b = append(b, magic...)
	b = append(b, version, suite, 0, 0)
	return binary.BigEndian.AppendUint32(b, uint32(mhLen))
}

// headerHash is HH: the hash of the file's first 16+len(mh) bytes.
func headerHash(mh []byte) [32]byte {
	h := sha256.New()
	h.Write(appendFixed(make([]byte, 0, fixedLen), len(mh)))
	h.Write(mh)
	return [32]byte(h.Sum(nil))
}

// eachTLV calls f for each TLV of b, after checking lengths and order. An
// unknown TLV, for which f returns false, is passed over unless critical.
func eachTLV(b []byte, f func(kind uint16, value []byte) (known bool, err error)) error {
	last := -1
	for len(b) > 0 {
		if len(b) < 6 {
			return fmt.Errorf("%w: field cut short", ErrFormat)
		}
		kind, n := binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])
		if uint64(n) > uint64(len(b)-6) {
			return fmt.Errorf("%w: field %04x longer than its header", ErrFormat, kind)
		}
		if order := int(kind &^ critical); order <= last {
			return fmt.Errorf("%w: field %04x twice or out of order", ErrFormat, kind)
		} else {
			last = order
		}
		known, err := f(kind, b[6:6+n])
		if err != nil {
			return err
		}
		if !known && kind&critical != 0 {
			return fmt.Errorf("%w: unknown critical field %04x", ErrVersion, kind)
		}
		b = b[6+n:]
	}
	return nil
}

// parseHeader reads MH.
func parseHeader(mh []byte) (Header, error) {
	var h Header
	required := map[uint16]bool{tlvMessageID: true, tlvOrigin: true, tlvSealedAt: true, tlvContent: true, tlvPolicy: true}
	err := eachTLV(mh, func(kind uint16, value []byte) (bool, error) {
		delete(required, kind)
		switch kind {
		case tlvMessageID:
			if len(value) != len(h.ID) {
				return true, badField(kind)
			}
			h.ID = MessageID(value)
		case tlvOrigin:
			h.Origin = string(value)
		case tlvSealedAt, tlvNotAfter:
			if len(value) != 8 || binary.BigEndian.Uint64(value) > maxUnixTime {
				return true, badField(kind)
			}
			t := time.Unix(int64(binary.BigEndian.Uint64(value)), 0).UTC()
			if kind == tlvSealedAt {
				h.SealedAt = t
			} else {
				h.NotAfter = t
			}
		case tlvContent:
			if len(value) != 2 {
				return true, badField(kind)
			}
			if v := binary.BigEndian.Uint16(value); v != contentFormat {
				return true, fmt.Errorf("%w: content format %d", ErrVersion, v)
			}
		case tlvPolicy:
			if len(value) != 4 {
				return true, badField(kind)
			}
			h.Policy = binary.BigEndian.Uint32(value)
		case tlvSenderHint:
			h.SenderHint = string(value)
		case tlvSubjectHint:
			h.SubjectHint = string(value)
		default:
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return Header{}, err
	}
	if len(required) > 0 {
		return Header{}, fmt.Errorf("%w: a required field is missing", ErrFormat)
	}
	return h, h.Check()
}

// appendSlot appends RH, the TLVs of one recipient's header.
func appendSlot(b []byte, id SlotID, hint string) []byte {
	b = appendTLV(b, tlvSlotID, id[:])
	if hint != "" {
		b = appendTLV(b, tlvSlotHint, hint)
	}
	return b
}

// parseSlot reads RH.
func parseSlot(rh []byte) (id SlotID, hint string, err error) {
	found := false
	err = eachTLV(rh, func(kind uint16, value []byte) (bool, error) {
		switch kind {
		case tlvSlotID:
			if len(value) != len(id) {
				return true, badField(kind)
			}
			id, found = SlotID(value), true
		case tlvSlotHint:
			hint = string(value)
			return true, checkHint("recipient hint", hint)
		default:
			return false, nil
		}
		return true, nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: no slot id", ErrFormat)
	}
	return id, hint, err
}

func badField(kind uint16) error {
	return fmt.Errorf("%w: field %04x has a wrong length or value", ErrFormat, kind)
}
