package server_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/server"
)

// An answer that must be protected is no mail of the gateway's, and still leaves
// by its ways, which alone can prove a server: never by the smart host.
func TestProtectedLeavesByNextHop(t *testing.T) {
	t.Parallel()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	smarthost, partner := listen(), listen()
	came := make(chan string, 2)
	for name, l := range map[string]net.Listener{"the smart host": smarthost, "the partner": partner} {
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- name
			c.Write([]byte("421 4.3.2 not now\r\n"))
			c.Close()
		}()
	}
	conf := &config.Config{PublicURL: "https://envelope.example.org"}
	conf.Mail.Smarthost, conf.Mail.TLS = smarthost.Addr().String(), "none"
	conf.Gateway.Partners = []config.Partner{{Domain: "example.org", Addr: partner.Addr().String()}}
	e, err := server.NewExits(conf)
	if err != nil {
		t.Fatal(err)
	}
	to := mailaddr.MustParse("ana@example.org")
	p := outbox.Parcel{From: to, To: []outbox.Receiver{{Addr: to}}, Mail: &message.Mail{From: message.Mailbox{Addr: to}, Text: "x"}, Protected: true}
	if _, err := e.Send(t.Context(), p); !errors.Is(err, outbox.ErrUnprotected) || !strings.Contains(err.Error(), "421") {
		t.Errorf("%v", err)
	}
	if where := <-came; where != "the partner" {
		t.Errorf("it went to %s", where)
	}
}
