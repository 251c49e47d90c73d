package smtpd

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// secret asks for one answer of AUTH, unless the client gave it at once.
func (c *conn) secret(challenge, initial string) ([]byte, *Reply) {
	if initial == "=" {
		initial = ""
	} else if initial == "" {
		c.w.WriteString("334 " + challenge + "\r\n")
		if c.send() != nil {
			return nil, &Reply{421, "4.4.2", "lost", true}
		}
		line, err := c.command()
		if err != nil {
			return nil, &Reply{421, "4.4.2", "lost", true}
		}
		bare, ok := strings.CutSuffix(line, "\r\n")
		if !ok {
			return nil, &Reply{500, "5.5.2", "a line ends with CR LF", true}
		}
		if initial = bare; initial == "*" {
			return nil, &Reply{501, "5.7.0", "cancelled", false}
		}
	}
	b, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		return nil, &Reply{501, "5.5.2", "not base64", false}
	}
	return b, nil
}

// path reads <path> and what follows it. A source route is taken off (RFC 5321,
// appendix C).
func path(s string) (address, params string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		return "", "", false
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			address, params = s[1:i], s[i+1:]
			if strings.HasPrefix(address, "@") {
				_, after, found := strings.Cut(address, ":")
				if !found {
					return "", "", false
				}
				address = after
			}
			return address, params, params == "" || params[0] == ' '
		}
	}
	return "", "", false
}

// cutFold is strings.CutPrefix whatever the case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return strings.TrimLeft(s[len(prefix):], " "), true
}

func (c *conn) doMail(rest string) *Reply {
	rest, from := cutFold(rest, "FROM:")
	address, params, ok := path(rest)
	switch {
	case c.session == nil:
		return &Reply{503, "5.5.1", "EHLO first", false}
	case c.mail:
		return &Reply{503, "5.5.1", "one sender is enough", false}
	case !from || !ok:
		return &Reply{501, "5.5.4", "MAIL FROM:<address>", false}
	}
	var o MailOptions
	if r := c.mailParams(params, &o); r != nil {
		return r
	}
	p := Path{Null: address == ""}
	if !p.Null {
		a, r := c.address(address, o.UTF8, "5.1.7")
		if r != nil {
			return r
		}
		p.Address = a
	}
	if o.Size > c.s.c.MaxSize {
		return &Reply{552, "5.3.4", "the message is larger than " + strconv.FormatInt(c.s.c.MaxSize, 10) + " octets", false}
	}
	err := c.session.Mail(c.ctx, p, o)
	if err != nil && !errors.Is(err, ErrStranger) {
		return c.failed(err)
	}
	// One that brings mail begins anew: its next refusals may be its users' doing.
	if err == nil {
		c.known, c.mistakes, c.idle = true, 0, 0
		c.s.admit(c)
	}
	c.mail = true
	return &Reply{250, "2.1.0", "ok", false}
}

// address reads one address exactly; code is the enhanced code of a bad one.
func (c *conn) address(s string, utf8 bool, code string) (mailaddr.Address, *Reply) {
	a, err := mailaddr.Parse(s)
	if err != nil {
		return a, &Reply{553, code, "not an address that mail can be sent to", false}
	}
	if !a.IsASCII() && !utf8 {
		return a, &Reply{553, "5.6.7", "letters beyond ASCII need SMTPUTF8", false}
	}
	return a, nil
}

func (c *conn) mailParams(params string, o *MailOptions) *Reply {
	seen := map[string]bool{}
	for p := range strings.FieldsSeq(params) {
		name, value, _ := strings.Cut(p, "=")
		name = strings.ToUpper(name)
		if seen[name] {
			return &Reply{501, "5.5.4", "a parameter stands twice", false}
		}
		seen[name] = true
		ok := true
		switch name {
		case "SIZE":
			n, err := strconv.ParseUint(value, 10, 62)
			o.Size, ok = int64(n), err == nil
		case "BODY":
			o.Body = strings.ToUpper(value)
			ok = o.Body == "7BIT" || o.Body == "8BITMIME"
		case "SMTPUTF8":
			o.UTF8, ok = true, value == ""
		case "RET":
			o.Return = strings.ToUpper(value)
			ok = o.Return == "FULL" || o.Return == "HDRS"
		case "ENVID":
			o.EnvelopeID = value
			ok = isXtext(value) && len(value) <= 100
		case "AUTH": // who gave it to the client (RFC 4954, section 5); it proves nothing here
			ok = isXtext(value)
		default:
			return &Reply{555, "5.5.4", "unknown parameter of MAIL", false}
		}
		if !ok {
			return &Reply{501, "5.5.4", "a parameter of MAIL cannot be read", false}
		}
	}
	return nil
}

// isXtext: RFC 3461, section 4.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '=' {
			return false
		}
	}
	return s != ""
}

func (c *conn) doRcpt(rest string) *Reply {
	rest, to := cutFold(rest, "TO:")
	address, params, ok := path(rest)
	switch {
	case !c.mail:
		return &Reply{503, "5.5.1", "MAIL first", false}
	case !to || !ok || address == "":
		return &Reply{501, "5.5.4", "RCPT TO:<address>", false}
	case c.rcpts >= c.s.c.MaxRecipients:
		return &Reply{452, "4.5.3", "too many recipients, send to the rest in another message", false}
	}
	a, r := c.address(address, true, "5.1.3")
	if r != nil {
		return r
	}
	var o RcptOptions
	for p := range strings.FieldsSeq(params) {
		name, value, _ := strings.Cut(p, "=")
		switch strings.ToUpper(name) {
		case "NOTIFY":
			ok = o.Notify == nil
			for n := range strings.SplitSeq(strings.ToUpper(value), ",") {
				ok = ok && (n == "NEVER" && o.Notify == nil || n == "SUCCESS" || n == "FAILURE" || n == "DELAY")
				o.Notify = append(o.Notify, n)
			}
			ok = ok && (o.Notify[0] != "NEVER" || len(o.Notify) == 1)
		case "ORCPT":
			o.Original = value
			kind, rest, found := strings.Cut(value, ";")
			ok = found && isXtext(kind) && len(value) <= 500 && rest != "" && !strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f })
		default:
			return &Reply{555, "5.5.4", "unknown parameter of RCPT", false}
		}
		if !ok {
			return &Reply{501, "5.5.4", "a parameter of RCPT cannot be read", false}
		}
	}
	if err := c.session.Rcpt(c.ctx, a, o); err != nil {
		return c.failed(err)
	}
	c.rcpts++
	return &Reply{250, "2.1.5", "ok", false}
}
