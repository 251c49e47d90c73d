package message

import (
	"net/mail"
	"strings"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
)

// HeaderField is one field of a message's own header.
type HeaderField struct {
	Name  string // lower case
	Value string // unfolded and trimmed, otherwise as it came
}

// Header is a message's own header, in its order.
type Header []HeaderField

func newHeader(fields []field) Header {
	h := make(Header, len(fields))
	for i, f := range fields {
		h[i] = HeaderField{f.name, f.value}
	}
	return h
}

// First returns the first field of that name, which is lower case, and whether there is one.
func (h Header) First(name string) (string, bool) {
	for _, f := range h {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// All returns the values of every field of that name, which is lower case.
func (h Header) All(name string) []string {
	var out []string
	for _, f := range h {
		if f.Name == name {
			out = append(out, f.Value)
		}
	}
	return out
}

// Mailbox reads a field that names one mailbox, in a way that leaves no room for
// another reading: the field stands once, and is one address and no group.
func (h Header) Mailbox(name string) (Mailbox, bool) {
	all := h.All(name)
	if len(all) != 1 || strings.HasSuffix(strings.TrimSpace(all[0]), ";") {
		return Mailbox{}, false
	}
	list, err := (&mail.AddressParser{WordDecoder: words}).ParseList(all[0])
	boxes := h.Mailboxes(name)
	if err != nil || len(list) != 1 || len(boxes) != 1 {
		return Mailbox{}, false
	}
	return boxes[0], true
}

// Mailboxes reads the address list of a field; what is no address is left out.
func (h Header) Mailboxes(name string) []Mailbox {
	v, _ := h.First(name)
	if v == "" {
		return nil
	}
	parser := mail.AddressParser{WordDecoder: words}
	list, err := parser.ParseList(strings.ToValidUTF8(v, "\ufffd"))
	if err != nil {
		return nil
	}
	var out []Mailbox
	for _, m := range list {
		if a, err := mailaddr.Parse(m.Address); err == nil {
			out = append(out, Mailbox{Name: cleanText(cut(m.Name, 1000)), Addr: a})
		}
	}
	return out
}

// Text is an unstructured value with its encoded words (RFC 2047) decoded,
// made safe for one line of display.
func (f HeaderField) Text() string {
	v := strings.ToValidUTF8(f.Value, "\ufffd")
	if strings.Contains(v, "=?") {
		if d, err := words.DecodeHeader(v); err == nil {
			v = d
		}
	}
	return cleanText(v)
}

// Mailboxes gives those of a manifest's list that are addresses, for a header
// that is written anew.
func Mailboxes(list []envelope.Mailbox) []Mailbox {
	var out []Mailbox
	for _, m := range list {
		if a, err := mailaddr.Parse(m.Address); err == nil {
			out = append(out, Mailbox{Name: m.Name, Addr: a})
		}
	}
	return out
}

// IDs reads the message ids of a field (RFC 5322, section 3.6.4), without
// angle brackets. What is none is left out.
func IDs(value string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(value, "<")
		if !ok {
			return out
		}
		id, after, ok := strings.Cut(rest, ">")
		if !ok {
			return out
		}
		if isMessageID(id) {
			out = append(out, id)
		}
		value = after
	}
}

// isMessageID reports whether s, without its angle brackets, can stand in a header.
func isMessageID(s string) bool {
	return len(s) <= 900 && strings.Contains(s, "@") && !strings.ContainsAny(s, "<> \t\"(),;") && printable(s)
}
