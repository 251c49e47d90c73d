package envelope_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
)

func (s *vectors) headers() {
	f := s.base
	file := f.file()
	mh, rh := len(f.sealer.MH()), len(f.slot.RH)
	set := func(name, reason, comment string, at int, value ...byte) {
		b := bytes.Clone(file)
		copy(b[at:], value)
		s.reject("reject-"+name, reason, comment, f, b, "AT-10")
	}
	set("magic", "format", "the first byte of the magic", 0, 0x88)
	set("magic-crlf", "format", "CR LF in the magic became LF LF", 5, 0x0a)
	set("version", "version", "version 2", 8, 2)
	set("version-zero", "version", "version 0", 8, 0)
	set("suite", "version", "suite 2", 9, 2)
	set("flags-high", "version", "a flag", 10, 0x80)
	set("flags-low", "version", "a flag", 11, 1)
	set("mh-4gib", "format", "a message header of 4 GiB", 12, 0xff, 0xff, 0xff, 0xff)
	set("mh-65537", "format", "a message header of 65537 bytes", 12, 0, 1, 0, 1)
	set("mh-shorter", "format", "mh_len is one less than MH", 12, 0, 0, 0, byte(mh-1))
	set("mh-zero", "format", "an empty message header", 12, 0, 0, 0, 0)
	set("rh-4gib", "format", "a recipient header of 4 GiB", 16+mh, 0xff, 0xff, 0xff, 0xff)
	set("rh-65537", "format", "a recipient header of 65537 bytes", 16+mh, 0, 1, 0, 1)
	set("rh-zero", "format", "an empty recipient header", 16+mh, 0, 0, 0, 0)
	payLen := 20 + mh + rh + 48 + 64
	set("payload-4gib", "too-large", "pay_len is 4 GiB", payLen, 0, 0, 0, 1, 0, 0, 0, 0)
	set("payload-2to64", "too-large", "pay_len is 2^64-1", payLen, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	set("payload-2to63", "too-large", "pay_len is negative where it is read as signed", payLen, 0x80)
	set("payload-zero", "altered", "pay_len is 0", payLen, 0, 0, 0, 0, 0, 0, 0, 0)
	set("payload-71", "altered", "pay_len leaves no room for one chunk", payLen, 0, 0, 0, 0, 0, 0, 0, 71)
	v := s.reject("reject-over-limit", "too-large", "the payload is one byte larger than the opener's limit", f, file, "AT-10", "AT-14")
	v.Limit = int64(len(f.payload)) - 1
	v = s.accept("accept-at-limit", "the payload is exactly as large as the opener's limit", f, file)
	v.Limit = int64(len(f.payload))

	s.flips(file)
	s.fields()
	s.origins()

	full := recipe{label: "full header", header: func(h *envelope.Header) {
		h.Origin, h.Policy = "https://keys.mail.example:8443", envelope.PolicyServerMayOpen
		h.SenderHint, h.SubjectHint = "Zoë Example", "Facture n° 7"
		h.NotAfter = h.SealedAt.Add(90 * 24 * time.Hour)
	}}.make(s.t, 11)
	s.accept("accept-all-fields", "every field of the message header", full, full.file())
	trial := recipe{label: "trial", header: func(h *envelope.Header) { h.Origin = "http://localhost:8080" }}.make(s.t, 11)
	s.accept("accept-localhost", "a trial's key server", trial, trial.file())
}

// flips are one flipped bit in type, length and value of every field.
func (s *vectors) flips(file []byte) {
	f := s.base
	reasons := func(b []byte) string {
		v := vector{File: base64.StdEncoding.EncodeToString(b), Limit: 1 << 20, S: f.slot.S.Base64(), E: f.slot.E.Base64(),
			Record: &vectorRecord{hex.EncodeToString(f.hh[:]), hex.EncodeToString(f.ph[:])}}
		_, _, _, _, err := v.open()
		if err == nil {
			s.t.Fatal("a flipped bit in the head was accepted")
		}
		return reason(err)
	}
	for _, h := range []struct {
		name string
		at   int
		tlvs []byte
	}{{"mh", 16, f.sealer.MH()}, {"rh", 20 + len(f.sealer.MH()), f.slot.RH}} {
		for i := 0; i < len(h.tlvs); {
			n := 6 + int(binary.BigEndian.Uint32(h.tlvs[i+2:]))
			for _, at := range []int{0, 1, 5, 6, n - 1} {
				b := bytes.Clone(file)
				b[h.at+i+at] ^= 1
				kind := binary.BigEndian.Uint16(h.tlvs[i:])
				s.reject(fmt.Sprintf("reject-%s-%04x-flipped-%d", h.name, kind, at), reasons(b), fmt.Sprintf("the lowest bit of byte %d of field %04x", at, kind), f, b, "AT-01")
			}
			i += n
		}
	}
}

// fields are headers of wrong fields, sealed as if they were right.
func (s *vectors) fields() {
	tlv := envelope.AppendTLV
	u64 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	header := func(outcome, name, reason, comment string, change func([]byte) []byte) {
		f := recipe{label: name, mh: change}.make(s.t, 11)
		if outcome == "accept" {
			s.accept("accept-"+name, comment, f, f.file())
		} else {
			s.reject("reject-"+name, reason, comment, f, f.file(), "AT-10")
		}
	}
	add := func(kind uint16, value []byte) func([]byte) []byte {
		return func(mh []byte) []byte { return tlv(mh, kind, value) }
	}
	header("accept", "unknown-field", "", "an unknown field that is not critical", add(0x0777, []byte("later")))
	header("reject", "critical-field", "version", "an unknown critical field", add(0x8777, []byte("later")))
	header("reject", "field-twice", "format", "a field given twice", func(mh []byte) []byte { return tlv(tlv(mh, 0x0777, nil), 0x0777, nil) })
	header("reject", "field-twice-critical", "format", "a field given twice, critical and not", func(mh []byte) []byte { return tlv(mh, 0x0005, []byte{0, 0, 0, 0}) })
	header("reject", "fields-unsorted", "format", "two fields out of order", func(mh []byte) []byte { return tlv(tlv(mh, 0x0778, nil), 0x0777, nil) })
	header("reject", "field-length-4gib", "format", "a field of 4 GiB", func(mh []byte) []byte { return append(mh, 0x07, 0x77, 0xff, 0xff, 0xff, 0xff) })
	header("reject", "field-length-over", "format", "a field one byte longer than its header", func(mh []byte) []byte { return append(mh, 0x07, 0x77, 0, 0, 0, 2, 0) })
	header("reject", "field-cut", "format", "half a field at the end", func(mh []byte) []byte { return append(mh, 0x07, 0x77, 0) })
	header("reject", "not-after-short", "format", "a not-after hint of four bytes", add(0x0012, []byte{1, 2, 3, 4}))
	header("reject", "not-after-range", "format", "a not-after hint beyond the year 9999", add(0x0012, u64(253402300800)))
	header("reject", "sender-hint-utf8", "format", "a sender hint that is not UTF-8", add(0x0010, []byte{0xff}))
	header("reject", "sender-hint-control", "format", "an escape sequence in the sender hint", add(0x0010, []byte("\x1b[2J")))
	header("reject", "subject-hint-long", "format", "a subject hint of 1025 bytes", add(0x0011, []byte(strings.Repeat("a", 1025))))

	// A list of fields with one missing or replaced.
	base := func(mh []byte, change func(kind uint16, value []byte) []byte) []byte {
		var out []byte
		for len(mh) > 0 {
			kind, n := binary.BigEndian.Uint16(mh), int(binary.BigEndian.Uint32(mh[2:]))
			out = append(out, change(kind, mh[6:6+n])...)
			mh = mh[6+n:]
		}
		return out
	}
	for kind := uint16(0x8001); kind <= 0x8005; kind++ {
		header("reject", fmt.Sprintf("without-%04x", kind), "format", fmt.Sprintf("required field %04x is missing", kind), func(mh []byte) []byte {
			return base(mh, func(k uint16, v []byte) []byte {
				if k == kind {
					return nil
				}
				return tlv(nil, k, v)
			})
		})
	}
	replace := func(name, reason, comment string, kind uint16, value []byte) {
		header("reject", name, reason, comment, func(mh []byte) []byte {
			return base(mh, func(k uint16, v []byte) []byte {
				if k == kind {
					v = value
				}
				return tlv(nil, k, v)
			})
		})
	}
	replace("message-id-short", "format", "a message id of 15 bytes", 0x8001, make([]byte, 15))
	replace("message-id-zero", "format", "a message id of zeros", 0x8001, make([]byte, 16))
	replace("sealed-at-range", "format", "sealed beyond the year 9999", 0x8003, u64(1<<63))
	replace("content-format", "version", "content format 2", 0x8004, []byte{0, 2})
	replace("content-format-long", "format", "a content format of four bytes", 0x8004, []byte{0, 0, 0, 1})
	replace("policy-bit", "version", "an unknown policy bit", 0x8005, []byte{0, 0, 0, 2})
	replace("policy-high-bit", "version", "an unknown policy bit", 0x8005, []byte{0x80, 0, 0, 1})

	slot := func(outcome, name, reason, comment string, change func(envelope.SlotID, []byte) []byte) {
		f := recipe{label: name, rh: change}.make(s.t, 11)
		if outcome == "accept" {
			s.accept("accept-"+name, comment, f, f.file())
		} else {
			s.reject("reject-"+name, reason, comment, f, f.file(), "AT-10")
		}
	}
	slot("accept", "slot-unknown-field", "", "an unknown field of the recipient header that is not critical", func(_ envelope.SlotID, rh []byte) []byte { return tlv(rh, 0x0777, []byte("later")) })
	slot("accept", "slot-no-hint", "", "no recipient hint", func(id envelope.SlotID, _ []byte) []byte { return envelope.SlotTLVs(id, "") })
	slot("reject", "slot-critical-field", "version", "an unknown critical field of the recipient header", func(_ envelope.SlotID, rh []byte) []byte { return tlv(rh, 0x8777, nil) })
	slot("reject", "slot-id-short", "format", "a slot id of 15 bytes", func(id envelope.SlotID, _ []byte) []byte { return tlv(nil, 0x8101, id[:15]) })
	slot("reject", "slot-hint-control", "format", "a line break in the recipient hint", func(id envelope.SlotID, rh []byte) []byte { return envelope.SlotTLVs(id, "a\nb") })
	slot("reject", "slot-unsorted", "format", "the hint before the slot id", func(id envelope.SlotID, _ []byte) []byte {
		return tlv(tlv(nil, 0x0110, []byte("b***")), 0x8101, id[:])
	})
	slot("reject", "slot-in-header", "version", "a message header's field in the recipient header", func(_ envelope.SlotID, rh []byte) []byte {
		return append(tlv(nil, 0x8001, make([]byte, 16)), rh...)
	})
}

func (s *vectors) origins() {
	for name, origin := range map[string]string{
		"http": "http://keys.example", "path": "https://keys.example/", "upper": "https://Keys.example", "empty-host": "https://",
		"user": "https://a@keys.example", "query": "https://keys.example?x", "port-zero": "https://keys.example:0",
		"port-large": "https://keys.example:65536", "port-default": "https://keys.example:443", "port-empty": "https://keys.example:",
		"port-leading-zero": "https://keys.example:0443", "unicode": "https://clés.example", "dot": "https://keys.example.", "dots": "https://keys..example",
		"hyphen": "https://-keys.example", "space": "https://keys.example ", "newline": "https://keys.example\n", "localhost-like": "http://localhost.example",
		"label-64": "https://" + strings.Repeat("a", 64) + ".example", "script": "javascript:alert(1)", "empty": "",
	} {
		f := recipe{label: "origin", header: func(h *envelope.Header) { h.Origin = origin }}.make(s.t, 11)
		s.reject("reject-origin-"+name, "format", fmt.Sprintf("the key server is given as %q", origin), f, f.file(), "AT-12")
	}
}

// contents are payloads that decrypt to something else than content.
func (s *vectors) contents() {
	content := func(name, reason, comment string, make func(m *envelope.Manifest, message []byte) []byte) {
		f := recipe{label: name, content: make}.make(s.t, 11)
		s.reject("reject-"+name, reason, comment, f, f.file())
	}
	text := func(m *envelope.Manifest) string { return string(envelope.ManifestText(m)) }
	content("content-empty", "format", "no content at all", func(*envelope.Manifest, []byte) []byte { return nil })
	content("content-magic", "format", "content that begins PLC2", func(m *envelope.Manifest, b []byte) []byte {
		c := raw(text(m), b)
		c[3] = '2'
		return c
	})
	content("content-short", "format", "the message is one byte shorter than its manifest says", func(m *envelope.Manifest, b []byte) []byte {
		return raw(text(m), b[:len(b)-1])
	})
	content("content-padding", "format", "a byte of padding is not zero", func(m *envelope.Manifest, b []byte) []byte {
		return append(raw(text(m), b), 0, 0, 1)
	})
	content("manifest-length-over", "format", "the manifest is longer than the content", func(m *envelope.Manifest, b []byte) []byte {
		c := raw(text(m), b)
		binary.BigEndian.PutUint32(c[4:], uint32(len(c)))
		return c
	})
	content("manifest-length-4gib", "format", "a manifest of 4 GiB", func(m *envelope.Manifest, b []byte) []byte {
		c := raw(text(m), b)
		binary.BigEndian.PutUint32(c[4:], 1<<32-1)
		return c
	})
	content("manifest-empty", "format", "a manifest of no bytes", func(m *envelope.Manifest, b []byte) []byte { return raw("", b) })
}

func (s *vectors) manifests() {
	accept := func(name, comment string, change func(m *envelope.Manifest, message []byte)) {
		f := recipe{label: name, change: change}.make(s.t, 120)
		s.accept("accept-"+name, comment, f, f.file())
	}
	accept("manifest-parts", "one part of each encoding, decoded as section 3 says", partsOfEachEncoding)
	accept("manifest-odd", "an unusual message with nothing but reasons", func(m *envelope.Manifest, _ []byte) {
		*m = envelope.Manifest{Length: m.Length, Unusual: []string{"no-header", "depth"}}
	})
	accept("manifest-escapes", "text that JSON writers spell differently", func(m *envelope.Manifest, _ []byte) {
		m.Subject = "\"\\/<>&'\b\f\n\r\t\x01\x1f\x7f\u0080\u2028\u2029\ufeff\U0001f4e7"
	})

	// The text of a plain manifest, changed; {"length":11,"subject":…
	change := func(name, comment, old, new string) {
		f := recipe{label: name, content: func(m *envelope.Manifest, message []byte) []byte {
			text := string(envelope.ManifestText(m))
			if !strings.Contains(text, old) {
				s.t.Fatalf("%s: %q is not in %s", name, old, text)
			}
			return raw(strings.Replace(text, old, new, 1), message)
		}}.make(s.t, 11)
		s.reject("reject-manifest-"+name, "format", comment, f, f.file())
	}
	change("twice", "a name given twice", `"length":11,`, `"length":12,"length":11,`)
	change("twice-same", "a name given twice with one value", `"length":11,`, `"length":11,"length":11,`)
	change("unknown", "an unknown name", `"length":11,`, `"length":11,"color":1,`)
	change("proto", "a name that means something to some languages", `"length":11,`, `"length":11,"__proto__":{},`)
	change("case", "a name in another case", `"subject"`, `"Subject"`)
	change("order", "names in another order", `"charset":"utf-8","role":"text"`, `"role":"text","charset":"utf-8"`)
	change("space", "white space", `"length":11`, `"length": 11`)
	change("escape", "an escape that is not needed", `"alice@`, `"\u0061lice@`)
	change("slash", "an escaped slash", `text/plain`, `text\/plain`)
	change("surrogate", "half a surrogate pair", `"alice@`, `"\ud800alice@`)
	change("utf8", "bytes that are not UTF-8", `"alice@`, "\"\xffalice@")
	change("bom", "a byte order mark", `{"length"`, "\ufeff"+`{"length"`)
	change("trailing", "something behind the object", `}]}`, `}]}{}`)
	change("cut", "the end is missing", `}]}`, `}]`)
	change("exponent", "a number with an exponent", `"length":11,`, `"length":11e0,`)
	change("fraction", "a number with a fraction", `"length":11,`, `"length":11.0,`)
	change("negative", "a negative length", `"length":11,`, `"length":-11,`)
	change("minus-zero", "minus zero", `"offset":0`, `"offset":-0`)
	change("number-large", "a number that not every reader keeps", `"length":11,`, `"length":9007199254740993,`)
	change("number-text", "a number in quotes", `"length":11,`, `"length":"11",`)
	change("null", "null for a list", `"parts":[`, `"cc":null,"parts":[`)
	change("null-from", "null for the senders", `"from":[{"name":"Alice Example","address":"alice@corp.example"}]`, `"from":null`)
	change("empty-list", "an optional list that is empty", `"date"`, `"cc":[],"date"`)
	change("empty-text", "an optional text that is empty", `"charset":"utf-8"`, `"charset":""`)
	change("missing", "a required name is missing", `"subject":"Été à Genève",`, ``)
	change("array", "an array", `{"length"`, `[{"length"`)
	change("date", "a date that is not RFC 3339", `2026-11-02T09:30:00+01:00`, `2 Nov 2026 09:30:00 +0100`)
	change("encoding", "an unknown encoding", `"identity"`, `"uuencode"`)
	change("role", "an unknown role", `"role":"text"`, `"role":"script"`)
	change("type-upper", "a media type with upper case", `text/plain`, `Text/plain`)
	change("type-parameter", "a media type with a parameter", `text/plain`, `text/plain; a=b`)
	change("type-bare", "half a media type", `text/plain`, `text`)
	change("charset", "a charset that is not a token", `"utf-8"`, `"utf 8"`)
	change("name-path", "a file name with a path", `"role":"text"`, `"role":"text","name":"../x"`)
	change("name-control", "a file name with a control character", `"role":"text"`, `"role":"text","name":"a\u0001"`)
	change("digest-upper", "a digest in upper case", `"sha256":"`, `"sha256":"A`)
	change("identity-size", "an identity part that changes its size", `"size":11`, `"size":10`)
	change("part-overrun", "a part that runs over the end of the message", `"offset":0,`, `"offset":1,`)
	change("part-far", "a part whose end overflows", `"offset":0,`, `"offset":9007199254740991,`)

	f := recipe{label: "overlap", change: func(m *envelope.Manifest, _ []byte) { m.Parts = append(m.Parts, m.Parts[0]) }}.make(s.t, 11)
	s.reject("reject-manifest-overlap", "format", "two parts over the same bytes", f, f.file())
	many := func(n int) *fixture {
		return recipe{label: fmt.Sprint("parts ", n), change: func(m *envelope.Manifest, _ []byte) {
			sum := sha256.Sum256(nil)
			m.Parts = make([]envelope.Part, n)
			for i := range m.Parts {
				m.Parts[i] = envelope.Part{Encoding: "identity", Type: "a/b", Role: "text", SHA256: hex.EncodeToString(sum[:])}
			}
		}}.make(s.t, 11)
	}
	f = many(1000)
	s.accept("accept-manifest-1000-parts", "as many parts as are allowed; the manifest fills nine chunks", f, f.file())
	f = many(1001)
	s.reject("reject-manifest-1001-parts", "format", "more parts than are allowed", f, f.file())
}

// partsOfEachEncoding puts five parts into message and their reading into m.
func partsOfEachEncoding(m *envelope.Manifest, message []byte) {
	clear(message)
	m.Parts = nil
	at := 0
	for _, c := range []struct{ encoding, encoded, decoded, kind, role, name string }{
		{"base64", "SGVsbG8s\r\nIHdvcmxkIQ==\r\n", "Hello, world!", "text/plain", "text", ""},
		{"base64", "SG*Vs bG8", "Hello", "application/octet-stream", "attachment", "odd.bin"},
		{"quoted-printable", "a=3Db =\r\nc  \r\n=E9=e9=4 =\n.", "a=b c\r\n\xe9\xe9=4 .", "text/html", "html", ""},
		{"identity", "as it is\r\n", "as it is\r\n", "image/png", "inline", "dot.png"},
	} {
		copy(message[at:], c.encoded)
		sum := sha256.Sum256([]byte(c.decoded))
		p := envelope.Part{Offset: int64(at), Length: int64(len(c.encoded)), Encoding: c.encoding, Type: c.kind, Role: c.role,
			Name: c.name, Size: int64(len(c.decoded)), SHA256: hex.EncodeToString(sum[:])}
		if c.role == "inline" {
			p.ID = "dot@corp.example"
		}
		m.Parts = append(m.Parts, p)
		at += len(c.encoded)
	}
	m.Unusual = []string{"bad-base64"}
}
