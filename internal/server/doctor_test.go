package server

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/config"
)

// smarthost is a mail server that says how large a mail it takes, and no more.
func smarthost(t *testing.T, size int64) string {
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
		fmt.Fprint(c, "220 mx.example.org\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "EHLO") {
				fmt.Fprintf(c, "250-mx.example.org\r\n250 SIZE %d\r\n", size)
				continue
			}
			fmt.Fprint(c, "221 Bye\r\n")
		}
	}()
	return l.Addr().String()
}

// An operator hears before the senders do that large envelopes lose their attachment.
func TestSmarthostSize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size   int64
		limits string
		status string
	}{
		{35_000_000, "", CheckWarn}, {69_999_999, "", CheckWarn}, {70_000_000, "", CheckOK}, {0, "", CheckOK},
		{35_000_000, "[limits]\nattachments_mib = 12\n", CheckOK},
	} {
		conf, err := config.Parse("pli.toml", []byte(fmt.Sprintf("public_url = \"https://pli.example.org\"\ndatabase = \"sqlite:pli.db\"\n"+
			"[mail]\nsmarthost = %q\ntls = \"none\"\nfrom = \"envelopes@example.org\"\n%s", smarthost(t, tt.size), tt.limits)))
		if err != nil {
			t.Fatal(err)
		}
		d := &Doctor{Conf: conf}
		d.Smarthost(t.Context())
		if len(d.Found) != 1 || d.Found[0].Status != tt.status {
			t.Errorf("SIZE %d, %q: %+v", tt.size, tt.limits, d.Found)
		}
	}
}
