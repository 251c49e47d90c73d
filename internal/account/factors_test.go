package account_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/pquerna/otp/totp"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// device is an authenticator in software (WebAuthn level 3, section 6), and the
// browser before it.
type device struct {
	t       *testing.T
	key     *ecdsa.PrivateKey
	id      []byte
	user    []byte
	count   uint32
	origin  string
	rp      string
	noCheck bool // it does not ask who its person is
}

func newDevice(t *testing.T) *device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, key: key, id: make([]byte, 16), origin: origin, rp: "pli.example.org"}
	rand.Read(d.id)
	return d
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (d *device) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// begin reads what it is asked, and returns the client's data and the authenticator's.
func (d *device) begin(kind string, options json.RawMessage, attested []byte) (client, data []byte) {
	var asked struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
			User      struct {
				ID string `json:"id"`
			} `json:"user"`
		} `json:"publicKey"`
	}
	d.must(json.Unmarshal(options, &asked))
	if asked.PublicKey.User.ID != "" {
		user, err := base64.RawURLEncoding.DecodeString(asked.PublicKey.User.ID)
		d.must(err)
		d.user = user
	}
	client, err := json.Marshal(map[string]any{"type": "webauthn." + kind, "challenge": asked.PublicKey.Challenge, "origin": d.origin, "crossOrigin": false})
	d.must(err)
	rp := sha256.Sum256([]byte(d.rp))
	flags := byte(0x01)
	if !d.noCheck {
		flags |= 0x04
	}
	if attested != nil {
		flags |= 0x40
	}
	d.count++
	data = append(rp[:], flags)
	data = binary.BigEndian.AppendUint32(data, d.count)
	return client, append(data, attested...)
}

func (d *device) create(options json.RawMessage) []byte {
	point, err := d.key.PublicKey.Bytes()
	d.must(err)
	cose, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	d.must(err)
	attested := append(make([]byte, 16), 0, byte(len(d.id)))
	attested = append(append(attested, d.id...), cose...)
	client, data := d.begin("create", options, attested)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	d.must(err)
	return d.answer(map[string]string{"clientDataJSON": b64(client), "attestationObject": b64(object)})
}

func (d *device) get(options json.RawMessage) []byte {
	client, data := d.begin("get", options, nil)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte(nil), data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	d.must(err)
	return d.answer(map[string]string{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(d.user)})
}

func (d *device) answer(response map[string]string) []byte {
	out, err := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response})
	d.must(err)
	return out
}

func (w *world) challenge(s *account.Session, add bool) json.RawMessage {
	w.Helper()
	return get[json.RawMessage](w)(w.PasskeyChallenge(w.Context(), s, add))
}

// add adds a passkey of d and returns the session that goes on with the recovery codes.
func (w *world) add(s *account.Session, d *device, name string) (*account.Session, []string) {
	w.Helper()
	out, codes, err := w.AddPasskey(w.Context(), s, name, d.create(w.challenge(s, true)))
	w.ok(err)
	out.Origin = s.Origin
	return out, codes
}

// app sets an authenticator app up and returns the session that goes on, the seed and the recovery codes.
func (w *world) app(s *account.Session) (*account.Session, string, []string) {
	w.Helper()
	w.ok(w.SetUpAuthenticator(w.Context(), s))
	seed := get[account.SetUp](w)(w.SettingUp(w.Context(), s)).Seed
	out, codes, err := w.ConfirmAuthenticator(w.Context(), s, w.code(seed))
	w.ok(err)
	out.Origin = s.Origin
	return out, seed, codes
}

func (w *world) code(seed string) string {
	w.Helper()
	return get[string](w)(totp.GenerateCode(seed, w.db.Now()))
}

func (w *world) half(address, password string) *account.Session {
	w.Helper()
	s := w.signIn(address, password)
	if s.Scope != store.ScopeSecond || s.SignedIn() || len(s.AdminOf) != 0 || s.Actor(here).Kind == account.KindUser {
		w.Fatalf("a right password gives %+v", s)
	}
	return s
}

func TestAuthenticator(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		ada := w.signIn("ada@example.org", good)
		if f := get[account.Factors](w)(w.Factors(ctx, ada)); f.Any() || f.RecoveryLeft != 0 {
			w.Fatalf("%+v", f)
		}
		w.ok(w.SetUpAuthenticator(ctx, ada))
		setUp := get[account.SetUp](w)(w.SettingUp(ctx, ada))
		if !strings.HasPrefix(setUp.URI, "otpauth://totp/Pli:ada@example.org?") || len(setUp.Seed) != 32 {
			w.Fatalf("%+v", setUp)
		}
		_, _, err := w.ConfirmAuthenticator(ctx, ada, "000000")
		w.fails(err, fault.Invalid, "second.wrong")
		if s := w.signIn("ada@example.org", good); !s.SignedIn() {
			w.Error("an app that no code confirmed counts")
		}
		before := ada
		ada, seed, codes := w.app(ada)
		w.dead(before)
		if ada.SecondAt.IsZero() || len(codes) != 10 || len(strings.ReplaceAll(codes[0], "-", "")) < 13 { // 64 bits of 5 each
			w.Fatalf("%v %q", ada.SecondAt, codes)
		}
		if l, n := last[account.FactorLetter](w.mail); n != 1 || l.What != account.FactorAuthenticatorAdded || l.Place != here {
			w.Errorf("%d letters, %+v", n, l)
		}
		w.fails(w.SetUpAuthenticator(ctx, ada), fault.Conflict, "totp.there")

		s := w.half("ada@example.org", good)
		_, err = w.ProveSecond(ctx, s, w.code(seed)) // AT-45: of the step that confirmed it
		w.fails(err, fault.Invalid, "second.wrong")
		w.pass(30 * time.Second)
		in := get[*account.Session](w)(w.ProveSecond(ctx, s, w.code(seed)))
		w.dead(s)
		if !in.SignedIn() || in.SecondAt.IsZero() || in.Method != store.MethodPassword || len(in.AdminOf) != 1 {
			w.Fatalf("%+v", in)
		}
		for _, d := range []struct {
			at   time.Duration
			want bool
		}{{30 * time.Second, true}, {90 * time.Second, false}} { // one step early, three steps late
			s := w.half("ada@example.org", good)
			early := get[string](w)(totp.GenerateCode(seed, w.db.Now().Add(d.at)))
			_, err := w.ProveSecond(ctx, s, early)
			if d.want != (err == nil) {
				w.Errorf("a code of %v from now: %v", d.at, err)
			}
		}
		w.pass(5 * time.Minute)

		// AT-45: of many at once, one is taken.
		sessions := make([]*account.Session, 4)
		for i := range sessions {
			sessions[i] = w.half("ada@example.org", good)
		}
		code := w.code(seed)
		var taken sync.Map
		var wg sync.WaitGroup
		for i, s := range sessions {
			wg.Go(func() {
				if _, err := w.ProveSecond(ctx, s, code); err == nil {
					taken.Store(i, true)
				}
			})
		}
		wg.Wait()
		n := 0
		taken.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			w.Errorf("AT-45: a code was taken %d times", n)
		}

		// Step-up: the session is what it was, under another token, and ends when it would have.
		w.pass(5 * time.Minute)
		in = get[*account.Session](w)(w.Session(ctx, in.Token))
		in.Origin = here
		again := get[*account.Session](w)(w.ProveSecond(ctx, in, w.code(seed)))
		w.dead(in)
		if !again.SignedIn() || !again.SecondAt.After(in.SecondAt) || !again.ExpiresAt.Equal(in.ExpiresAt) {
			w.Errorf("%+v", again)
		}
	})
}

// AT-50: who reads the mail, or chose a new password by it, is asked all the same.
func TestMailboxIsNotBoth(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		ada := w.signIn("ada@example.org", good)
		_, seed, codes := w.app(ada)
		w.pass(time.Minute)

		visitor := w.visit()
		w.ok(w.SendSignInCode(ctx, visitor, "ada@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		s := get[*account.Session](w)(w.SignInWithCode(ctx, visitor, l.Code, here, "test"))
		if s.Scope != store.ScopeSecond || s.Method != store.MethodCode || s.SignedIn() {
			w.Fatalf("AT-50: a mailed code gives %+v", s)
		}
		s.Origin = here
		in := get[*account.Session](w)(w.ProveSecond(ctx, s, w.code(seed)))
		if !in.SignedIn() || in.Address != "ada@example.org" || in.Method != store.MethodCode {
			w.Errorf("%+v", in)
		}

		visitor = w.visit()
		w.ok(w.SendRecoverCode(ctx, visitor, "ada@example.org", here))
		l, _ = last[account.CodeLetter](w.mail)
		s = get[*account.Session](w)(w.Recover(ctx, visitor, l.Code, better, better))
		if s.Scope != store.ScopeSecond || s.SignedIn() {
			w.Fatalf("AT-50: a new password by mail gives %+v", s)
		}
		_, err := w.ChangePassword(ctx, s, better, good, good)
		w.fails(err, fault.Unauthenticated, "sess.p")
		_, err = w.SetPassword(ctx, s, good, good)
		w.fails(err, fault.Unauthenticated, "sess.p")
		w.fails(w.RemoveAuthenticator(ctx, s), fault.Unauthenticated, "sess.p")
		w.fails(w.SetUpAuthenticator(ctx, s), fault.Unauthenticated, "sess.p")
		s.Origin = here
		if in := get[*account.Session](w)(w.ProveSecond(ctx, s, codes[3])); !in.SignedIn() {
			w.Errorf("%+v", in)
		}
		s = w.half("ada@example.org", better)
		_, err = w.ProveSecond(ctx, s, codes[3])
		w.fails(err, fault.Invalid, "recovery.wrong")
		if in := get[*account.Session](w)(w.ProveSecond(ctx, s, " "+strings.ToUpper(strings.ReplaceAll(codes[4], "-", " "))+" ")); !in.SignedIn() {
			w.Errorf("%+v", in)
		}
		if l, _ := last[account.FactorLetter](w.mail); l.What != account.FactorRecoveryUsed {
			w.Errorf("%+v", l)
		}
	})
}

// A temporary password of somebody with a second factor: that first, and then the new password.
func TestSecondBeforeNewPassword(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		s := w.signIn("lea@example.org", better)
		s.Origin = here
		_, seed, _ := w.app(s)
		_, err := w.ResetPassword(ctx, w.root, 100042, lea.ID, temp, temp)
		w.ok(err)
		w.pass(time.Minute)
		half := w.half("lea@example.org", temp)
		next := get[*account.Session](w)(w.ProveSecond(ctx, half, w.code(seed)))
		if next.Scope != store.ScopeMailbox {
			w.Fatalf("%+v", next)
		}
		next = w.reads(next)
		if next.Scope != store.ScopeSetPassword || next.SecondAt.IsZero() {
			w.Fatalf("%+v", next)
		}
		if in := get[*account.Session](w)(w.SetPassword(ctx, next, good, good)); !in.SignedIn() || in.SecondAt.IsZero() {
			w.Errorf("%+v", in)
		}
	})
}

// Wrong codes are slowed, and keep nobody out for good.
func TestWrongSecond(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		ada := w.signIn("ada@example.org", good)
		_, seed, codes := w.app(ada)
		w.pass(time.Minute)

		s := get[*account.Session](w)(w.SignIn(ctx, nil, "ada@example.org", good, faraway, "thief"))
		s.Origin = faraway
		wrong, refused := 0, 0
		for range 300 {
			_, err := w.ProveSecond(ctx, s, "000000")
			if fault.Is(err, fault.TooMany) {
				refused++
				w.pass(15 * time.Minute)
				if again, err := w.SignIn(ctx, nil, "ada@example.org", good, faraway, "thief"); err == nil {
					s = again
					s.Origin = faraway
				}
				continue
			}
			w.fails(err, fault.Invalid, "second.wrong")
			wrong++
			if wrong == 4 && refused > 0 {
				w.Errorf("refused after %d wrong ones", wrong)
			}
		}
		if refused < 100 || wrong > 200 { // in 37 hours
			w.Errorf("%d wrong codes were looked at, %d not", wrong, refused)
		}
		// AT-51: the network that she uses is not slowed; recovery codes work from a third.
		half := w.half("ada@example.org", good)
		if in := get[*account.Session](w)(w.ProveSecond(ctx, half, w.code(seed))); !in.SignedIn() {
			w.Errorf("%+v", in)
		}
		third := get[*account.Session](w)(w.SignIn(ctx, nil, "ada@example.org", good, "203.0.113.9", "hotel"))
		third.Origin = "203.0.113.9"
		if in := get[*account.Session](w)(w.ProveSecond(ctx, third, codes[0])); !in.SignedIn() {
			w.Errorf("%+v", in)
		}
	})
}

func TestPasskey(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		ada := w.signIn("ada@example.org", good)
		phone := newDevice(t)
		before := ada
		ada, codes := w.add(ada, phone, "  Phone ")
		w.dead(before)
		if len(codes) != 10 || ada.SecondAt.IsZero() {
			w.Fatalf("%q %v", codes, ada.SecondAt)
		}
		if f := get[account.Factors](w)(w.Factors(ctx, ada)); len(f.Passkeys) != 1 || f.Passkeys[0].Name != "Phone" || f.RecoveryLeft != 10 {
			w.Errorf("%+v", f)
		}
		w.pass(time.Second)
		ada, more := w.add(ada, newDevice(t), "Key")
		if more != nil {
			w.Error("a second factor gave new recovery codes")
		}
		visitor := w.visit()
		in := get[*account.Session](w)(w.SignInWithPasskey(ctx, visitor, phone.get(w.challenge(visitor, false))))
		w.dead(visitor)
		if !in.SignedIn() || in.Method != store.MethodPasskey || in.SecondAt.IsZero() || in.UserID != ada.UserID {
			w.Fatalf("%+v", in)
		}

		// In place of the code of an app; somebody else's does not do.
		lea := w.signIn("lea@example.org", better)
		theirs := newDevice(t)
		lea, _ = w.add(lea, theirs, "Lea's")
		half := w.half("ada@example.org", good)
		_, err := w.ProveWithPasskey(ctx, half, theirs.get(w.challenge(half, false)))
		w.fails(err, fault.Invalid, "passkey.other")
		if in := get[*account.Session](w)(w.ProveWithPasskey(ctx, half, phone.get(w.challenge(half, false)))); !in.SignedIn() || in.Method != store.MethodPassword {
			w.Errorf("%+v", in)
		}

		// A counter that goes back is not refused (synchronized passkeys count nothing).
		phone.count = 0
		visitor = w.visit()
		get[*account.Session](w)(w.SignInWithPasskey(ctx, visitor, phone.get(w.challenge(visitor, false))))

		f := get[account.Factors](w)(w.Factors(ctx, ada))
		w.ok(w.RenamePasskey(ctx, ada, f.Passkeys[0].ID, "Old phone"))
		w.fails(w.RenamePasskey(ctx, lea, f.Passkeys[0].ID, "Mine"), fault.NotFound, "e404.h1")
		w.ok(w.RemovePasskey(ctx, get[*account.Session](w)(w.ProveWithPasskey(ctx, lea, theirs.get(w.challenge(lea, false)))), f.Passkeys[0].ID)) // nothing of hers
		w.ok(w.RemovePasskey(ctx, ada, f.Passkeys[0].ID))
		visitor = w.visit()
		_, err = w.SignInWithPasskey(ctx, visitor, phone.get(w.challenge(visitor, false)))
		w.fails(err, fault.Invalid, "passkey.unknown")
		w.ok(w.RemovePasskey(ctx, ada, f.Passkeys[1].ID))
		if f := get[account.Factors](w)(w.Factors(ctx, ada)); f.Any() || f.RecoveryLeft != 0 {
			w.Errorf("%+v", f)
		}
		if s := w.signIn("ada@example.org", good); !s.SignedIn() {
			w.Errorf("%+v", s)
		}
	})
}

func TestPasskeyRefused(t *testing.T) { // AT-46
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		ada := w.signIn("ada@example.org", good)
		phone := newDevice(t)
		ada, _ = w.add(ada, phone, "Phone")
		them := w.signIn("lea@example.org", better)
		theirs := newDevice(t)
		w.add(them, theirs, "Theirs")

		for name, change := range map[string]func(d *device){
			"another relying party": func(d *device) { d.rp = "evil.example" },
			"another origin":        func(d *device) { d.origin = "https://evil.example" },
			"a subdomain":           func(d *device) { d.origin = "https://www.pli.example.org" },
			"nobody verified":       func(d *device) { d.noCheck = true },
			"another's credential":  func(d *device) { d.id = theirs.id },
			"another's handle":      func(d *device) { d.user = []byte(lea.ID) },
			"no handle":             func(d *device) { d.user = nil },
			"another key":           func(d *device) { d.key = newDevice(t).key },
		} {
			bad := *phone
			change(&bad)
			visitor := w.visit()
			asked := w.challenge(visitor, false)
			if _, err := w.SignInWithPasskey(ctx, visitor, bad.get(asked)); !fault.HasKey(err, "passkey.bad") {
				w.Errorf("%s: %v", name, err)
			}
			// The challenge was used up by the try.
			if _, err := w.SignInWithPasskey(ctx, visitor, phone.get(asked)); !fault.HasKey(err, "passkey.bad") {
				w.Errorf("%s: the challenge was taken again: %v", name, err)
			}
			if name == "another's handle" || name == "no handle" || name == "another's credential" {
				continue
			}
			bad = *newDevice(t)
			change(&bad)
			if name == "another key" {
				continue
			}
			if _, _, err := w.AddPasskey(ctx, ada, "Bad", bad.create(w.challenge(ada, true))); !fault.HasKey(err, "passkey.bad") {
				w.Errorf("added with %s: %v", name, err)
			}
		}

		// A challenge is taken once, by the session that asked, for what it asked, in time.
		visitor, other := w.visit(), w.visit()
		asked := w.challenge(visitor, false)
		answer := phone.get(asked)
		if _, err := w.SignInWithPasskey(ctx, other, answer); !fault.HasKey(err, "passkey.bad") {
			w.Errorf("another session: %v", err)
		}
		get[*account.Session](w)(w.SignInWithPasskey(ctx, visitor, answer))
		if _, err := w.SignInWithPasskey(ctx, visitor, answer); err == nil {
			w.Error("the answer was taken twice")
		}
		if _, err := w.SignInWithPasskey(ctx, ada, phone.get(w.challenge(ada, true))); !fault.HasKey(err, "passkey.bad") {
			w.Errorf("a challenge to add: %v", err)
		}
		visitor = w.visit()
		asked = w.challenge(visitor, false)
		w.pass(account.ChallengeLimit)
		if _, err := w.SignInWithPasskey(ctx, visitor, phone.get(asked)); !fault.HasKey(err, "passkey.bad") {
			w.Errorf("too late: %v", err)
		}
		for _, junk := range []string{"", "{}", "null", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`} {
			if _, err := w.SignInWithPasskey(ctx, visitor, []byte(junk)); !fault.HasKey(err, "passkey.bad") {
				w.Errorf("%q: %v", junk, err)
			}
		}
		// A user who may not enter does not.
		_, err := w.BlockUser(ctx, w.root, 100042, lea.ID)
		w.ok(err)
		visitor = w.visit()
		if _, err := w.SignInWithPasskey(ctx, visitor, theirs.get(w.challenge(visitor, false))); !fault.HasKey(err, "passkey.bad") {
			w.Errorf("a blocked user: %v", err)
		}
	})
}

// AT-51: a hundred wrong passwords stop passwords, not passkeys.
func TestPasskeyAfterHardStop(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		ada := w.signIn("ada@example.org", good)
		phone := newDevice(t)
		w.add(ada, phone, "Phone")
		for i := range 120 {
			w.SignIn(ctx, nil, "ada@example.org", "wrong wrong wrong", fmt.Sprintf("198.51.%d.7", i), "thief")
		}
		_, err := w.SignIn(ctx, nil, "ada@example.org", good, "203.0.113.9", "hotel")
		w.fails(err, fault.TooMany, "si.locked")
		visitor := w.visit()
		visitor.Origin = "203.0.113.9"
		if in := get[*account.Session](w)(w.SignInWithPasskey(ctx, visitor, phone.get(w.challenge(visitor, false)))); !in.SignedIn() {
			w.Errorf("%+v", in)
		}
	})
}

// What proves who a person is changes only soon after a proof.
func TestFreshProof(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		ada := w.signIn("ada@example.org", good)
		w.pass(account.FreshLimit)
		ada = get[*account.Session](w)(w.Session(ctx, ada.Token))
		ada.Origin = here
		if get[bool](w)(w.Fresh(ctx, ada)) {
			w.Error("an old proof counts")
		}
		w.fails(w.SetUpAuthenticator(ctx, ada), fault.Denied, "second.again")
		_, err := w.PasskeyChallenge(ctx, ada, true)
		w.fails(err, fault.Denied, "second.again")
		_, err = w.Confirm(ctx, ada, "not hers at all")
		w.fails(err, fault.Invalid, "people.current")
		old := ada
		ada = get[*account.Session](w)(w.Confirm(ctx, ada, good))
		w.dead(old)
		ada.Origin = here
		ada, seed, codes := w.app(ada)

		// From now on the password is not enough for that.
		w.pass(account.FreshLimit)
		ada = get[*account.Session](w)(w.Confirm(ctx, ada, good))
		ada.Origin = here
		_, err = w.NewRecoveryCodes(ctx, ada)
		w.fails(err, fault.Denied, "second.again")
		w.fails(w.RemoveAuthenticator(ctx, ada), fault.Denied, "second.again")
		ada = get[*account.Session](w)(w.ProveSecond(ctx, ada, w.code(seed)))
		ada.Origin = here
		fresh := get[[]string](w)(w.NewRecoveryCodes(ctx, ada))
		s := w.half("ada@example.org", good)
		_, err = w.ProveSecond(ctx, s, codes[0])
		w.fails(err, fault.Invalid, "recovery.wrong")
		if in := get[*account.Session](w)(w.ProveSecond(ctx, s, fresh[0])); !in.SignedIn() {
			w.Errorf("%+v", in)
		}
		w.ok(w.RemoveAuthenticator(ctx, ada))
		if s := w.signIn("ada@example.org", good); !s.SignedIn() {
			w.Errorf("%+v", s)
		}
	})
}

// Somebody who proved an address, and has not signed in, proves the second
// factor of its person; another address's proof takes that away again.
func TestSecondOfVisitor(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		ada := w.signIn("ada@example.org", good)
		_, seed, _ := w.app(ada)
		w.pass(time.Minute)
		visitor := w.visit()
		_, err := w.ProveSecond(ctx, visitor, w.code(seed))
		w.fails(err, fault.Unauthenticated, "sess.p")
		proven := w.proven("ada@example.org")
		out := get[*account.Session](w)(w.ProveSecond(ctx, proven, w.code(seed)))
		if out.Scope != store.ScopeVisitor || out.SecondAt.IsZero() || out.Address != "ada@example.org" {
			w.Errorf("%+v", out)
		}
	})
}

func TestSignOutDevice(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		one, _ := w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		two, lea := w.signIn("ada@example.org", good), w.signIn("lea@example.org", better)
		var other string
		for _, d := range get[[]account.Device](w)(w.Sessions(ctx, one)) {
			if !d.Current {
				other = d.ID
			}
		}
		w.ok(w.SignOutDevice(ctx, lea, other))
		get[*account.Session](w)(w.Session(ctx, two.Token))
		w.ok(w.SignOutDevice(ctx, one, other))
		w.dead(two)
		get[*account.Session](w)(w.Session(ctx, one.Token))
		w.ok(w.SignOutDevice(ctx, one, other))
	})
}

// Whoever finds a browser signed in, and an invitation to click, has proved nothing.
func TestInvitationProvesNothing(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.enrolled(100042, "lea@example.net")
		w.pass(account.FreshLimit)
		get[account.Pending](w)(w.Invite(ctx, ada.Actor(here), 100042, "", "lea@example.net", time.Time{}))
		l, _ := last[account.InvitationLetter](w.mail)
		lea = get[*account.Session](w)(w.Session(ctx, lea.Token))
		in := get[*account.Session](w)(w.AcceptInvitation(ctx, lea, l.Token, account.Enrolment{}))
		if !in.SignedIn() || in.Hash == lea.Hash || get[bool](w)(w.Fresh(ctx, in)) {
			w.Errorf("fresh by an invitation: %+v", in)
		}
		w.fails(w.SetUpAuthenticator(ctx, in), fault.Denied, "second.again")
	})
}
