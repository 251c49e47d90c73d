package gateway_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/gateway"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
)

func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gw.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

func relayTo(t testing.TB, addr string) *relay.Relay {
	t.Helper()
	r, err := relay.New(relay.Config{Addr: addr, TLS: relay.None, Hello: "gw.example.org", Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// silent is a next hop without extensions that takes one mail, gives its answer,
// which may be none, and goes away.
type silent struct {
	addr string
	got  chan string
}

func silentHop(t testing.TB, answer string) *silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &silent{l.Addr().String(), make(chan string, 1)}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		say := func(line string) { c.Write([]byte(line + "\r\n")) }
		say("220 silent.test")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "DATA") {
				break
			}
			if strings.HasPrefix(line, "RCPT TO:<gone@") {
				say("550 5.1.1 no such mailbox")
			} else {
				say("250 ok")
			}
		}
		say("354 go")
		var b strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == ".\r\n" {
				break
			}
			b.WriteString(strings.TrimPrefix(line, "."))
		}
		io.WriteString(c, answer)
		s.got <- b.String()
	}()
	return s
}

// slowWays is a next hop whose ways are asked for, and found to one domain only.
type slowWays struct {
	gateway.NextHop

	mu    sync.Mutex // guards the rest
	asked []string
	until map[time.Time]bool // by when the answer was wanted
}

func (s *slowWays) Protects(ctx context.Context, domain string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, domain)
	end, ok := ctx.Deadline()
	if !ok {
		return "", errors.New("nobody says how long it may take")
	}
	s.until[end] = true
	if domain != "safe.test" {
		return "", outbox.ErrUnprotected
	}
	return "dane", nil
}
