package relay_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
)

func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	right, ca := authority(t, "127.0.0.1")
	wrong, otherCA := authority(t, "mx.elsewhere.test")
	for _, mode := range []string{relay.StartTLS, relay.TLS} {
		for _, c := range []struct {
			name, ca, server string
			cert             tls.Certificate
			ok               bool
		}{
			{"trusted", ca, "", right, true},
			{"named", otherCA, "mx.elsewhere.test", wrong, true},
			{"another name", otherCA, "", wrong, false},
			{"unknown authority", otherCA, "", right, false},
			{"not the system's", "", "", right, false},
		} {
			t.Run(mode+" "+c.name, func(t *testing.T) {
				t.Parallel()
				p := newPeer(t, func(p *peer) {
					p.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c.cert}}
					p.server.LMTP = mode == relay.TLS
				})
				r := newRelay(t, relay.Config{Addr: p.addr, TLS: mode, CAFile: c.ca, ServerName: c.server, Username: "pli", Password: "right", Hello: "pli.example"})
				_, err := r.Send(t.Context(), parcel(t, "bob@x.test"))
				if !c.ok {
					if err == nil || len(p.all()) > 0 || len(p.users) > 0 {
						t.Fatalf("sent to a server that is not who it should be: %v", err)
					}
					var e *outbox.Error
					if errors.As(err, &e) {
						t.Errorf("a certificate is the operator's trouble, not the letter's: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				m := p.all()
				if len(m) != 1 || !m[0].tls || m[0].to != "bob@x.test" || m[0].from != "envelopes@pli.example" || len(p.users) != 1 {
					t.Errorf("%+v", m)
				}
				for _, h := range p.hello {
					if h != "pli.example" {
						t.Errorf("greeted as %q", h)
					}
				}
			})
		}
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []relay.Config{
		{Addr: "mx.example.org"},
		{Addr: "mx.example.org:25", TLS: "maybe"},
		{Addr: "mx.example.org:25", TLS: relay.None},
		{Addr: "192.0.2.1:25", TLS: relay.None},
		{Addr: "127.0.0.1:25", TLS: relay.None, Username: "pli"},
		{Addr: "mx.example.org:25", CAFile: "/nonexistent/ca.pem"},
		{Addr: "mx.example.org:25", DKIM: []relay.DKIM{{Domain: "example.org"}}},
	} {
		if _, err := relay.New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	for _, c := range []relay.Config{
		{Addr: "127.0.0.1:25", TLS: relay.None}, {Addr: "[::1]:25", TLS: relay.None}, {Addr: "localhost:25", TLS: relay.None},
		{Addr: "mx.example.org:587", Username: "pli", Password: "x"},
	} {
		if _, err := relay.New(c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Nothing goes out in clear because somebody on the way removed STARTTLS.
func TestStartTLSStripped(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	r := newRelay(t, relay.Config{Addr: p.addr, Username: "pli", Password: "right"})
	if _, err := r.Send(t.Context(), parcel(t, "bob@x.test")); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Fatalf("err = %v", err)
	}
	if len(p.all()) != 0 {
		t.Error("mail was sent in clear")
	}
}

// A server that speaks on in clear after its answer to STARTTLS is refused (CVE-2011-0411).
func TestStartTLSInjection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewScanner(c)
		fmt.Fprint(c, "220 mx\r\n")
		in.Scan()
		fmt.Fprint(c, "250-mx\r\n250 STARTTLS\r\n")
		in.Scan()
		fmt.Fprint(c, "220 go\r\n250 injected\r\n")
		in.Scan()
	}()
	r := newRelay(t, relay.Config{Addr: l.Addr().String()})
	if _, err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "spoke on") {
		t.Errorf("err = %v", err)
	}
}

// Our own sign-in refused is no reason to give up a letter.
func TestSignInRefused(t *testing.T) {
	t.Parallel()
	cert, ca := authority(t, "127.0.0.1")
	p := newPeer(t, func(p *peer) { p.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}} })
	r := newRelay(t, relay.Config{Addr: p.addr, CAFile: ca, Username: "pli", Password: "wrong"})
	_, err := r.Send(t.Context(), parcel(t, "bob@x.test"))
	var e *outbox.Error
	if err == nil || errors.As(err, &e) {
		t.Fatalf("err = %v", err)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the password is in the error: %v", err)
	}
}

func TestMailArrivesWhole(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	c := parcel(t, "bob@x.test")
	if _, err := plain(t, p).Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if _, err := c.Mail.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	m := p.all()
	if len(m) != 1 || m[0].text != want.String() {
		t.Fatalf("%d mails, or not the very octets", len(m))
	}
	if m[0].opts.UTF8 || m[0].opts.Size < int64(want.Len()) {
		t.Errorf("options %+v", m[0].opts)
	}
}

func TestTooLargeGoesWithoutTheFile(t *testing.T) {
	t.Parallel()
	full := &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "mailbox full"}
	for _, c := range []struct {
		name  string
		set   func(*peer)
		light bool
	}{
		{"SIZE announced", func(p *peer) { p.server.MaxMessageBytes = 50 << 10 }, true},
		{"refused at the end", func(p *peer) {
			p.data = func(m string) error {
				if len(m) > 50<<10 {
					return smtp.ErrDataTooLarge
				}
				return nil
			}
		}, true},
		{"refused for its content", func(p *peer) {
			p.data = func(m string) error {
				if strings.Contains(m, "securedoc.html") {
					return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "content"}
				}
				return nil
			}
		}, true},
		{"mailbox full", func(p *peer) { p.data = func(string) error { return full } }, false},
		{"larger even so", func(p *peer) { p.server.MaxMessageBytes = 100 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, c.set)
			_, err := plain(t, p).Send(t.Context(), parcel(t, "bob@x.test"))
			m := p.all()
			if !c.light {
				if e := refusal(t, err); !e.Permanent || e.Code != 552 || len(m) != 0 || (e.Key == "") != (c.name == "mailbox full") {
					t.Errorf("%v, %d mails", err, len(m))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(m) != 1 || strings.Contains(m[0].text, "securedoc") || !strings.Contains(m[0].text, "See the link.") {
				t.Errorf("%d mails", len(m))
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err       *smtp.SMTPError
		permanent bool
		text      string
	}{
		{&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}, true, "5.1.1 no such user"},
		{&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}, false, "4.7.1 greylisted"},
		{&smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "busy"}, false, "4.3.2 busy"},
		{&smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "sign in first"}, false, "5.7.0 sign in first"},
	} {
		p := newPeer(t, func(p *peer) { p.rcpt = func(string) error { return c.err } })
		e := refused(t)(plain(t, p).Send(t.Context(), parcel(t, "bob@x.test")))
		if e.Permanent != c.permanent || e.Code != c.err.Code || e.Text != c.text {
			t.Errorf("%d became %+v", c.err.Code, e)
		}
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	t.Parallel()
	old := newPeer(t, nil)
	e := refused(t)(plain(t, old).Send(t.Context(), parcel(t, "josé@x.test")))
	if !e.Permanent || !strings.Contains(e.Text, "SMTPUTF8") {
		t.Errorf("%+v", e)
	}
	modern := newPeer(t, func(p *peer) { p.server.EnableSMTPUTF8 = true })
	if _, err := plain(t, modern).Send(t.Context(), parcel(t, "josé@x.test")); err != nil {
		t.Fatal(err)
	}
	if m := modern.all(); len(m) != 1 || m[0].to != "josé@x.test" || !m[0].opts.UTF8 {
		t.Errorf("%+v", m)
	}
	// Only the address to answer to: the mail goes, without it.
	c := parcel(t, "bob@x.test")
	c.Mail.ReplyTo = []message.Mailbox{{Addr: mailaddr.MustParse("josé@x.test")}}
	if _, err := plain(t, old).Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if m := old.all(); len(m) != 1 || strings.Contains(m[0].text, "Reply-To") {
		t.Errorf("%d mails", len(m))
	}
	// A domain beyond ASCII has an ASCII form that every server knows.
	if _, err := plain(t, old).Send(t.Context(), parcel(t, "bob@bücher.test")); err != nil {
		t.Error(err)
	}
}

// AT-72: the signature holds for From's own domain, with both kinds of key.
func TestDKIM(t *testing.T) {
	t.Parallel()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ed25519": edKey, "rsa": rsaKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, nil)
			r := newRelay(t, relay.Config{Addr: p.addr, TLS: relay.None, DKIM: []relay.DKIM{
				{Domain: "example", Selector: "wrong", Key: key}, {Domain: "pli.example", Selector: "s1", Key: key}}})
			if !r.Signs(mailaddr.MustParse("a@pli.example")) || r.Signs(mailaddr.MustParse("a@notpli.test")) {
				t.Error("Signs is wrong")
			}
			if _, err := r.Send(t.Context(), parcel(t, "bob@x.test")); err != nil {
				t.Fatal(err)
			}
			checkDKIM(t, p.all()[0].text, "s1._domainkey.pli.example", key)
			foreign := parcel(t, "bob@x.test")
			foreign.Mail.From.Addr = mailaddr.MustParse("ana@other.test")
			if _, err := r.Send(t.Context(), foreign); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(p.all()[1].text, "DKIM-Signature") {
				t.Error("signed for a domain that is not ours")
			}
		})
	}
}

// record is the DNS record of a DKIM key.
func record(t *testing.T, key crypto.Signer) string {
	t.Helper()
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k)
	default:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	}
}

func checkDKIM(t *testing.T, mail, name string, key crypto.Signer) {
	t.Helper()
	found, err := dkim.VerifyWithOptions(strings.NewReader(mail), &dkim.VerifyOptions{LookupTXT: func(q string) ([]string, error) {
		if q != name {
			return nil, fmt.Errorf("asked for %s", q)
		}
		return []string{record(t, key)}, nil
	}})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d signatures, %v", len(found), err)
	}
	secondOpinion(t, mail, key)
	if found[0].Err != nil || found[0].Domain != "pli.example" {
		t.Errorf("%+v", found[0])
	}
}

func TestTimeoutsAndCancel(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, mode := range []string{relay.None, relay.StartTLS, relay.TLS} {
		begun := time.Now()
		r := newRelay(t, relay.Config{Addr: l.Addr().String(), TLS: mode, Timeout: 200 * time.Millisecond})
		if _, err := r.Send(t.Context(), parcel(t, "bob@x.test")); err == nil || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %v after %v", mode, err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		begun = time.Now()
		if _, err := newRelay(t, relay.Config{Addr: l.Addr().String(), TLS: mode}).Send(ctx, parcel(t, "bob@x.test")); err == nil || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: cancelled: %v after %v", mode, err, time.Since(begun))
		}
		cancel()
	}
}

// A file that fails half way leaves no half mail with the next hop.
func TestHalfAMailIsNoMail(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	c := parcel(t, "bob@x.test")
	c.Mail.Text = "alone: \r in the middle" + strings.Repeat("x", 100<<10)
	c.Mail.Attachments[0].Size = 17 // a lie that the writer finds out at the end
	if _, err := plain(t, p).Send(t.Context(), c); err == nil {
		t.Fatal("no error")
	}
	time.Sleep(50 * time.Millisecond)
	if n := len(p.all()); n != 0 {
		t.Errorf("%d mails", n)
	}
}
