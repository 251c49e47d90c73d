package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// phrase is in the text of every message: where it can be read at the next hop, nothing was encrypted.
const phrase = "the board has not met yet"

const words = "please find attached the quarterly figures we spoke about on tuesday and keep them confidential until " +
	"then thank you for your patience with this the contract number is noted below for reference"

// mail is a message in two pieces, dots stuffed, with the number that makes its Message-ID its own between them.
type mail struct {
	before, after []byte
	size          int // octets of the message, without the final dot
}

// newMail makes a message of about size octets, headers and all. Up to 32 KiB it is text; a larger one is a short
// text with an attachment in base64 that cannot be compressed. The same size gives the same octets.
func newMail(size int) mail {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	var head, body bytes.Buffer
	head.WriteString("From: Alice <alice@" + senderDomain + ">\r\nTo: Bob <bob@" + recipientDomain + ">\r\nSubject: Quarterly figures\r\n" +
		"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n")
	if size <= 32<<10 {
		head.WriteString("Content-Type: text/plain; charset=utf-8\r\n")
		text(&body, r, size-head.Len()-130)
	} else {
		head.WriteString("Content-Type: multipart/mixed; boundary=\"=_figures\"\r\n")
		body.WriteString("--=_figures\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
		text(&body, r, 1500)
		body.WriteString("--=_figures\r\nContent-Type: application/pdf; name=\"figures.pdf\"\r\n" +
			"Content-Disposition: attachment; filename=\"figures.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		attachment(&body, r, (size-head.Len()-body.Len()-80)/78*57)
		body.WriteString("--=_figures--\r\n")
	}
	m := mail{before: append(head.Bytes(), "Message-ID: <"...)}
	m.after = append([]byte("@"+senderDomain+">\r\n\r\n"), bytes.ReplaceAll(body.Bytes(), []byte("\r\n."), []byte("\r\n.."))...)
	m.size = len(m.before) + 12 + len(m.after)
	return m
}

func text(b *bytes.Buffer, r *rand.Rand, n int) {
	b.WriteString("Dear Bob,\r\n\r\n" + phrase + ".\r\n")
	w := strings.Fields(words)
	for col, end := 0, b.Len()+n; b.Len() < end; {
		x := w[r.IntN(len(w))]
		if col+len(x) > 72 {
			b.WriteString("\r\n")
			col = 0
		}
		b.WriteString(x)
		b.WriteByte(' ')
		col += len(x) + 1
	}
	b.WriteString("\r\n")
}

func attachment(b *bytes.Buffer, r *rand.Rand, n int) {
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	e := base64.StdEncoding.EncodeToString(raw)
	for len(e) > 76 {
		b.WriteString(e[:76] + "\r\n")
		e = e[76:]
	}
	b.WriteString(e + "\r\n")
}

// parseSize reads 4k, 25m or a number of octets.
func parseSize(s string) (int, error) {
	digits, unit := s, 1
	switch {
	case strings.HasSuffix(s, "k"):
		digits, unit = s[:len(s)-1], 1<<10
	case strings.HasSuffix(s, "m"):
		digits, unit = s[:len(s)-1], 1<<20
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n*unit < 2<<10 || n*unit > 50<<20 {
		return 0, fmt.Errorf("size %q: want 2k to 50m", s)
	}
	return n * unit, nil
}

// sizeName is the opposite of parseSize, for people.
func sizeName(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " B"
}
