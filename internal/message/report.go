package message

import (
	"bytes"
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
		f.put("Original-Envelope-Id", r.EnvelopeID)
	}
	f.put("Arrival-Date", r.Arrived.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	for _, d := range r.Recipients {
		h.WriteString("\r\n")
		if d.Original != "" {
			kind, address, _ := strings.Cut(d.Original, ";")
			f.put("Original-Recipient", kind+"; "+address)
		}
		f.put("Final-Recipient", "rfc822; "+d.Final)
		f.put("Action", d.Action)
		f.put("Status", d.Status)
		if d.Remote != "" {
			f.put("Remote-MTA", "dns; "+d.Remote)
		}
		if d.Said != "" {
			f.put("Diagnostic-Code", "smtp; "+strings.ToValidUTF8(cleanText(d.Said), "?"))
		}
	}
	if f.err != nil {
		return f.err
	}
	fmt.Fprintf(h, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n%s\r\n--%s--\r\n", boundary, r.Header, boundary)
	_, err := w.Write(h.Bytes())
	return err
}
