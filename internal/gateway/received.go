package gateway

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/spool"
)

// tokenField names the field with which an upstream that shares its network
// with strangers (a mail service) shows whose it is. It is taken out: the
// recipient has no business with it.
const tokenField = "x-pli-upstream"

// received is a message as it came in: spooled, indexed, and looked at for
// what the way on must know.
type received struct {
	plain *spool.File
	index *message.Indexer

	inHeader bool
	line     []byte // of the header, until its end has come
	drop     bool   // the field that the line belongs to is taken out
	kept     bytes.Buffer

	token      string
	eightBit   bool // an octet beyond ASCII, anywhere
	utf8Header bool // one in the header

	manifest *envelope.Manifest
	header   message.Header
}

// longHeader is the longest header that is taken, in octets: it is in memory,
// and Postfix looks at a fifth of it.
const longHeader = 512 << 10

// longHeaderLine is the longest line of a header that is looked at whole.
const longHeaderLine = 64 << 10

func newReceived(dir string) *received {
	return &received{plain: spool.New(dir), index: message.NewIndexer(), inHeader: true}
}

// receive reads the message to its end.
func (in *received) receive(body io.Reader, buf []byte) error {
	if _, err := io.CopyBuffer(onlyWriter{in}, body, buf); err != nil {
		return err
	}
	if in.inHeader { // there was no body
		if err := in.endHeader(); err != nil {
			return err
		}
	}
	if err := in.plain.Finish(); err != nil {
		return err
	}
	in.manifest, in.header = in.index.Finish()
	return nil
}

type onlyWriter struct{ io.Writer }

func (in *received) close() { in.plain.Close() }

func (in *received) Write(p []byte) (int, error) {
	n := len(p)
	for in.inHeader && len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			end = len(p)
		}
		if in.kept.Len()+len(in.line)+end > longHeader {
			return 0, reply(554, "5.3.4", "the header is too long")
		}
		in.line = append(in.line, p[:end]...)
		p = p[end:]
		if in.line[len(in.line)-1] == '\n' || len(in.line) > longHeaderLine {
			in.headerLine()
		}
		if !in.inHeader {
			if err := in.endHeader(); err != nil {
				return 0, err
			}
		}
	}
	if len(p) == 0 {
		return n, nil
	}
	if !in.eightBit {
		in.eightBit = isEightBit(p)
	}
	return n, in.pass(p)
}

// headerLine takes the line: it is kept, or taken out.
func (in *received) headerLine() {
	line := in.line
	switch {
	case string(line) == "\r\n" || len(line) > longHeaderLine:
		in.inHeader = false
		in.kept.Write(line)
	case line[0] == ' ' || line[0] == '\t':
		if !in.drop {
			in.kept.Write(line)
		}
	default:
		name, value, _ := bytes.Cut(line, []byte{':'})
		in.drop = strings.EqualFold(string(bytes.TrimRight(name, " \t")), tokenField)
		if in.drop {
			in.token = strings.TrimSpace(string(value))
		} else {
			in.kept.Write(line)
		}
	}
	in.line = in.line[:0]
}

func (in *received) endHeader() error {
	in.inHeader = false
	in.kept.Write(in.line)
	in.line = nil
	in.utf8Header = isEightBit(in.kept.Bytes())
	in.eightBit = in.utf8Header
	err := in.pass(in.kept.Bytes())
	in.kept = bytes.Buffer{}
	return err
}

func (in *received) pass(p []byte) error {
	in.index.Write(p)
	_, err := in.plain.Write(p)
	return err
}

// isEightBit reports whether p has an octet beyond ASCII.
func isEightBit(p []byte) bool {
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// ownMark is in the Received of this server; a space or a fold is before it.
func ownMark(hostname string) string { return "by " + hostname + " (Pli) " }

// hops counts the fields that each mail server on the way adds, and those of
// this one among them.
func (in *received) hops(hostname string) (all, own int) {
	mark := ownMark(hostname)
	for _, v := range in.header.All("received") {
		all++
		if strings.Contains(v, mark) {
			own++
		}
	}
	return all, own
}
