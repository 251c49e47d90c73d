package policy

import (
	"strings"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/message"
)

// Kinds of mail that rules treat apart.
const (
	KindEncrypted = "encrypted" // S/MIME (RFC 8551) or OpenPGP (RFC 3156)
	KindCalendar  = "calendar"  // an invitation or its answer (RFC 6047), which programs read
)

// KindOf is the kind of a message, "" for an ordinary one; invites is what
// message.Indexer.Invites says of it.
func KindOf(h message.Header, parts []envelope.Part, invites bool) string {
	ct, _ := h.First("content-type")
	ct = strings.ToLower(ct)
	main, _, _ := strings.Cut(ct, ";")
	main = strings.TrimSpace(main)
	switch {
	case main == "application/pkcs7-mime" || main == "application/x-pkcs7-mime":
		// What is only signed, or compressed, anybody can read (RFC 8551, section 3.2.2).
		if !strings.Contains(ct, "certs-only") && !strings.Contains(ct, "signed-data") && !strings.Contains(ct, "compressed-data") {
			return KindEncrypted
		}
	case main == "multipart/encrypted":
		return KindEncrypted
	}
	if hasFiles(parts) { // whatever else it is, it is more than an invitation
		return ""
	}
	if v, ok := h.First("content-class"); ok && strings.EqualFold(v, "urn:content-classes:calendarmessage") {
		return KindCalendar
	}
	if invites {
		return KindCalendar
	}
	for _, p := range parts {
		if p.Type == "text/calendar" {
			// As the message itself or an alternative of its text; a file that is
			// merely attached makes no invitation.
			if p.Role != "attachment" || p.Name == "" || strings.HasPrefix(p.Name, "attachment-") || strings.HasPrefix(ct, "multipart/alternative") ||
				strings.HasPrefix(ct, "text/calendar") {
				return KindCalendar
			}
		}
	}
	return ""
}

// hasFiles reports files that are no calendar.
func hasFiles(parts []envelope.Part) bool {
	for _, p := range parts {
		if p.Role == "attachment" && p.Type != "text/calendar" && p.Type != "application/ics" {
			return true
		}
	}
	return false
}

// textFirst reports a message whose text comes first, where OpenPGP of before
// MIME has its armor.
func textFirst(parts []envelope.Part) bool {
	for _, p := range parts {
		if strings.HasPrefix(p.Type, "text/") {
			return p.Type == "text/plain" && p.Role == "text"
		}
	}
	return false
}
