package envelope_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
)

// stream is endless bytes from a label: SHA-256(label || counter). It stands in
// for randomness, so that every run makes the same vectors.
type stream struct {
	label string
	n     uint64
	left  []byte
}

func (s *stream) Read(p []byte) (int, error) {
	for i := range p {
		if len(s.left) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.label), s.n))
			s.left = sum[:]
			s.n++
		}
		p[i], s.left = s.left[0], s.left[1:]
	}
	return len(p), nil
}

func draw(label string, n int) []byte {
	b := make([]byte, n)
	io.ReadFull(&stream{label: "pli vectors: " + label}, b)
	return b
}

var testSealKey = ed25519.NewKeyFromSeed(draw("seal key", 32))

// fixture is one sealed envelope, in pieces that cases damage.
type fixture struct {
	header  envelope.Header
	sealer  *envelope.Sealer
	slot    envelope.Slot
	seal    [64]byte
	hh, ph  [32]byte
	payload []byte
}

// recipe says how a fixture differs from the plain one.
type recipe struct {
	label   string // of its randomness
	header  func(*envelope.Header)
	mh      func([]byte) []byte                        // changes the message header's TLVs
	rh      func(envelope.SlotID, []byte) []byte       // changes the recipient header's TLVs
	content func(*envelope.Manifest, []byte) []byte    // all content, instead of what Seal makes
	ck      envelope.Secret                            // a known content key
	change  func(m *envelope.Manifest, message []byte) // before sealing
	padded  bool                                       // as Seal pads; the others are small
}

// testMessage is a message of n bytes and its manifest.
func testMessage(n int) (*envelope.Manifest, []byte) {
	message := bytes.Repeat([]byte("Pli keeps what it is given.\r\n"), n/29+1)[:n]
	sum := sha256.Sum256(message)
	m := &envelope.Manifest{
		Length: int64(n), Subject: "Été à Genève", Date: "2026-11-02T09:30:00+01:00",
		From: []envelope.Mailbox{{Name: "Alice Example", Address: "alice@corp.example"}},
		To:   []envelope.Mailbox{{Address: "bob@x.example"}},
		Parts: []envelope.Part{{Length: int64(n), Encoding: "identity", Type: "text/plain", Charset: "utf-8", Role: "text",
			Size: int64(n), SHA256: hex.EncodeToString(sum[:])}},
	}
	return m, message
}

func (r recipe) make(t testing.TB, n int) *fixture {
	t.Helper()
	m, message := testMessage(n)
	if r.change != nil {
		r.change(m, message)
	}
	h := envelope.Header{ID: envelope.MessageID(draw("message "+r.label, 16)), Origin: "https://keys.example", SealedAt: time.Unix(1793611800, 0)}
	if r.header != nil {
		r.header(&h)
	}
	mh := envelope.HeaderTLVs(h)
	if r.mh != nil {
		mh = r.mh(mh)
	}
	sealer, err := envelope.SealerFromTLVs(mh, h.ID, r.ck, &stream{label: "pli vectors: sealer " + r.label})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{header: h, sealer: sealer, hh: sealer.HH()}
	var payload bytes.Buffer
	var p envelope.Payload
	switch {
	case r.padded:
		p, err = sealer.Seal(&payload, m, bytes.NewReader(message))
	case r.content != nil:
		p, err = sealer.SealRaw(&payload, r.content(m, message))
	default:
		p, err = sealer.SealRaw(&payload, raw(string(envelope.ManifestText(m)), message))
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.Size != int64(payload.Len()) || p.Hash != sha256.Sum256(payload.Bytes()) {
		t.Fatalf("Seal reports %d bytes and wrote %d, or another hash", p.Size, payload.Len())
	}
	f.slot, err = sealer.SlotFromTLVs(func(id envelope.SlotID) []byte {
		rh := envelope.SlotTLVs(id, "b***@x.example")
		if r.rh != nil {
			rh = r.rh(id, rh)
		}
		return rh
	})
	if err != nil {
		t.Fatal(err)
	}
	f.payload, f.ph = payload.Bytes(), p.Hash
	f.seal = envelope.Sign(testSealKey, f.hh, f.ph)
	return f
}

func (f *fixture) head(payloadSize int64) []byte {
	return envelope.Head(f.sealer.MH(), f.slot.RH, f.slot.Wrap, f.seal, payloadSize)
}

func (f *fixture) file() []byte { return append(f.head(int64(len(f.payload))), f.payload...) }

// raw is content with any manifest text, without padding.
func raw(manifest string, rest []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PLC1"), uint32(len(manifest)))
	return append(append(b, manifest...), rest...)
}

// vectors collects the cases.
type vectors struct {
	t    testing.TB
	list []vector
	base *fixture // 11 bytes of message
}

// add adds a case that opens a file with the fixture's keys and its record.
func (s *vectors) add(name, outcome, reason, comment string, f *fixture, file []byte, cases ...string) *vector {
	s.list = append(s.list, vector{
		Name: name, Comment: comment, Cases: cases, Outcome: outcome, Reason: reason,
		File: base64.StdEncoding.EncodeToString(file), Limit: 1 << 20,
		S: f.slot.S.Base64(), E: f.slot.E.Base64(),
		Record: &vectorRecord{hex.EncodeToString(f.hh[:]), hex.EncodeToString(f.ph[:])},
	})
	return &s.list[len(s.list)-1]
}

func (s *vectors) reject(name, reason, comment string, f *fixture, file []byte, cases ...string) *vector {
	return s.add(name, "reject", reason, comment, f, file, cases...)
}

func (s *vectors) accept(name, comment string, f *fixture, file []byte, cases ...string) *vector {
	v := s.add(name, "accept", "", comment, f, file, cases...)
	e, c, message, half, err := v.open()
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	pop, ph, sum := envelope.Pop(half, e.Slot, e.HH), c.PH(), sha256.Sum256(message)
	nonce := draw("nonce", 32)
	proof := envelope.Possession(pop, nonce)
	ck := f.sealer.CK()
	v.Want = &vectorWant{
		Message: e.Header.ID.String(), Slot: e.Slot.String(), Origin: e.Header.Origin,
		SealedAt: e.Header.SealedAt.Unix(), Policy: e.Header.Policy, SenderHint: e.Header.SenderHint, Hint: e.Hint,
		E: half.Base64(), HH: hex.EncodeToString(e.HH[:]), PH: hex.EncodeToString(ph[:]), CK: hex.EncodeToString(ck[:]),
		Pop: hex.EncodeToString(pop[:]), Nonce: hex.EncodeToString(nonce), Possession: hex.EncodeToString(proof[:]),
		Manifest: string(envelope.ManifestText(c.Manifest)), MessageLength: int64(len(message)), MessageSHA256: hex.EncodeToString(sum[:]),
	}
	return v
}

// follow makes the record that of the damaged file: a key server that lies, or
// a forger who reached it. What is inside must refuse on its own.
func (v *vector) follow(ph [32]byte) { v.Record.PH = hex.EncodeToString(ph[:]) }

// sealed takes the record away and lets the seal stand for it.
func (v *vector) sealed() {
	v.Record = nil
	v.SealKey = base64.RawURLEncoding.EncodeToString(testSealKey.Public().(ed25519.PublicKey))
}

func makeVectors(t testing.TB) []vector {
	s := &vectors{t: t, base: recipe{label: "base"}.make(t, 11)}
	s.lengths()
	s.headers()
	s.altered()
	s.keys()
	s.recipients()
	s.contents()
	s.manifests()
	s.armors()
	return s.list
}

func (s *vectors) lengths() {
	for _, n := range []int{0, 11, 4096, 4097, 16383, 16384, 16385, 40000} {
		f := recipe{label: fmt.Sprint("length ", n), padded: true}.make(s.t, n)
		s.accept(fmt.Sprintf("accept-message-%d", n), fmt.Sprintf("a message of %d bytes", n), f, f.file())
	}
	for _, n := range []int{16383, 16384, 16385, 32768} {
		f := recipe{label: fmt.Sprint("content ", n), content: func(m *envelope.Manifest, message []byte) []byte {
			return append(raw(string(envelope.ManifestText(m)), message), make([]byte, n)...)[:n]
		}}.make(s.t, 100)
		s.accept(fmt.Sprintf("accept-content-%d", n), fmt.Sprintf("content of %d bytes with its padding; at a multiple of 16384 the last chunk is empty", n), f, f.file())
	}
	f := recipe{label: "no padding"}.make(s.t, 100)
	s.accept("accept-no-padding", "content without padding: sealers pad, openers do not demand it", f, f.file())
}

func (s *vectors) altered() {
	f := s.base
	file, body := f.file(), len(f.head(0))
	flip := func(i int) []byte {
		b := bytes.Clone(file)
		b[i] ^= 1
		return b
	}
	wrap := body - 8 - 64 - 48
	s.reject("reject-wrap-flipped", "wrong-key", "one bit of the wrap", f, flip(wrap+5), "AT-01")
	s.reject("reject-wrap-tag-flipped", "wrong-key", "one bit of the wrap's tag", f, flip(wrap+47), "AT-01")
	s.accept("accept-seal-flipped-with-record", "the seal does not matter where the key server's record does", f, flip(wrap+48), "AT-02")
	s.reject("reject-seal-flipped", "altered", "the seal takes the record's place and is altered", f, flip(wrap+48+63), "AT-02").sealed()
	s.accept("accept-seal", "opened with the seal in the record's place", f, file).sealed()

	// Twice each: against the true record, and against one that follows the damage.
	for _, c := range []struct {
		name, reason string
		at           int
	}{{"salt", "altered", 0}, {"commitment", "altered", 24}, {"chunk", "altered", 60}, {"tag", "altered", len(f.payload) - 1}} {
		b := flip(body + c.at)
		s.reject("reject-"+c.name+"-flipped", c.reason, "one bit of the "+c.name, f, b, "AT-01")
		s.reject("reject-"+c.name+"-flipped-on-record", c.reason, "one bit of the "+c.name+"; the record's ph is that of the altered payload", f, b, "AT-01").follow(sha256.Sum256(b[body:]))
	}

	cut := func(name string, f *fixture, payload []byte, claim int, comment string, cases ...string) {
		file := append(f.head(int64(claim)), payload...)
		s.reject(name, "altered", comment, f, file, cases...)
		if claim == len(payload) {
			s.reject(name+"-on-record", "altered", comment+"; the record's ph is that of the altered payload", f, file, cases...).follow(sha256.Sum256(payload))
		}
	}
	n := len(f.payload)
	cut("reject-truncated", f, f.payload[:n-1], n, "the last byte is missing", "AT-03")
	cut("reject-truncated-length-adjusted", f, f.payload[:n-1], n-1, "the last byte is missing and pay_len says so", "AT-03")
	cut("reject-extended", f, append(bytes.Clone(f.payload), 0), n, "a byte follows the payload", "AT-04")
	cut("reject-extended-length-adjusted", f, append(bytes.Clone(f.payload), 0), n+1, "a byte follows the payload and pay_len says so", "AT-04")
	s.reject("reject-truncated-in-head", "altered", "the file ends inside the wrap", f, file[:wrap+10], "AT-03")
	s.reject("reject-blank-file", "format", "a file of one blank", f, nil)
	s.list[len(s.list)-1].Text = " "

	full := recipe{label: "chunks", content: func(m *envelope.Manifest, message []byte) []byte {
		return append(raw(string(envelope.ManifestText(m)), message), make([]byte, 32768)...)[:32768]
	}}.make(s.t, 100)
	const chunk = 16384 + 16
	p := full.payload
	cut("reject-truncated-chunk", full, p[:56+chunk], len(p), "cut between two chunks", "AT-03")
	cut("reject-truncated-chunk-length-adjusted", full, p[:56+chunk], 56+chunk, "cut between two chunks and pay_len says so", "AT-03")
	cut("reject-last-chunk-dropped", full, p[:len(p)-16], len(p)-16, "the empty last chunk is missing and pay_len says so", "AT-03")
	swapped := bytes.Join([][]byte{p[:56], p[56+chunk : 56+2*chunk], p[56 : 56+chunk], p[56+2*chunk:]}, nil)
	cut("reject-chunks-exchanged", full, swapped, len(swapped), "two chunks changed places", "AT-05")
	twice := bytes.Join([][]byte{p[:56+chunk], p[56 : 56+chunk], p[56+chunk:]}, nil)
	cut("reject-chunk-repeated", full, twice, len(twice), "the first chunk stands twice", "AT-05")
}

func (s *vectors) keys() {
	f := s.base
	file := f.file()
	half := func(name, reason, comment, server, mail string) {
		v := s.reject("reject-"+name, reason, comment, f, file, "AT-09")
		v.S, v.E = server, mail
	}
	sText, eText := f.slot.S.Base64(), f.slot.E.Base64()
	zero := envelope.Secret{}.Base64()
	other := envelope.Secret(draw("another half", 32)).Base64()
	enc := base64.RawURLEncoding
	half("s-wrong", "wrong-key", "another server half", other, eText)
	half("e-wrong", "wrong-key", "another mail half", sText, other)
	half("halves-swapped", "wrong-key", "s and e exchanged", eText, sText)
	half("s-zero", "wrong-key", "a server half of zeros", zero, eText)
	half("e-zero", "wrong-key", "a mail half of zeros", sText, zero)
	half("s-short", "format", "a server half of 31 bytes", enc.EncodeToString(f.slot.S[:31]), eText)
	half("e-short", "format", "a mail half of 31 bytes", sText, enc.EncodeToString(f.slot.E[:31]))
	half("s-long", "format", "a server half of 33 bytes", enc.EncodeToString(append(bytes.Clone(f.slot.S[:]), 0)), eText)
	half("e-long", "format", "a mail half of 33 bytes", sText, enc.EncodeToString(append(bytes.Clone(f.slot.E[:]), 0)))
	half("s-empty", "format", "no server half", "", eText)
	shifted := append(bytes.Clone(f.slot.S[:]), f.slot.E[0])
	half("halves-shifted", "format", "the same 64 bytes, cut at 33", enc.EncodeToString(shifted), enc.EncodeToString(f.slot.E[1:]))
}

// recipients are the attacks of one who may open a message on another's.
func (s *vectors) recipients() {
	f := s.base
	other := recipe{label: "other"}.make(s.t, 11)

	mixed := append(other.head(int64(len(f.payload))), f.payload...)
	v := s.reject("reject-other-head", "altered", "the payload of one message behind the head of another; the record is that of the payload", f, mixed, "AT-06")
	v.S, v.E = other.slot.S.Base64(), other.slot.E.Base64()
	v = s.reject("reject-other-head-on-record", "altered", "the payload of one message behind the head of another; the record has both", other, mixed, "AT-06")
	v.follow(f.ph)
	sameKey := recipe{label: "other", ck: f.sealer.CK()}.make(s.t, 11)
	v = s.reject("reject-other-head-same-key", "altered", "as before, and both messages have one content key: the payload is bound to its header", sameKey, append(sameKey.head(int64(len(f.payload))), f.payload...), "AT-06")
	v.follow(f.ph)

	b, err := f.sealer.NewSlot("c***@x.example")
	if err != nil {
		s.t.Fatal(err)
	}
	toB := *f
	toB.slot = b
	s.accept("accept-second-recipient", "the same message and payload, another recipient's slot", &toB, toB.file())
	s.reject("reject-other-slot", "wrong-key", "one recipient's slot in another's envelope", f, toB.file(), "AT-08")
	crossed := toB
	crossed.slot.RH = f.slot.RH
	s.reject("reject-other-wrap", "wrong-key", "another recipient's wrap under one's own slot", f, crossed.file(), "AT-08")

	forged := recipe{label: "base", ck: f.sealer.CK(), change: func(m *envelope.Manifest, message []byte) {
		copy(message, "PAY MALLORY")
		m.Parts = nil
	}}.make(s.t, 11)
	if forged.hh != f.hh {
		s.t.Fatal("the forgery must keep the header")
	}
	forgery := append(f.head(int64(len(forged.payload))), forged.payload...)
	s.reject("reject-forged-payload", "altered", "another recipient, who knows the content key, sealed a message of their own; only ph on record tells", f, forgery, "AT-07")
	s.reject("reject-forged-payload-seal", "altered", "the same, with the seal in the record's place", f, forgery, "AT-07").sealed()
	v = s.reject("reject-other-record", "altered", "the record is that of another message", f, f.file())
	v.Record = &vectorRecord{hex.EncodeToString(other.hh[:]), hex.EncodeToString(other.ph[:])}
}

func (s *vectors) armors() {
	f := s.base
	var armored bytes.Buffer
	w := envelope.NewArmorWriter(&armored)
	w.Write(f.file())
	w.Close()
	armor := armored.String()
	begin, end := "-----BEGIN PLI ENVELOPE-----\n", "-----END PLI ENVELOPE-----\n"
	body := strings.TrimSuffix(strings.TrimPrefix(armor, begin), end)
	part := `<script type="application/x-pli-part" id="part">` + f.slot.E.Base64() + "</script>\n"
	page := func(before, armor, after string) string {
		return "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<p>An encrypted message.\n" + before +
			"<template id=\"payload\">\n" + armor + "</template>\n" + after + "<p>No button?\n"
	}
	text := func(v *vector, text string, keepE bool) {
		v.File, v.Text = "", text
		if !keepE {
			v.E = ""
		}
	}
	accept := func(name, comment, file string, keepE bool) {
		v := s.add("accept-"+name, "accept", "", comment, f, nil, "AT-11")
		text(v, file, keepE)
		list := s.list[:len(s.list)-1]
		filled := *s.accept("accept-"+name, comment, f, f.file(), "AT-11")
		v = &filled
		text(v, file, keepE)
		s.list = append(list, *v)
	}
	reject := func(name, reason, comment, file string, keepE bool) {
		text(s.reject("reject-"+name, reason, comment, f, nil, "AT-11"), file, keepE)
	}
	accept("armor", "bare armor text", armor, true)
	accept("armor-crlf", "lines end in CR LF", strings.ReplaceAll(armor, "\n", "\r\n"), true)
	accept("armor-spaces", "every line is indented and ends in blanks", strings.ReplaceAll("\n"+armor, "\n", " \t\n  "), true)
	accept("armor-one-line", "no line breaks at all", strings.ReplaceAll(armor, "\n", ""), true)
	accept("armor-blank-lines", "blank lines between all lines", strings.ReplaceAll(armor, "\n", "\n\n"), true)
	accept("armor-in-text", "text before and after", "Dear Bob,\n\n"+armor+"\nGreetings - Alice\n", true)
	accept("html", "an HTML file with its key part before the armor", page(part, armor, ""), false)
	accept("html-crlf", "the same with CR LF", strings.ReplaceAll(page(part, armor, ""), "\n", "\r\n"), false)
	spaced := strings.Replace(strings.Replace(part, `part">`, "part\">\n ", 1), "</script>", "\n</script>", 1)
	accept("html-part-spaces", "white space around the key part", page(spaced, armor, ""), false)

	reject("armor-twice", "format", "a second armor follows", armor+armor, true)
	reject("armor-second-begin", "format", "only the BEGIN line of a second armor follows, in the same line", armor+"x"+begin, true)
	reject("armor-no-end", "altered", "the END line is missing", begin+body, true)
	reject("armor-end-cut", "altered", "the END line is cut short", strings.TrimSuffix(armor, "-----\n"), true)
	reject("armor-nested", "altered", "a BEGIN line inside the armor", begin+body[:770]+begin+body[770:]+end, true)
	reject("armor-none", "format", "a file without an envelope", page(part, "", ""), false)
	reject("armor-empty", "format", "an armor without content", begin+end, true)
	reject("armor-junk", "altered", "a character that is not base64", begin+body[:100]+"*"+body[100:]+end, true)
	reject("armor-cut", "altered", "a character is missing", begin+body[:len(body)-11]+body[len(body)-10:]+end, true)
	reject("armor-line-lost", "altered", "a whole line is missing", begin+body[:len(body)-77*3]+body[len(body)-77*2:]+end, true)
	reject("armor-qp-equals", "altered", "quoted-printable was not undone: =3D", begin+strings.TrimRight(body, "=\n")+"=3D=3D\n"+end, true)
	reject("armor-qp-breaks", "altered", "quoted-printable was not undone: soft line breaks", begin+strings.ReplaceAll(body, "\n", "=\n")+end, true)
	reject("html-qp", "altered", "quoted-printable was not undone in the whole file", strings.ReplaceAll(page(part, armor, ""), "=", "=3D"), false)
	reject("html-part-behind", "format", "the key part stands behind the armor", page("", armor, part), true)
	reject("html-part-twice", "format", "two key parts", page(part+part, armor, ""), false)
	reject("html-part-short", "altered", "the key part is too short", page(strings.Replace(part, f.slot.E.Base64(), f.slot.E.Base64()[:42], 1), armor, ""), false)
	reject("html-part-open", "altered", "the key part does not end", page(strings.Replace(part, "</script>", "", 1), armor, ""), false)
	reject("html-no-part", "format", "no key part, and none from elsewhere", page("", armor, ""), false)
}
