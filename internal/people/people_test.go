package people_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/people"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

func house(t *testing.T) *webtest.House {
	t.Helper()
	h := webtest.New(t)
	t.Cleanup(func() {
		if log := h.Logged(); strings.Contains(log, "level=ERROR") {
			t.Error(log)
		}
	})
	if err := people.New(h.Kit, h.Accounts, h.Keys); err != nil {
		t.Fatal(err)
	}
	return h
}

const own = "four blue owls sing at nine"

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	p := b.Visit(t, "/profile?lang=fr")
	if p.Path != "/signin?next=%2Fprofile%3Flang%3Dfr" || p.Heading(t) != "Se connecter" || p.Title() != "Se connecter – Pli" {
		t.Fatalf("%s %q", p.Path, p.Title())
	}
	p = p.Press(t, "Se connecter", "Adresse e-mail", webtest.User, "Mot de passe", webtest.Password)
	if p.Heading(t) != "Bienvenue, Claire" {
		t.Fatalf("the first time: %s %q", p.Path, p.Heading(t))
	}
	p = p.Press(t, "Enregistrer", "Langue", "Français", "Apparence", "Sombre", "Fuseau horaire", "Europe/Brussels")
	if p.Heading(t) != "Votre profil" || !p.Has("Modifications enregistrées.") || !strings.Contains(p.Body, `data-theme="dark"`) {
		t.Fatalf("after the preferences: %s %q", p.Path, p.Heading(t))
	}
	if p = p.Press(t, "Se déconnecter"); p.Path != "/signin" || !p.Has("Vous êtes déconnecté.") {
		t.Fatalf("after signing out: %s", p.Path)
	}
	if again := b.Get(t, "/profile"); again.Status != 303 {
		t.Errorf("the session answers %d after signing out", again.Status)
	}

	// Not twice to the new-account page, and only to our own addresses.
	p = b.Visit(t, "/signin?next=https://evil.example/").Press(t, "Se connecter", "Adresse e-mail", webtest.User, "Mot de passe", webtest.Password)
	if p.Path != "/sent" { // a sender's home
		t.Errorf("signing in leads to %s", p.Path)
	}
}

// AT-52: who is unknown and who types a wrong password read the same page.
func TestSignInTellsNothing(t *testing.T) {
	t.Parallel()
	h := house(t)
	answer := func(address string) string {
		p := h.Browser(t).Visit(t, "/signin?lang=en").Press(t, "Sign in", "E-mail address", address, "Password", "not their password")
		if p.Status != 422 || !p.Has("The address or the password is not right.") || p.Value(t, "E-mail address") != address {
			t.Errorf("%s: %d %q", address, p.Status, p.Texts("p"))
		}
		code := h.Browser(t).Visit(t, "/signin/code").Press(t, "E-mail me a code", "E-mail address", address)
		recover := h.Browser(t).Visit(t, "/recover").Press(t, "E-mail me a code", "E-mail address", address)
		return strings.ReplaceAll(p.Body+code.Body+recover.Body, address, "x")
	}
	if answer(webtest.User) != answer("nobody@example.net") {
		t.Error("AT-52: the pages tell who has an account")
	}
}

func TestSignInWithCode(t *testing.T) {
	t.Parallel()
	h := house(t)
	p := h.Browser(t).Visit(t, "/signin?lang=en").Follow(t, "E-mail me a code instead").Press(t, "E-mail me a code", "E-mail address", webtest.User)
	if !p.Has("If claire.roux@example.org has an account, a code is on its way. It works for 10 minutes, on this device only.") {
		t.Fatalf("%d %q", p.Status, p.Texts("p"))
	}
	code := h.Code(t)
	wrong := p.Press(t, "Sign in", "Code (6 digits)", "000000")
	if wrong.Status != 422 || !wrong.Has("That code is not right. You have 4 tries left.") {
		t.Errorf("a wrong code: %d %q", wrong.Status, wrong.Texts("p"))
	}
	if done := wrong.Press(t, "Sign in", "Code (6 digits)", " "+code[:3]+" "+code[3:]); done.Heading(t) != "Welcome, Claire" {
		t.Errorf("the right code: %d %s", done.Status, done.Path)
	}
}

// AT-43: a form that was sent twice does not take away what the first one
// proved: the second, which comes with the session that ended, gets no other.
func TestSentTwice(t *testing.T) {
	t.Parallel()
	h := house(t)
	for _, path := range []string{"/signin/code", "/recover"} {
		b, twice := h.Browser(t), h.Browser(t)
		b.Post(t, path, "email", webtest.User)
		twice.Header.Set("Cookie", "pli="+b.Cookie("pli"))
		form := []string{"do", "enter", "email", webtest.User, "code", h.Code(t), "password", own, "confirm", own}
		if a := b.Post(t, path, form...); a.Status != 303 {
			t.Fatalf("%s: %d %s", path, a.Status, a.Body)
		}
		if a := twice.Post(t, path, form...); a.Status != 401 || twice.Cookie("pli") != "" {
			t.Errorf("%s, a second time: %d, cookie %q", path, a.Status, twice.Cookie("pli"))
		}
	}
	twice := h.Browser(t)
	twice.Header.Set("Cookie", "pli="+strings.Repeat("A", 43))
	if a := twice.Post(t, "/enrol", "password", own); a.Status != 200 || twice.Cookie("pli") != "" {
		t.Errorf("/enrol: %d, cookie %q", a.Status, twice.Cookie("pli"))
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	h := house(t)
	elsewhere := h.Browser(t)
	elsewhere.SignIn(t, webtest.User)
	p := h.Browser(t).Visit(t, "/recover?lang=en").Press(t, "E-mail me a code", "E-mail address", webtest.User)
	code := h.Code(t)
	short := p.Press(t, "Set the new password", "Code (6 digits)", code, "New password", "short", "New password, again", "short")
	if short.Status != 422 || short.Value(t, "Code (6 digits)") != code {
		t.Errorf("a short password: %d, the code %q kept", short.Status, short.Value(t, "Code (6 digits)"))
	}
	done := short.Press(t, "Set the new password", "New password", own, "New password, again", own)
	if !strings.Contains(done.Body, "Your password has been changed. Other devices have been signed out.") {
		t.Errorf("%d %s", done.Status, done.Path)
	}
	if got := elsewhere.Get(t, "/profile"); got.Status != 303 {
		t.Errorf("another device still sees %d", got.Status)
	}
}

// A temporary password that was not used in time says so, to who knows it.
func TestTemporaryPasswordExpires(t *testing.T) {
	t.Parallel()
	h := house(t)
	now := time.Now().UTC().Add(7*24*time.Hour + time.Minute)
	h.DB.Now = func() time.Time { return now }
	for lang, want := range map[string]string{
		"en": "This temporary password has expired. Ask your account administrator for a new one.",
		"fr": "Ce mot de passe temporaire a expiré. Demandez-en un nouveau à votre administrateur de compte.",
	} {
		p := h.Browser(t).Visit(t, "/signin?lang="+lang)
		p = p.Press(t, p.Texts("h1")[0], p.Texts("label")[0], "paul@example.org", p.Texts("label")[1], webtest.Password)
		if p.Status != 422 || !p.Has(want) {
			t.Errorf("%s: %d %q", lang, p.Status, p.Texts("p"))
		}
	}
}

// AT-42: with a temporary password every address but the one that sets another
// leads there, or is refused.
func TestTemporaryPasswordOpensOnePage(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, "paul@example.org")
	for _, rt := range h.Kit.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		path = strings.NewReplacer("{token}", "x").Replace(path)
		a := b.Do(t, method, path, nil)
		to := a.Header.Get("Location")
		switch path {
		case "/password", "/signout":
		case "/lost/x", "/reset/x": // a link of a mail, for whoever has it
			if a.Status != 404 {
				t.Errorf("AT-42: %s answers %d %s", rt.Pattern, a.Status, to)
			}
		case "/recover": // for who has forgotten theirs: it asks for an address, and shows and changes nothing
			want := map[string]int{"GET": 200, "POST": 422}[method]
			if a.Status != want || !strings.Contains(a.Body, `name="email"`) || strings.Contains(a.Body, "Paul") || h.Codes() != 0 {
				t.Errorf("AT-42: %s answers %d %s", rt.Pattern, a.Status, to)
			}
			if still := b.Get(t, "/profile"); still.Header.Get("Location") != "/password" {
				t.Errorf("AT-42: after %s the profile answers %d", rt.Pattern, still.Status)
			}
		case "/signin", "/admin/signin", "/signin/code", "/signin/passkey", "/passkey/challenge": // to prove more
			if a.Status == 303 && to != "/password" {
				t.Errorf("AT-42: %s leads to %s", rt.Pattern, to)
			}
		default:
			if a.Status != 303 || to != "/password" {
				t.Errorf("AT-42: %s answers %d %s", rt.Pattern, a.Status, to)
			}
		}
		b.SignIn(t, "paul@example.org") // in case that address ended the session
	}
}

// AT-50: without the second factor every address but the one that asks for it
// leads there, or is refused.
func TestSecondOpensOnePage(t *testing.T) {
	t.Parallel()
	h := house(t)
	seed, recovery := h.Authenticator(t, webtest.User)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	for _, rt := range h.Kit.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		path = strings.NewReplacer("{token}", "x", "{id}", "x").Replace(path)
		a := b.Do(t, method, path, nil)
		to := a.Header.Get("Location")
		switch path {
		case "/lost/x", "/reset/x": // a link of a mail, for whoever has it
			if a.Status != 404 {
				t.Errorf("AT-50: %s answers %d %s", rt.Pattern, a.Status, to)
			}
		case "/second", "/second/lost", "/signout", "/recover", "/signin/code", "/signin/passkey", "/passkey/challenge": // to prove more, or to leave
			if strings.Contains(a.Body, "Claire") || a.Status == 303 && to != "/signin" {
				t.Errorf("AT-50: %s answers %d %s", rt.Pattern, a.Status, to)
			}
		case "/signin", "/admin/signin":
			if a.Status == 303 && !strings.HasPrefix(to, "/second") {
				t.Errorf("AT-50: %s leads to %s", rt.Pattern, to)
			}
		default:
			if a.Status != 303 || !strings.HasPrefix(to, "/second") {
				t.Errorf("AT-50: %s answers %d %s", rt.Pattern, a.Status, to)
			}
		}
		b.SignIn(t, webtest.User)
	}

	p := b.Visit(t, "/profile?lang=en")
	if p.Path != "/second?next=%2Fprofile%3Flang%3Den" || p.Heading(t) != "Confirm that it is you" {
		t.Fatalf("%s %q", p.Path, p.Heading(t))
	}
	const label = "Enter the code from your authenticator app"
	if q := p.Press(t, "Continue", label, "123456"); q.Status != 422 || !q.Has("That code is not right, or was used before. Wait for the next one.") {
		t.Fatalf("%d %q", q.Status, q.Texts("p"))
	}
	if q := p.Press(t, "Continue", label, webtest.AppCode(t, seed, 1)); q.Heading(t) != "Your profile" {
		t.Fatalf("%d %s", q.Status, q.Path)
	}
	other := h.Browser(t)
	other.SignIn(t, webtest.User)
	p = other.Visit(t, "/second?lang=en").Follow(t, "Use a recovery code").Press(t, "Continue", "Recovery code", recovery[0])
	if p.Path != "/sent" && p.Path != "/" {
		t.Fatalf("%d %s %q", p.Status, p.Path, p.Texts("p"))
	}

	// R9: a new password by mail asks for it too.
	third := h.Browser(t)
	p = third.Visit(t, "/recover?lang=en").Press(t, "E-mail me a code", "E-mail address", webtest.User)
	p = p.Press(t, "Set the new password", "Code (6 digits)", h.Code(t), "New password", own, "New password, again", own)
	if !strings.HasPrefix(p.Path, "/second") || !p.Has("Your password has been changed. Other devices have been signed out.") {
		t.Errorf("AT-50: %s %q", p.Path, p.Texts("p"))
	}
}

// Without scripts and passkeys: an authenticator app is set up, and removed again.
func TestSecurity(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	p := b.Visit(t, "/profile/security?lang=fr").Press(t, "Configurer une application d'authentification")
	if p.Path != "/profile/security/authenticator" {
		t.Fatalf("%d %s", p.Status, p.Path)
	}
	seed := strings.ReplaceAll(p.Texts("code")[0], " ", "")
	if !strings.Contains(p.Body, `class="qr"`) {
		t.Error("there is no picture")
	}
	p = p.Press(t, "Activer", "Code (6 chiffres)", webtest.AppCode(t, seed, 0))
	if p.Heading(t) != "Vos codes de secours" || len(p.Texts("code")) != 10 {
		t.Fatalf("%d %q", p.Status, p.Texts("p"))
	}
	if again := b.Get(t, "/profile/security/authenticator"); again.Header.Get("Location") != "/profile/security" {
		t.Errorf("the seed is shown once more: %d", again.Status)
	}
	p = p.Follow(t, "Je les ai conservés")
	if !p.Has("Il vous reste 10 codes.") {
		t.Errorf("%q", p.Texts("p"))
	}
	p = p.Press(t, "Créer de nouveaux codes de secours")
	if p.Heading(t) != "Vos codes de secours" {
		t.Fatalf("%d %s", p.Status, p.Path)
	}
	p = p.Follow(t, "Je les ai conservés")

	// Loaded again, or pressed twice, the form makes no second set: the first is the one that counts.
	if !strings.Contains(p.Body, `name="once" value="`) {
		t.Error("the form has no name of its own")
	}
	made := codesIn(b.Post(t, "/profile/security", "do", "recovery", "once", "0123456789abcdef"))
	again := b.Post(t, "/profile/security", "do", "recovery", "once", "0123456789abcdef")
	if len(made) != 10 || len(codesIn(again)) != 0 || again.Status != 409 || !strings.Contains(again.Body, "C'est déjà fait, depuis le premier envoi du formulaire") || !strings.Contains(again.Body, `href="/profile/security"`) {
		t.Fatalf("%d codes, then %d %s", len(made), again.Status, again.Body)
	}
	other := h.Browser(t)
	other.SignIn(t, webtest.User)
	if in := other.Visit(t, "/second?lang=en").Follow(t, "Use a recovery code").Press(t, "Continue", "Recovery code", made[0]); strings.HasPrefix(in.Path, "/second") {
		t.Errorf("the codes that were shown: %d at %s", in.Status, in.Path)
	}
	if p = b.Visit(t, "/profile/security"); !p.Has("Il vous reste 9 codes.") {
		t.Errorf("%q", p.Texts("p"))
	}
	p = p.Press(t, "Supprimer l'application d'authentification")
	if !p.Has("L'application d'authentification a été supprimée.") || p.Has("Il vous reste 10 codes.") {
		t.Errorf("%q", p.Texts("p"))
	}
}

var shownCode = regexp.MustCompile(`<li><code>([^<]+)</code></li>`)

func codesIn(a webtest.Answer) (out []string) {
	for _, m := range shownCode.FindAllStringSubmatch(a.Body, -1) {
		out = append(out, m[1])
	}
	return out
}

// Enrolment belongs to an address that this session has just proved.
func TestEnrol(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	p := b.Visit(t, "/enrol?lang=en")
	if p.Heading(t) != "Open an envelope first" || len(p.Texts("form")) > 1 {
		t.Fatalf("without an address: %q", p.Heading(t))
	}
	if got := b.Post(t, "/enrol", "first_name", "Eve", "password", own, "confirm", own); got.Status != 200 || !strings.Contains(got.Body, "Open an envelope first") {
		t.Errorf("a form without an address: %d", got.Status)
	}
	b.Prove(t, "jean@example.net")
	p = b.Visit(t, "/enrol?lang=fr")
	if p.Value(t, "Adresse e-mail") != "jean@example.net" || !strings.Contains(p.Body, "readonly") {
		t.Fatalf("%d %q", p.Status, p.Texts("label"))
	}
	fill := func(password, confirm string) webtest.Page {
		return p.Press(t, "Créer mon compte", "Prénom", "Jean", "Nom", "Petit", "Mot de passe", password, "Confirmation du mot de passe", confirm, "Langue", "Français")
	}
	for _, bad := range [][2]string{{"motdepasse", "motdepasse"}, {"jean petit jean petit", "jean petit jean petit"}, {own, own + "!"}} {
		if q := fill(bad[0], bad[1]); q.Status != 422 || q.Value(t, "Prénom") != "Jean" || strings.Contains(q.Body, bad[0]) {
			t.Errorf("AT-41: %q: %d", bad[0], q.Status)
		}
	}
	q := fill(own, own)
	if q.Heading(t) != "Bienvenue, Jean" || !q.Has("Votre compte est prêt.") {
		t.Fatalf("%d %s %q", q.Status, q.Path, q.Heading(t))
	}
	// The address in the form is for reading: another one there changes nothing.
	if strings.Contains(q.Body, "evil@") {
		t.Error("the address of the form was taken")
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	h := house(t)
	b, other := h.Browser(t), h.Browser(t)
	b.SignIn(t, webtest.User)
	other.SignIn(t, webtest.User)
	p := b.Visit(t, "/profile/security?lang=en")
	if !p.Has("2 devices") {
		t.Errorf("%q", p.Texts("p"))
	}
	p = p.Press(t, "Sign out other devices")
	if !p.Has("1 device") || other.Get(t, "/profile").Status != 303 {
		t.Errorf("%q", p.Texts("p"))
	}
	wrong := p.Press(t, "Change my password", "Current password", "not mine", "New password", own, "New password, again", own)
	if wrong.Status != 422 || !wrong.Has("That is not your current password.") {
		t.Errorf("a wrong current password: %d %q", wrong.Status, wrong.Texts("p"))
	}
	p = p.Press(t, "Change my password", "Current password", webtest.Password, "New password", own, "New password, again", own)
	if !p.Has("Your password has been changed. Other devices have been signed out.") || p.Path != "/profile/security" {
		t.Errorf("%d %q", p.Status, p.Texts("p"))
	}
}

// What is known of a person comes as one JSON object, without secrets; deleting
// takes the address, a recent proof, and somebody else who administers.
func TestData(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	h.Send(t, webtest.Mail{To: webtest.User, Raw: "Subject: x\n\nx\n"})
	if p := b.Visit(t, "/profile/data"); p.Heading(t) != "Your profile" || !p.Has("Take out my data") {
		t.Fatalf("%s %q", p.Path, p.Heading(t))
	}
	admin := h.Browser(t)
	admin.SignIn(t, webtest.Admin)
	ctx, op := t.Context(), account.Operator("test")
	claire, err := h.Accounts.SignIn(ctx, nil, webtest.User, webtest.Password, "192.0.2.1", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Accounts.RequestAccess(ctx, claire, webtest.Account, store.RightAudit, "the inspection"); err != nil {
		t.Fatal(err)
	}
	if asked, err := h.Accounts.Requests(ctx, op, webtest.Account, "", 50); err != nil || len(asked.Requests) != 1 {
		t.Fatal(asked, err)
	} else if _, err := h.Accounts.DecideRequest(ctx, op, asked.Requests[0].ID, false, "", "Not yet"); err != nil {
		t.Fatal(err)
	}
	a := b.Post(t, "/profile/data", "do", "export")
	var out struct {
		Profile  struct{ Address string }
		Groups   []string
		Devices  []struct{ Client string }
		Contacts []json.RawMessage
		Sent     []json.RawMessage
		Received []json.RawMessage
		Records  []struct{ Action, Actor string }
		Asked    []struct{ Right, Reason, State, Word string } `json:"access_requests"`
	}
	a.JSON(t, &out)
	if len(out.Asked) != 1 || out.Asked[0].Right != store.RightAudit || out.Asked[0].Reason != "the inspection" || out.Asked[0].State != store.RequestRefused || out.Asked[0].Word != "Not yet" {
		t.Errorf("what they asked for: %+v", out.Asked)
	}
	if a.Status != 200 || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") || out.Profile.Address != webtest.User ||
		len(out.Devices) != 2 || len(out.Records) < 2 || out.Sent == nil || out.Contacts == nil || len(out.Received) != 0 { // an administrator made them: the address is not proved
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, secret := range []string{"argon2", "token", "nonce", "password_hash", "secret"} {
		if strings.Contains(strings.ToLower(a.Body), secret) {
			t.Errorf("the export has %q", secret)
		}
	}

	if a := b.Post(t, "/profile/data", "do", "delete", "email", "somebody@example.org"); a.Status != 422 {
		t.Errorf("with another address: %d", a.Status)
	}
	if a := admin.Post(t, "/profile/data", "do", "delete", "email", webtest.Admin); a.Status != 409 && a.Status != 422 {
		t.Errorf("the last administrator: %d", a.Status)
	}
	if a := b.Post(t, "/profile/data", "do", "delete", "email", webtest.User); a.Status != 303 || a.Header.Get("Location") != "/" {
		t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
	}
	if p := b.Visit(t, "/"); !p.Has("Your account has been deleted.") {
		t.Error("nobody says that it is done")
	}
	if p := b.Visit(t, "/profile"); !strings.HasPrefix(p.Path, "/signin") {
		t.Errorf("still signed in: %s", p.Path)
	}
}
