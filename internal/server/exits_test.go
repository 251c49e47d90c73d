package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/server"
)

// hop is a mail server that takes one mail and gives its own name as the answer.
func hop(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "220 %s\r\n", name)
		inMail := false
		for lines := bufio.NewScanner(c); lines.Scan(); {
			switch s := lines.Text(); {
			case inMail && s != ".":
			case s == "DATA":
				inMail = true
				fmt.Fprint(c, "354 go\r\n")
			default:
				inMail = false
				fmt.Fprintf(c, "250 %s\r\n", name)
			}
		}
	}()
	return l.Addr().String()
}

// What came through the gateway leaves by its next hop also when it had to wait;
// the service's own mail leaves by the smart host.
func TestExits(t *testing.T) {
	t.Parallel()
	conf, err := config.Parse("pli.toml", fmt.Appendf(nil, "public_url = \"https://pli.example.org\"\ndatabase = \"sqlite:pli.db\"\n"+
		"[mail]\nsmarthost = %q\ntls = \"none\"\nfrom = \"envelopes@example.org\"\n[gateway]\nnext_hop = %q\nnext_hop_tls = \"none\"\n", hop(t, "smart host"), hop(t, "next hop")))
	if err != nil {
		t.Fatal(err)
	}
	exits, err := server.NewExits(conf)
	if err != nil {
		t.Fatal(err)
	}
	for transit, want := range map[string]string{"": "smart host", "01a217bb-c1d1-714e-8dde-40067ef5078b": "next hop"} {
		mail := "From: ana@example.org\r\n\r\nx\r\n"
		a, err := exits.Send(t.Context(), outbox.Parcel{From: mailaddr.MustParse("ana@example.org"), To: []outbox.Receiver{{Addr: mailaddr.MustParse("bob@x.test")}},
			Raw:     &outbox.Raw{Size: int64(len(mail)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(mail)), nil }},
			Transit: transit})
		if err != nil || a.Text != want {
			t.Errorf("transit %q: %q, %v", transit, a.Text, err)
		}
	}
}
