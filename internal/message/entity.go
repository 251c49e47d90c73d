package message

import (
	"bytes"
	"strings"
)

// field is one header field: name in lower case, value unfolded and trimmed.
type field struct {
	name, value string
	blank       bool // white space stood before the colon
}

// isField reports whether a line begins a field (RFC 5322 section 2.2; white
// space before the colon is section 4.5.3, obsolete).
func isField(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte{':'})
	return ok && isFieldName(string(bytes.TrimRight(name, " \t")))
}

// parseHeader splits a block whose lines are fields and continuations.
func parseHeader(block []byte) []field {
	var out []field
	var value strings.Builder
	flush := func() {
		if n := len(out); n > 0 {
			out[n-1].value = strings.TrimSpace(value.String())
		}
		value.Reset()
	}
	for line := range bytes.Lines(block) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && len(out) > 0 {
			value.Write(line)
			continue
		}
		name, rest, ok := bytes.Cut(line, []byte{':'})
		if !ok || !isField(line) {
			continue // the line of a mailbox file
		}
		flush()
		trimmed := strings.TrimRight(string(name), " \t")
		out = append(out, field{name: strings.ToLower(trimmed), blank: len(trimmed) != len(name)})
		value.Write(rest)
	}
	flush()
	return out
}

// entity is what a header says about the body under it.
type entity struct {
	mediaType   string // lower case, type/subtype
	subtype     string
	multipart   bool
	boundary    string
	charset     string // text only
	encoding    string
	disposition string // lower case, "" if there is none
	name        string // made safe, "" if there is none
	id          string
	method      bool // it says what a calendar is to do (RFC 6047, section 2.4)
}

// opaque is an entity that is carried whole.
func opaque(name string) entity {
	return entity{mediaType: "application/octet-stream", encoding: identity, disposition: "attachment", name: name}
}

// structural are the fields that decide how a body is read; two of a kind are
// read differently by different programs. Here the first one counts.
var structural = map[string]bool{
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true,
	"content-id": true, "mime-version": true,
}

// first returns the first field of that name.
func first(h []field, name string) (string, bool) {
	for _, f := range h {
		if f.name == name {
			return f.value, true
		}
	}
	return "", false
}

func (s *scanner) readEntity(h []field, digest bool) entity {
	seen := make(map[string]bool)
	for _, f := range h {
		if !structural[f.name] {
			continue
		}
		if seen[f.name] {
			s.unusual("duplicate-" + f.name)
		}
		seen[f.name] = true
		if f.blank {
			s.unusual("space-before-colon")
		}
	}
	e := entity{mediaType: "text/plain", encoding: identity}
	if digest {
		e.mediaType = "message/rfc822" // RFC 2046 section 5.1.5
	}
	var ct params
	if v, ok := first(h, "content-type"); ok {
		ct = s.params(v, "content-type")
		major, minor, slash := strings.Cut(ct.main, "/")
		if slash && isToken(major) && isToken(minor) && len(ct.main) <= 127 {
			e.mediaType = ct.main
		} else {
			s.unusual("bad-content-type")
			e.mediaType = "text/plain" // RFC 2045 section 5.2
		}
	}
	major, minor, _ := strings.Cut(e.mediaType, "/")
	e.subtype = minor
	e.multipart = major == "multipart"
	s.readEncoding(&e, h, major)
	if e.multipart {
		s.readBoundary(&e, ct)
	}
	if major == "text" {
		s.readCharset(&e, ct)
	}
	method, _, _ := ct.get("method")
	e.method = method != ""
	var cd params
	if v, ok := first(h, "content-disposition"); ok {
		cd = s.params(v, "content-disposition")
		if e.disposition = cd.main; e.disposition == "" {
			e.disposition = "attachment" // RFC 2183 section 2.8: what is not known is attached
		}
	}
	s.readName(&e, ct, cd)
	if v, ok := first(h, "content-id"); ok {
		v = strings.Trim(v, "<> \t")
		if printable(v) && len(v) <= 255 {
			e.id = v
		}
	}
	switch e.mediaType {
	case "message/partial":
		s.unusual("message-partial")
	case "message/external-body":
		s.unusual("external-body")
	}
	return e
}

func (s *scanner) readEncoding(e *entity, h []field, major string) {
	v, ok := first(h, "content-transfer-encoding")
	if !ok {
		return
	}
	p := s.params(v, "content-transfer-encoding")
	switch p.main {
	case "7bit", "8bit", "binary", "":
		return
	case "base64":
		e.encoding = base64Encoding
	case "quoted-printable":
		e.encoding = quotedPrintable
	default:
		s.unusual("unknown-encoding")
		return
	}
	// RFC 2045 section 6.4 forbids both. The parts of a multipart stand in the
	// clear all the same; a message is a leaf here and can be decoded.
	if e.multipart {
		s.unusual("encoded-multipart")
		e.encoding = identity
	} else if major == "message" {
		s.unusual("encoded-message")
	}
}

func (s *scanner) readBoundary(e *entity, ct params) {
	b, plain, ext := ct.get("boundary")
	if plain && ext {
		s.unusual("duplicate-parameter")
	}
	e.boundary = strings.TrimRight(b, " \t")
	switch {
	case e.boundary == "" || len(e.boundary) > maxBoundary || strings.ContainsAny(e.boundary, "\r\n\x00"):
		s.unusual("missing-boundary")
		// Without it the parts cannot be told; all of them are one text.
		e.multipart, e.mediaType, e.boundary = false, "text/plain", ""
	case len(e.boundary) > 70:
		s.unusual("long-boundary") // RFC 2046 section 5.1.1
	}
}

func (s *scanner) readCharset(e *entity, ct params) {
	v, _, _ := ct.get("charset")
	if v == "" {
		return
	}
	v = strings.ToLower(v)
	if !isToken(v) || len(v) > 40 {
		s.unusual("unknown-charset")
		return
	}
	if known := charsetNames[v]; known != "" {
		v = known
	}
	e.charset = v
	if !browserCharset(v) {
		s.unusual("unknown-charset")
	}
}

// readName finds the file name: filename* or filename of Content-Disposition,
// then name of Content-Type (RFC 2183, RFC 2231, RFC 6266 section 4.3 for the order).
func (s *scanner) readName(e *entity, ct, cd params) {
	var names []string
	for _, p := range []struct {
		params params
		key    string
	}{{cd, "filename"}, {ct, "name"}} {
		for _, v := range p.params.all(p.key) {
			names = append(names, s.safeName(v))
		}
	}
	for _, n := range names {
		if n == "" {
			continue
		}
		if e.name == "" {
			e.name = n
		} else if n != e.name {
			s.unusual("name-conflict")
		}
	}
}
