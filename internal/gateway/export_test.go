package gateway

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/smtpd"
)

// Rewrite reads a message that ana@example.org sends as the gateway does, and returns
// the header of its sealed mail, the mail that passes, and the token that was
// taken out.
func Rewrite(t testing.TB, raw string) (sealed *message.Mail, passed, token string) {
	t.Helper()
	in := newReceived(t.TempDir())
	defer in.close()
	if err := in.receive(strings.NewReader(raw), make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	s := &session{peer: &smtpd.Peer{Hello: "mta.example.org", Addr: netip.MustParseAddr("192.0.2.1")}, state: &account.Admission{},
		from: smtpd.Path{Address: mailaddr.MustParse("ana@example.org")}}
	x := &transfer{g: &Gateway{c: Config{Hostname: "gw.example.org"}}, s: s, in: in, trace: "01a217bb-c1d1-714e-8dde-40067ef5078b", begun: time.Unix(1764150000, 0)}
	if boxes := in.header.Mailboxes("from"); len(boxes) == 1 { // as if it were an address of the account
		x.from = boxes[0].Addr
	}
	h := x.headerOutside()
	sealed = &message.Mail{From: x.sender(), To: h.To, Cc: h.Cc, ReplyTo: h.ReplyTo, Subject: "An envelope", Date: h.Date, MessageID: x.messageID(),
		InReplyTo: h.InReplyTo, References: h.References, Trace: h.Trace, Fields: h.Fields, Text: "Read it.", Boundary: "pli_x"}
	r, err := x.raw().Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return sealed, string(b), in.token
}

// Admitted gives what reads who may send by load, as the gateway does.
func Admitted(load func(context.Context) (*account.Admission, error)) func(context.Context) (*account.Admission, error) {
	a := &admitted{load: load, turn: make(chan struct{}, 1)}
	return a.get
}
