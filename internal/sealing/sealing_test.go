package sealing_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"

	"github.com/emersion/go-smtp"
)

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// open goes the recipient's whole way: the file from the mail, possession, the
// mailed code, the release, the message.
func (h *house) open(t *testing.T, html, address string) (*envelope.Manifest, []byte) {
	t.Helper()
	bytesOf, part, err := envelope.FindArmor(strings.NewReader(html))
	if err != nil || part == nil {
		t.Fatalf("part %v, %v", part, err)
	}
	e, err := envelope.Parse(bytesOf, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	v := h.visitor(t)
	c, err := h.keys.Challenge(t.Context(), v, e.Slot)
	if err != nil {
		t.Fatal(err)
	}
	proof := envelope.Possession(envelope.Pop(part.E, e.Slot, e.HH), c.Nonce)
	ref, err := h.keys.Prove(t.Context(), v, e.Slot, proof[:])
	if err != nil {
		t.Fatal(err)
	}
	before := len(h.peer.to(address))
	if err := h.keys.SendCode(t.Context(), v, ref, address); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the code's mail", func() bool { return len(h.peer.to(address)) > before })
	code := openMail(t, h.peer.to(address)[before])
	if got := code.head.Get("Auto-Submitted"); got != "auto-generated" {
		t.Errorf("Auto-Submitted of a code is %q", got)
	}
	if got, want := code.head.Get("In-Reply-To"), "<envelope."+strings.ToLower(ref)+"@pli.example>"; got != want {
		t.Errorf("In-Reply-To of a code is %q, want %q", got, want)
	}
	token, err := h.keys.VerifyCode(t.Context(), v, ref, sixDigits.FindString(code.text))
	if err != nil {
		t.Fatal(err)
	}
	v.Session = token.Hash()
	rel, err := h.keys.Release(t.Context(), v, e.Slot)
	if err != nil {
		t.Fatal(err)
	}
	content, err := e.Open(rel.S, part.E, &envelope.Record{HH: rel.HH, PH: rel.PH})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := content.WriteMessage(&out); err != nil {
		t.Fatal(err)
	}
	key, err := h.keys.SealKey(t.Context())
	if err != nil || !envelope.VerifySeal(key, e.HH, content.PH(), e.Seal) {
		t.Errorf("the seal does not hold: %v", err)
	}
	return content.Manifest, out.Bytes()
}

// The whole road: sealed, mailed, opened, and nothing of it readable on disk or
// in the log, before or after the opening (AT-74, AT-84, AT-22).
func TestNothingReadableAtRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	const inFile = "In the attached file: potassium 4.1 mmol/l."
	r := h.request("bob@x.test", "carol@x.test", "BOB@X.TEST")
	r.Notify = true
	r.Files = files(file("results été.txt", "text/plain", strings.Repeat(inFile+"\n", 5000)), file("b.bin", "", "\x00\x01"))
	res, err := h.seal.Seal(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Refs) != 2 || res.Refs[0] == res.Refs[1] {
		t.Fatalf("%+v", res)
	}
	needles := map[string][]byte{"text": []byte("everything is fine"), "file": []byte(inFile), "subject": []byte(r.Subject), "note": []byte(r.Note),
		"file name": []byte("results"), "attachment in base64": []byte("SW4gdGhlIGF0dGFjaGVk")}
	look := func(when string) {
		t.Helper()
		h.each(t, func(name string, raw []byte) {
			for what, n := range needles {
				if bytes.Contains(raw, n) {
					t.Errorf("%s: %s is readable in %s", when, what, name)
				}
			}
		})
	}
	look("while the mails wait")
	if left := h.left(t, "spool"); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
	h.start(t)
	for _, a := range []string{"bob@x.test", "carol@x.test"} {
		eventually(t, "the mail to "+a, func() bool { return len(h.peer.to(a)) == 1 })
		m := openMail(t, h.peer.to(a)[0])
		_, part, err := envelope.FindArmor(strings.NewReader(m.file))
		if err != nil || part == nil {
			t.Fatal(part, err)
		}
		needles["E of "+a], needles["E base64url of "+a], needles["E hex of "+a] = part.E[:], []byte(part.Text()), []byte(hex.EncodeToString(part.E[:]))
		look("after the delivery")

		manifest, got := h.open(t, m.file, a)
		if manifest.Subject != r.Subject || len(manifest.Parts) != 3 || len(manifest.Unusual) != 0 {
			t.Errorf("manifest %+v", manifest)
		}
		for i, want := range []string{"", "results été.txt", "b.bin"} {
			if manifest.Parts[i].Name != want {
				t.Errorf("part %d is called %q", i, manifest.Parts[i].Name)
			}
		}
		if !bytes.Contains(got, []byte("everything is fine.\r\nAna\r\n")) {
			t.Errorf("the text did not come back:\n%.300s", got)
		}
		look("after the opening")
	}
	eventually(t, "the notices to the sender", func() bool { return len(h.peer.to("ana@example.org")) == 2 })
	for _, raw := range h.peer.to("ana@example.org") {
		if strings.Contains(raw, r.Subject) || strings.Contains(raw, "everything is fine") {
			t.Error("AT-71: a notice tells what was sealed")
		}
	}
	eventually(t, "the queue to empty", func() bool { return len(h.waiting(t)) == 0 })
	look("in the end")
}

// While a message is being taken in, what is on disk is encrypted too.
func TestNothingReadableWhileSealing(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc to see files that have no name")
	}
	h := newHouse(t, nil)
	const line = "This line must never stand on a disk.\n"
	seen := 0
	r := h.request("bob@x.test")
	r.Files = files(&sealing.File{Name: "a.txt", Reader: io.MultiReader(strings.NewReader(strings.Repeat(line, 20000)), readerFunc(func([]byte) (int, error) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return 0, err
		}
		for _, fd := range fds {
			path := filepath.Join("/proc/self/fd", fd.Name())
			target, err := os.Readlink(path)
			if err != nil || !strings.HasPrefix(target, h.dir) {
				continue
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			if strings.Contains(target, "spool") && len(raw) > 0 {
				seen++
			}
			if bytes.Contains(raw, []byte(line)) {
				t.Errorf("readable in %s", target)
			}
		}
		return 0, io.EOF
	}))})
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no scratch file was seen: nothing was tested")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestMailOfAnEnvelope(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.user(t, "jean@x.test", "fr")
	res, err := h.seal.Seal(t.Context(), h.request("bob@x.test", "jean@x.test"))
	if err != nil {
		t.Fatal(err)
	}
	h.start(t)
	eventually(t, "both mails", func() bool { return len(h.peer.to("bob@x.test")) == 1 && len(h.peer.to("jean@x.test")) == 1 })
	bob, jean := openMail(t, h.peer.to("bob@x.test")[0]), openMail(t, h.peer.to("jean@x.test")[0])
	if bob.subject != "Ana Silva (Example Health) sent you an envelope" || jean.subject != "Ana Silva (Example Health) vous a envoyé une enveloppe" {
		t.Errorf("subjects %q, %q", bob.subject, jean.subject)
	}
	if f := bob.head.Get("From"); f != `"Ana Silva (Example Health)" <ana@example.org>` || bob.head.Get("Reply-To") != "" {
		t.Errorf("From %s, Reply-To %s", f, bob.head.Get("Reply-To"))
	}
	if bob.head.Get("Auto-Submitted") != "" {
		t.Error("the mail of a person says that a program wrote it")
	}
	if !strings.HasSuffix(bob.head.Get("Message-Id"), "@pli.example>") {
		t.Errorf("Message-ID %s", bob.head.Get("Message-Id"))
	}
	ref := res.Refs[0]
	for _, s := range []string{bob.text, bob.html} {
		for _, want := range []string{origin + "/m/" + ref + "#", ref[:3] + "-" + ref[3:], "We spoke on the phone.", "Ana Silva", "Example Health", "Read Message", "bob@x.test"} {
			if !strings.Contains(s, want) {
				t.Errorf("the mail lacks %q", want)
			}
		}
		if strings.Contains(s, "jean@x.test") || strings.Contains(s, res.Refs[1]) {
			t.Error("Bob's mail names Jean")
		}
	}
	if !regexp.MustCompile(`^securedoc_\d{8}T\d{6}\.html$`).MatchString(bob.fileName) || strings.Contains(bob.file, "jean") {
		t.Errorf("file %s", bob.fileName)
	}
	if !strings.Contains(jean.file, `<html lang="fr">`) || !strings.Contains(jean.text, "Lire le message") {
		t.Error("Jean is a user and reads French")
	}
}

// A user whom another account has made at an address of this account's domain
// writes as any stranger to the domain does (AT-59).
func TestOtherAccountsDomain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	ceo := store.User{ID: id.New(), AccountID: 100043, Address: "ceo@example.org", DisplayAddress: "ceo@example.org", FirstName: "C", LastName: "Eo",
		Language: "en", TimeZone: "UTC", Theme: "auto", State: store.UserActive}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertAccount(store.Account{ID: 100043, Name: "Other", Language: "en", TimeZone: "UTC", State: store.AccountActive}); err != nil {
			return err
		}
		return tx.InsertUser(ceo, store.Password{})
	}); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	for number, want := range map[int64]string{100043: "C Eo via Other", 100042: "C Eo via Example Health"} { // their own account, and one that they are not of
		r := h.request(fmt.Sprintf("bob%d@x.test", number))
		r.Sender = sealing.Sender{UserID: ceo.ID, Address: ceo.Address, Name: "C Eo", Language: "en"}
		r.AccountID, r.AccountName = number, ""
		res, err := h.seal.Seal(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		to := r.To[0].Canonical()
		eventually(t, "the mail", func() bool { return len(h.peer.to(to)) == 1 })
		m := openMail(t, h.peer.to(to)[0])
		if f, rt := m.head.Get("From"), m.head.Get("Reply-To"); f != want+" <envelopes@pli.example>" || rt != "C Eo <ceo@example.org>" {
			t.Errorf("From %s, Reply-To %s", f, rt)
		}
		if err := h.db.View(t.Context(), func(tx *store.Tx) error {
			row, err := tx.FindMessage(res.MessageID.String())
			if row.Verified {
				t.Error("verified")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForeignSender(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	r := h.request("bob@x.test")
	r.Sender.Address, r.NoticeLang = "ana@elsewhere.test", "both"
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	eventually(t, "the mail", func() bool { return len(h.peer.to("bob@x.test")) == 1 })
	m := openMail(t, h.peer.to("bob@x.test")[0])
	if f, rt := m.head.Get("From"), m.head.Get("Reply-To"); f != "Ana Silva via Example Health <envelopes@pli.example>" || rt != "Ana Silva <ana@elsewhere.test>" {
		t.Errorf("From %s, Reply-To %s", f, rt)
	}
	if en, fr := strings.Index(m.text, "sent you an envelope"), strings.Index(m.text, "vous a envoyé"); en < 0 || fr < en {
		t.Error("both languages, the account's first")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *sealing.Config) { c.MaxFiles = 1 << 20 })
	mib := strings.Repeat("x", 1<<20)
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("p%d@x.test", i))
	}
	for name, c := range map[string]struct {
		change func(*sealing.Request)
		kind   fault.Kind
		field  string
		key    string
	}{
		"nobody":               {func(r *sealing.Request) { r.To = nil }, fault.Invalid, "to", "new.norecipient"},
		"too many":             {func(r *sealing.Request) { r.To = h.request(many...).To }, fault.Invalid, "to", "mail.seal.recipients"},
		"nothing":              {func(r *sealing.Request) { r.Text = " \n" }, fault.Invalid, "body", "new.empty"},
		"header (AT-65)":       {func(r *sealing.Request) { r.Subject = "a\r\nBcc: eve@evil.test" }, fault.Invalid, "subject", "mail.seal.character"},
		"NUL":                  {func(r *sealing.Request) { r.Note = "a\x00" }, fault.Invalid, "note", "mail.seal.character"},
		"long subject":         {func(r *sealing.Request) { r.Subject = strings.Repeat("é", 201) }, fault.Invalid, "subject", "err.long"},
		"1 MB of subject":      {func(r *sealing.Request) { r.Subject = mib }, fault.Invalid, "subject", "err.long"},
		"long note":            {func(r *sealing.Request) { r.Note = strings.Repeat("n", 501) }, fault.Invalid, "note", "err.long"},
		"past":                 {func(r *sealing.Request) { r.ExpiresAt = time.Now().Add(-time.Hour) }, fault.Invalid, "until", "exp.past"},
		"reminded in the past": {func(r *sealing.Request) { r.RemindAt = time.Now().Add(-time.Hour) }, fault.Invalid, "remind", "new.badremind"},
		"reminded after the end": {func(r *sealing.Request) {
			r.ExpiresAt, r.RemindAt = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}, fault.Invalid, "remind", "new.badremind"},
		"one file too large": {func(r *sealing.Request) { r.Files = files(file("big.bin", "", mib+"yy")) },
			fault.TooLarge, "files", "reply.toobig"},
		"together too large": {func(r *sealing.Request) { r.Files = files(file("a", "", mib), file("big.bin", "", "yy")) },
			fault.TooLarge, "files", "reply.toobig"},
		"too many files": {func(r *sealing.Request) {
			r.Files = func() (*sealing.File, error) { return file("a", "", ""), nil }
		}, fault.TooLarge, "files", "mail.seal.files"},
		"the form breaks off": {func(r *sealing.Request) {
			r.Files = files(&sealing.File{Name: "a", Reader: io.MultiReader(strings.NewReader(mib[:200000]), readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }))})
		}, fault.Internal, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.request("bob@x.test")
			c.change(&r)
			_, err := h.seal.Seal(t.Context(), r)
			f := fault.Of(err)
			if err == nil || f.Kind != c.kind {
				t.Fatalf("%v", err)
			}
			if c.field != "" && (len(f.Fields) != 1 || f.Fields[0].Name != c.field || f.Fields[0].Key != c.key) {
				t.Errorf("fields %+v", f.Fields)
			}
			if c.key == "reply.toobig" && f.Fields[0].Args["file"] != "big.bin" {
				t.Errorf("args %+v", f.Fields[0].Args)
			}
		})
	}
	h.nothingLeft(t)
}

// nothingLeft: no ciphertext, no scratch, no mail, no message.
func (h *house) nothingLeft(t *testing.T) {
	t.Helper()
	if b, s, w := h.left(t, "blobs"), h.left(t, "spool"), h.waiting(t); len(b) > 0 || len(s) > 0 || len(w) > 0 {
		t.Errorf("left: blobs %v, spool %v, mails %v", b, s, w)
	}
	rows, _, err := h.keys.Sent(t.Context(), h.ana.UserID, keyserver.SentSearch{}, "", 10)
	if err != nil || len(rows) != 0 {
		t.Errorf("%d messages, %v", len(rows), err)
	}
}

// All or nothing: a message that cannot be registered leaves no trace.
func TestRegisterFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	r := h.request("bob@x.test", "carol@x.test")
	r.Sender.UserID = "ffffffffffffffffffffffffffffffff" // refused by the foreign key, after the ciphertext was written
	if _, err := h.seal.Seal(t.Context(), r); err == nil {
		t.Fatal("no error")
	}
	h.nothingLeft(t)
	r = h.request("bob@x.test")
	r.AccountID = 7
	if _, err := h.seal.Seal(t.Context(), r); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	h.nothingLeft(t)
}

// AT-70, AT-71: the sender, and nobody else, is told of a bounce, without a
// word of what was sealed; and there is no notice about the notice.
func TestBounce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.peer.refuse = func(to string) error {
		if to == "ana@example.org" {
			return nil
		}
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	r := h.request("bob@x.test")
	res, err := h.seal.Seal(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.start(t)
	eventually(t, "the notice", func() bool { return len(h.peer.to("ana@example.org")) == 1 })
	m := openMail(t, h.peer.to("ana@example.org")[0])
	for _, want := range []string{"bob@x.test", "550 5.1.1 no such user", "/sent/" + res.MessageID.String(), res.Refs[0][:3] + "-" + res.Refs[0][3:]} {
		if !strings.Contains(strings.ReplaceAll(m.text, "\n", " "), want) {
			t.Errorf("the notice lacks %q:\n%s", want, m.text)
		}
	}
	for _, raw := range h.peer.to("ana@example.org") {
		for _, never := range []string{r.Subject, "everything is fine", r.Note} {
			if strings.Contains(raw, never) {
				t.Errorf("the notice says %q", never)
			}
		}
	}
	if m.head.Get("Auto-Submitted") != "auto-generated" || m.head.Get("From") != "Example envelopes <envelopes@pli.example>" {
		t.Errorf("%v", m.head)
	}
	detail, err := h.keys.SentDetail(t.Context(), h.ana.UserID, res.MessageID.String())
	if err != nil || detail.Bounced != 1 || detail.Recipients[0].DeliveryText != "550 5.1.1 no such user" {
		t.Errorf("%+v, %v", detail, err)
	}
}

// An account that keeps no ciphertext still has it until the mails have left.
func TestNothingKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.InsertAccount(store.Account{ID: 7, Name: "Discreet", Language: "fr", TimeZone: "UTC", State: store.AccountActive}),
			tx.SetAccountSettings(7, `{"keep_days":"0"}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	r := h.request("bob@x.test")
	r.AccountID, r.AccountName, r.ExpiresAt, r.Sender.Name = 7, "", time.Time{}, ""
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := h.keys.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	eventually(t, "the mail", func() bool { return len(h.peer.to("bob@x.test")) == 1 && len(h.waiting(t)) == 0 })
	m := openMail(t, h.peer.to("bob@x.test")[0])
	if !strings.Contains(strings.ReplaceAll(m.text, "\n", " "), "keeps no copy") || m.subject != "ana@example.org (Discreet) sent you an envelope" {
		t.Errorf("%s\n%s", m.subject, m.text)
	}
	if _, err := h.keys.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := h.left(t, "blobs"); len(left) != 0 {
		t.Errorf("kept: %v", left)
	}
	h.open(t, m.file, "bob@x.test")
}

func TestOddFiles(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	r := h.request("bob@x.test")
	r.Text = ""
	r.Files = files(
		file("../../etc/passwd", "text/plain; charset=utf-8", "a"), file(`C:\dir\b.pdf`, "application/pdf", "%PDF"), file("", "nonsense", ""),
		file("c\r\nBcc: eve@evil.test\u202egpj.exe", "message/rfc822", "From: x\r\n\r\ny"), file("d", "multipart/mixed; boundary=x", "--x--"),
		file(strings.Repeat("é", 400)+".txt", "text/plain", "e"), file("f", "application/"+strings.Repeat("x", 120), "f"))
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	eventually(t, "the mail", func() bool { return len(h.peer.to("bob@x.test")) == 1 })
	manifest, _ := h.open(t, openMail(t, h.peer.to("bob@x.test")[0]).file, "bob@x.test")
	if len(manifest.Unusual) != 0 {
		t.Errorf("unusual: %v", manifest.Unusual)
	}
	var names []string
	for _, p := range manifest.Parts[1:] {
		names = append(names, fmt.Sprintf("%.40s %s %d", p.Name, p.Type, p.Size))
	}
	want := []string{"passwd text/plain 1", "b.pdf application/pdf 4", "file application/octet-stream 0",
		"cBcc_ eve@evil.testgpj.exe application/octet-stream 12", "d application/octet-stream 5", strings.Repeat("é", 40) + " text/plain 1", "f application/octet-stream 1"}
	if strings.Join(names, "|") != strings.Join(want, "|") {
		t.Errorf("%q", names)
	}
}

// With a passphrase the mail carries E masked, in link and file, and E itself is
// nowhere; the passphrase opens it, and neither it nor what was derived is kept.
func TestPassphrase(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.start(t)
	pass, err := envelope.NewPassphrase("correct horse", "the usual")
	if err != nil {
		t.Fatal(err)
	}
	r := h.request("bob@x.test", "carol@x.test")
	r.Passphrase = &pass
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"bob@x.test", "carol@x.test"} {
		eventually(t, "the mail to "+a, func() bool { return len(h.peer.to(a)) == 1 })
		m := openMail(t, h.peer.to(a)[0])
		payload, part, err := envelope.FindArmor(strings.NewReader(m.file))
		if err != nil || part == nil || !part.Masked() || part.Hint != "the usual" || !strings.Contains(m.text, "#"+part.Text()) {
			t.Fatal(part, err)
		}
		e, err := envelope.Parse(payload, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		v := h.visitor(t)
		c, err := h.keys.Challenge(t.Context(), v, e.Slot)
		if err != nil {
			t.Fatal(err)
		}
		for try, want := range map[string]bool{"correct horse": true, "Correct horse": false, "": false} {
			half := part.Unmask(try, e.Slot)
			proof := envelope.Possession(envelope.Pop(half, e.Slot, e.HH), c.Nonce)
			if _, err := h.keys.Prove(t.Context(), v, e.Slot, proof[:]); (err == nil) != want {
				t.Errorf("%q: %v", try, err)
			}
		}
		half := part.Unmask("correct horse", e.Slot)
		h.each(t, func(name string, raw []byte) {
			for what, n := range map[string][]byte{"E": half[:], "E in base64url": []byte(half.Base64()), "the key": pass.Key[:], "the key in base64url": []byte(pass.Key.Base64())} {
				if bytes.Contains(raw, n) {
					t.Errorf("%s is readable in %s", what, name)
				}
			}
		})
	}
	r.Passphrase.Hint = strings.Repeat("h", envelope.MaxHint+1)
	if _, err := h.seal.Seal(t.Context(), r); !fault.Is(err, fault.Invalid) || fault.Of(err).Fields[0].Name != "pp_hint" {
		t.Errorf("a long hint: %v", err)
	}
}

// What the account says of its notifications: the subject, and whether the file is in the mail.
func TestNotificationSettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.start(t)
	send := func(to string, l policy.Layer) opened {
		t.Helper()
		h.set(t, l)
		if _, err := h.seal.Seal(t.Context(), h.request(to)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the mail", func() bool { return len(h.peer.to(to)) == 1 })
		return openMail(t, h.peer.to(to)[0])
	}
	if m := send("a@x.test", policy.Layer{"subject": "keep"}); m.subject != "Your results of Monday" || m.file == "" {
		t.Errorf("kept: %q", m.subject)
	}
	if m := send("b@x.test", policy.Layer{"subject": "neutral"}); strings.Contains(m.subject, "results") {
		t.Errorf("neutral: %q", m.subject)
	}
	if m := send("c@x.test", policy.Layer{"attach": "false"}); m.file != "" || !strings.Contains(m.text, "/m/") || strings.Contains(m.text, "securedoc_") {
		t.Errorf("the link alone: %d bytes of a file, %s", len(m.file), m.text)
	}
	// Where nothing is kept for the link, only the file opens.
	if m := send("d@x.test", policy.Layer{"attach": "false", "keep_days": "0"}); m.file == "" {
		t.Error("nothing opens it")
	}
}

// What bounced is written again as the account would have it now, and where the link
// does not open any more the mail carries the file.
func TestResendBySettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	var later atomic.Int64
	h.db.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	h.peer.refuse = func(to string) error {
		if strings.HasPrefix(to, "gone@") {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
		}
		return nil
	}
	h.start(t)
	h.set(t, policy.Layer{"attach": "false", "keep_days": "1", "subject": "keep"})
	slots := map[string]string{} // by recipient, and the message's id
	for _, to := range []string{"gone@a.test", "gone@b.test"} {
		sent, err := h.seal.Seal(t.Context(), h.request(to))
		if err != nil {
			t.Fatal(err)
		}
		slots[to] = sent.MessageID.String()
	}
	resend := func(from, to string) opened {
		t.Helper()
		var slot store.Slot
		eventually(t, "the bounce", func() bool {
			err := h.db.View(t.Context(), func(tx *store.Tx) error {
				list, err := tx.ListSlots(slots[from])
				if err == nil {
					slot = list[0]
				}
				return err
			})
			return err == nil && slot.Delivery == store.DeliveryBounced
		})
		act := keyserver.Act{Kind: keyserver.ActReaddress, To: mailaddr.MustParse(to)}
		if _, err := h.keys.Act(t.Context(), keyserver.Actor{UserID: h.ana.UserID, Name: "user:ana@example.org"}, act, slots[from], slot.ID); err != nil {
			t.Fatal(err)
		}
		h.box.Wake()
		eventually(t, "the mail", func() bool { return len(h.peer.to(to)) == 1 })
		return openMail(t, h.peer.to(to)[0])
	}
	if m := resend("gone@a.test", "bob@a.test"); m.subject != "Your results of Monday" || m.file != "" || !strings.Contains(m.text, "/m/") {
		t.Errorf("in time: %q, %d bytes of a file", m.subject, len(m.file))
	}
	later.Add(int64(48 * time.Hour))
	if m := resend("gone@b.test", "bob@b.test"); m.subject != "Your results of Monday" || m.file == "" {
		t.Errorf("when the link opens no more: %q, %d bytes of a file", m.subject, len(m.file))
	}
}
