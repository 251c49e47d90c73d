package envelope_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pli-mail/pli/envelope"
)

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := envelope.Secret(draw("printed", 32))
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "s", s)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "s", &s, "slot", envelope.Slot{S: s, E: s})
	text := fmt.Sprintf("%v %+v %#v %s %q %x %X %d %v %+v", s, s, s, s, s, s, s, s, &s, envelope.KeyFileSlot{S: s}) + logged.String()
	for _, leak := range []string{s.Base64(), fmt.Sprintf("%x", s[:4]), fmt.Sprint(s[0], s[1], s[2])} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(leak)) {
			t.Errorf("%q is in %s", leak, text)
		}
	}
	if _, err := json.Marshal(s); err == nil {
		t.Error("a secret was encoded as JSON")
	}
	back, err := envelope.ParseSecret(s.Base64())
	if err != nil || back != s {
		t.Errorf("ParseSecret(Base64()) = %v, %v", back, err)
	}
	// The last character of 43 has two bits that mean nothing; only zeros are read.
	loose := s.Base64()[:42] + "_"
	if _, err := envelope.ParseSecret(loose); !errors.Is(err, envelope.ErrFormat) || strings.Contains(err.Error(), loose) {
		t.Errorf("ParseSecret of a second spelling: %v", err)
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	id := envelope.SlotID(draw("id", 16))
	if back, err := envelope.ParseSlotID(id.String()); err != nil || back != id {
		t.Errorf("ParseSlotID = %v, %v", back, err)
	}
	for _, s := range []string{"", "00", strings.ToUpper(id.String()) + "", id.String() + "0", strings.Repeat("g", 32), strings.Repeat("A", 32)} {
		if _, err := envelope.ParseMessageID(s); !errors.Is(err, envelope.ErrFormat) {
			t.Errorf("ParseMessageID(%q): %v", s, err)
		}
	}
}

// TestDerive compares with crypto/hkdf.
func TestDerive(t *testing.T) {
	t.Parallel()
	for i := range 50 {
		key, salt, info := draw(fmt.Sprint("key", i), 1+i), draw(fmt.Sprint("salt", i), i), draw(fmt.Sprint("info", i), 2*i)
		got := make([]byte, 1+i*2)
		envelope.Derive(got, key, salt, info[:i], info[i:])
		want, err := hkdf.Key(sha512.New, key, salt, string(info), len(got))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Derive %d: %x, want %x (%v)", i, got, want, err)
		}
		prk := draw("prk", 64)
		envelope.Expand(got, prk, info)
		want, err = hkdf.Expand(sha512.New, prk, string(info), len(got))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Expand %d: %x, want %x (%v)", i, got, want, err)
		}
	}
}

// TestAT01EveryBit flips every bit of a whole envelope and sees it refused,
// with the seal in the record's place so that nothing hides behind PH.
func TestAT01EveryBit(t *testing.T) {
	t.Parallel()
	f := recipe{label: "base"}.make(t, 11)
	v := vector{Limit: 1 << 20, S: f.slot.S.Base64(), E: f.slot.E.Base64()}
	(&v).sealed()
	file := f.file()
	for i := range file {
		for bit := range 8 {
			file[i] ^= 1 << bit
			v.File = base64.StdEncoding.EncodeToString(file)
			if _, _, _, _, err := v.open(); err == nil || reason(err) == "other" {
				t.Errorf("byte %d bit %d: %v", i, bit, err)
			}
			file[i] ^= 1 << bit
		}
	}
}

// TestAT03EveryLength cuts an envelope after every byte.
func TestAT03EveryLength(t *testing.T) {
	t.Parallel()
	f := recipe{label: "base"}.make(t, 11)
	v := vector{Limit: 1 << 20, S: f.slot.S.Base64(), E: f.slot.E.Base64()}
	(&v).sealed()
	file := f.file()
	for n := 1; n < len(file); n++ {
		v.File = base64.StdEncoding.EncodeToString(file[:n])
		if _, _, _, _, err := v.open(); err == nil || reason(err) == "other" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestAT10Memory sees that lengths of gigabytes are refused without taking memory.
func TestAT10Memory(t *testing.T) {
	f := recipe{label: "base"}.make(t, 11)
	file := f.file()
	claims := [][]byte{}
	for _, at := range []int{12, 16 + 2, 16 + len(f.sealer.MH()), len(f.head(0)) - 8, len(f.head(0)) - 4} {
		b := bytes.Clone(file)
		copy(b[at:], "\xff\xff\xff\xff")
		claims = append(claims, b)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for _, b := range claims {
		if _, err := envelope.Parse(bytes.NewReader(b), 1<<20); err == nil {
			t.Error("accepted")
		}
	}
	if took := time.Since(start); took > 10*time.Millisecond*time.Duration(len(claims)) {
		t.Errorf("refusing took %v", took)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("refusing took %d bytes", n)
	}
}

func TestSealChecksLength(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    int
		want string
	}{{0, "shorter"}, {99, "shorter"}, {101, "longer"}, {40000, "longer"}} {
		s, err := envelope.NewSealer(benchHeader())
		if err != nil {
			t.Fatal(err)
		}
		m, _ := testMessage(100)
		_, err = s.Seal(io.Discard, m, strings.NewReader(strings.Repeat("a", c.n)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d bytes for 100: %v", c.n, err)
		}
		if _, err := s.Seal(io.Discard, m, strings.NewReader(strings.Repeat("a", 100))); err == nil {
			t.Error("a sealer sealed twice")
		}
	}
}

func TestSealPassesErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	m, message := testMessage(40000)
	s, _ := envelope.NewSealer(benchHeader())
	if _, err := s.Seal(io.Discard, m, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("from the reader: %v", err)
	}
	for _, after := range []int64{0, 20, 56, 56 + 16400} {
		s, _ := envelope.NewSealer(benchHeader())
		if _, err := s.Seal(&brokenWriter{after, broken}, m, bytes.NewReader(message)); !errors.Is(err, broken) {
			t.Errorf("from the writer after %d: %v", after, err)
		}
	}
}

type brokenWriter struct {
	left int64
	err  error
}

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left -= int64(len(b)); w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

// TestRoundTrip seals with real randomness and reads through slow readers.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3700, 16384, 16384 * 3, 100000} {
		m, message := testMessage(n)
		s, err := envelope.NewSealer(benchHeader())
		if err != nil {
			t.Fatal(err)
		}
		var payload, armored bytes.Buffer
		p, err := s.Seal(&payload, m, iotest.HalfReader(bytes.NewReader(message)))
		if err != nil {
			t.Fatal(err)
		}
		slot, err := s.NewSlot("")
		if err != nil {
			t.Fatal(err)
		}
		seal := envelope.Sign(testSealKey, s.HH(), p.Hash)
		a := envelope.NewArmorWriter(&armored)
		if _, err := io.Copy(struct{ io.Writer }{a}, io.MultiReader(bytes.NewReader(envelope.Head(s.MH(), slot.RH, slot.Wrap, seal, p.Size)), iotest.HalfReader(&payload))); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		for name, slow := range map[string]func(io.Reader) io.Reader{"one byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader, "half": iotest.HalfReader} {
			if got, err := openBinary(slow(bytes.NewReader(armored.Bytes())), slot, &envelope.Record{HH: s.HH(), PH: p.Hash}); err != nil || got != int64(n) {
				t.Errorf("%d bytes, %s: %d, %v", n, name, got, err)
			}
		}
	}
}

// TestArmorIsBase64 compares the armor's own encoder with encoding/base64, for
// every length around the line length and pieces of every size.
func TestArmorIsBase64(t *testing.T) {
	t.Parallel()
	data := draw("armor", 3*57*130)
	for n := range 4 * 57 {
		for _, piece := range []int{1, 7, 57, 64, 10000} {
			checkArmor(t, data[:n], piece)
		}
	}
	checkArmor(t, data, 1000)
	checkArmor(t, data, len(data))
}

func checkArmor(t *testing.T, data []byte, piece int) {
	t.Helper()
	var got bytes.Buffer
	w := envelope.NewArmorWriter(&got)
	for b := data; len(b) > 0; b = b[min(piece, len(b)):] {
		if n, err := w.Write(b[:min(piece, len(b))]); err != nil || n != min(piece, len(b)) {
			t.Fatal(n, err)
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(data)
	want := "-----BEGIN PLI ENVELOPE-----\n"
	for ; text != ""; text = text[min(76, len(text)):] {
		want += text[:min(76, len(text))] + "\n"
	}
	if want += "-----END PLI ENVELOPE-----\n"; got.String() != want {
		t.Fatalf("%d bytes in pieces of %d: wrong armor", len(data), piece)
	}
	payload, _, err := envelope.FindArmor(strings.NewReader("text\n" + want))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(payload); err != nil || !bytes.Equal(back, data) {
		t.Fatalf("%d bytes read back as %d: %v", len(data), len(back), err)
	}
}

// TestAT11Altered wants words that a person can act on.
func TestAT11Altered(t *testing.T) {
	t.Parallel()
	found := 0
	for _, v := range loadVectors(t) {
		if !strings.Contains(v.Name, "-qp") {
			continue
		}
		found++
		if _, _, _, _, err := v.open(); err == nil || !strings.Contains(err.Error(), "quoted-printable") {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if found < 3 {
		t.Errorf("found %d cases", found)
	}
}

func TestPadding(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]int64{{0, 4096}, {4096, 4096}, {4097, 4352}, {16384, 16384}, {16385, 17408}, {1 << 30, 1 << 30}} {
		if got := envelope.Padded(c[0]); got != c[1] {
			t.Errorf("padded(%d) = %d, want %d", c[0], got, c[1])
		}
	}
	for n := int64(4096); n < 1<<40; n += n/7 + 1 {
		if p := envelope.Padded(n); p < n || float64(p) > 1.12*float64(n) {
			t.Fatalf("padded(%d) = %d", n, p)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	k := envelope.KeyFile{SealKey: draw("public", 32), Slots: []envelope.KeyFileSlot{
		{Slot: envelope.SlotID(draw("a", 16)), Address: "bob@x.example", S: envelope.Secret(draw("sa", 32))},
		{Slot: envelope.SlotID(draw("b", 16)), Address: "zoé@x.example", S: envelope.Secret(draw("sb", 32))},
	}}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var back envelope.KeyFile
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if got, ok := back.Find(k.Slots[1].Slot); !ok || got != k.Slots[1] || !bytes.Equal(back.SealKey, k.SealKey) {
		t.Errorf("read back %v", got)
	}
	if _, ok := back.Find(envelope.SlotID{}); ok {
		t.Error("found a slot that is not there")
	}
	for _, bad := range badKeyFiles(string(text)) {
		var k envelope.KeyFile
		if err := json.Unmarshal([]byte(bad), &k); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func badKeyFiles(good string) []string {
	out := []string{"", "null", "[]", "{}", `{"seal_key":"","slots":[]}`, good + "x"}
	for _, c := range [][2]string{
		{`"seal_key"`, `"Seal_key"`}, {`"slots"`, `"more":1,"slots"`}, {`"s":`, `"S":`}, {`"s":`, `"s":"","s":`},
		{`"address"`, `"slot":"00","address"`}, {`"slot": "`, `"slot": "A`}, {`"s": "`, `"s": "A`}, {`"seal_key": "`, `"seal_key": "A`},
	} {
		out = append(out, strings.Replace(good, c[0], c[1], 1))
	}
	return append(out, `{"seal_key":"`+strings.Repeat("A", 43)+`","slots":[`+strings.Repeat(`{"slot":"`+strings.Repeat("0", 32)+`","address":"","s":"`+strings.Repeat("A", 43)+`"},`, 1)+`{"slot":"`+strings.Repeat("0", 32)+`","address":"","s":"`+strings.Repeat("A", 43)+`"}]}`)
}

func TestManifestChecks(t *testing.T) {
	t.Parallel()
	m, _ := testMessage(100)
	m.Parts[0].Name = "a/b"
	s, _ := envelope.NewSealer(benchHeader())
	if _, err := s.Seal(io.Discard, m, strings.NewReader("")); !errors.Is(err, envelope.ErrFormat) {
		t.Errorf("sealed a bad manifest: %v", err)
	}
	m, _ = testMessage(100)
	m.To = make([]envelope.Mailbox, 300000)
	s, _ = envelope.NewSealer(benchHeader())
	if _, err := s.Seal(io.Discard, m, strings.NewReader("")); !errors.Is(err, envelope.ErrTooLarge) {
		t.Errorf("sealed a manifest of megabytes: %v", err)
	}
}
