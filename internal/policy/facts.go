package policy

import (
	"fmt"
	"io"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
)

// ReadFacts reads a message that rules are to be tried on; open gives it from its
// start, as often as it is asked. A zero sender is the null sender.
func ReadFacts(sender mailaddr.Address, open func() (io.ReadCloser, error), groups func(mailaddr.Address) ([]string, error)) (*Facts, error) {
	in, err := open()
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	defer in.Close()
	x := message.NewIndexer()
	size, err := io.Copy(x, in)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	m, header := x.Finish()
	return &Facts{Sender: sender, NullSender: sender.IsZero(), Subject: m.Subject, Header: header, Size: size, Parts: m.Parts, Invites: x.Invites(),
		Groups: groups, Text: func(dst io.Writer, limit int64) error { return message.TextOf(dst, m, open, limit) }}, nil
}
