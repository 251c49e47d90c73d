package message

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is a delivery status notification (RFC 3464): what became of a mail
// for some recipients, for programs.
type Report struct {
	Reporting  string    // our host name
	EnvelopeID string    // ENVID that came with the mail, "" for none
	Arrived    time.Time // when the mail came
	Recipients []Delivery
	// Header is the header of the mail that is reported on, or what may be said
	// of it: lines that end with CRLF, none that is secret.
	Header string
}

// Delivery is what became of a mail for one recipient.
type Delivery struct {
	Final    string // the address
	Original string // ORCPT as it came, type;address, "" for none
	Action   string // failed, delayed, delivered, relayed
	Status   string // enhanced code, 5.1.1
	Remote   string // host that said so, "" for none
	Said     string // its reply, with the code; "" for none
}

// write writes the header h and the three parts of a report (RFC 6522).
func (r *Report) write(w io.Writer, h *bytes.Buffer, boundary, text string) error {
	fmt.Fprintf(h, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=%q\r\n\r\n--%s\r\n", boundary, boundary)
	textHeader(h, "plain", text)
	h.WriteString("\r\n")
	if err := writeText(h, text); err != nil {
		return err
	}
	fmt.Fprintf(h, "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n", boundary)
	f := fieldWriter{b: h}
	f.put("Reporting-MTA", "dns; "+r.Reporting)
	if r.EnvelopeID != "" {
		f.put("Original-Envelope-Id", fromXtext(r.EnvelopeID))
	}
	f.put("Arrival-Date", r.Arrived.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	for _, d := range r.Recipients {
		h.WriteString("\r\n")
		if d.Original != "" {
			kind, address, _ := strings.Cut(d.Original, ";")
			if !strings.EqualFold(kind, "utf-8") {
				address = fromXtext(address)
			}
			f.put("Original-Recipient", kind+"; "+inASCII(address))
		}
		kind := "rfc822"
		if !printable(d.Final) {
			kind = "utf-8"
		}
		f.put("Final-Recipient", kind+"; "+inASCII(d.Final))
		f.put("Action", d.Action)
		f.put("Status", d.Status)
		if d.Remote != "" {
			f.put("Remote-MTA", "dns; "+d.Remote)
		}
		if d.Said != "" {
			f.put("Diagnostic-Code", "smtp; "+said(d.Said))
		}
	}
	if f.err != nil {
		return f.err
	}
	fmt.Fprintf(h, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n%s\r\n--%s--\r\n", boundary, r.Header, boundary)
	_, err := w.Write(h.Bytes())
	return err
}

// saidMost is how much of a reply is told, in octets: no word of it may outgrow
// a line, or there would be no report.
const saidMost = 900

// said makes one line of ASCII of another server's reply.
func said(s string) string {
	return cut(strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, cleanText(s)), saidMost)
}

// inASCII writes letters beyond ASCII as RFC 6533, section 3, has it for a report
// that every server passes on.
func inASCII(address string) string {
	var b strings.Builder
	for _, r := range address {
		if r > '~' {
			fmt.Fprintf(&b, `\x{%X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// fromXtext undoes the encoding of SMTP parameters (RFC 3461, section 4). What
// is not encoded so, or hides what may not stand in a header, stays as it is.
func fromXtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return s
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return s
		}
		b.Write(c)
		i += 2
	}
	if !printable(b.String()) {
		return s
	}
	return b.String()
}
