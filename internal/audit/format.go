package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

// Formats are the forms that events leave in.
var Formats = []string{"csv", "jsonl", "cef"}

// Say says a record in a sentence.
type Say func(store.AuditRow) string

const timeForm = "2006-01-02T15:04:05.000Z07:00"

// line is an event in JSON; the names are in docs/spec/audit-chain.md.
type line struct {
	ID       string            `json:"id"`
	Account  int64             `json:"account"`
	Seq      int64             `json:"seq"`
	At       string            `json:"at"`
	Actor    string            `json:"actor"`
	Action   string            `json:"action"`
	Target   string            `json:"target"`
	Outcome  string            `json:"outcome"`
	Origin   string            `json:"origin"`
	Detail   map[string]string `json:"detail"`
	Hash     string            `json:"hash"`
	Sentence string            `json:"sentence"`
}

// JSON is r as one line of JSON, without a line end.
func JSON(r store.AuditRow, say Say) []byte {
	if r.Detail == nil {
		r.Detail = map[string]string{}
	}
	return marshal(line{r.ID, r.AccountID, r.Seq, r.At.UTC().Format(timeForm), r.Actor, r.Action, r.Target, r.Outcome, r.Origin, r.Detail, hex.EncodeToString(r.Digest), say(r)})
}

// JSON is c as the last line of an export.
func (c Checkpoint) JSON() []byte {
	return marshal(map[string]checkpointLine{"checkpoint": {c.Account, c.Seq, hex.EncodeToString(c.Hash), c.At.UTC().Format(timeForm), base64.StdEncoding.EncodeToString(c.Signature)}})
}

type checkpointLine struct {
	Account   int64  `json:"account"`
	Seq       int64  `json:"seq"`
	Hash      string `json:"hash"`
	At        string `json:"at"`
	Signature string `json:"signature"`
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("audit: " + err.Error()) // strings and numbers always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

var (
	cefHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\r", " ", "\n", " ")
	cefValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\r", `\r`, "\n", `\n`)
)

// CEF is r in ArcSight's Common Event Format, version 0, without a line end.
func CEF(r store.AuditRow, say Say, version string) []byte {
	var b bytes.Buffer
	severity, outcome := "3", "success"
	if r.Outcome == store.Refused {
		severity, outcome = "6", "failure"
	}
	fmt.Fprintf(&b, "CEF:0|Pli|Pli|%s|%s|%s|%s|", cefHeader.Replace(version), cefHeader.Replace(r.Action), cefHeader.Replace(r.Action), severity)
	first := true
	put := func(name, value string) {
		if value == "" {
			return
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		b.WriteString(name + "=" + cefValue.Replace(value))
	}
	put("rt", strconv.FormatInt(r.At.UnixMilli(), 10))
	put("externalId", r.ID)
	put("suser", r.Actor)
	if _, err := netip.ParseAddr(r.Origin); err == nil {
		put("src", r.Origin)
	} else {
		put("shost", r.Origin)
	}
	put("outcome", outcome)
	put("msg", say(r))
	label := func(name, label, value string) {
		if value != "" {
			put(name+"Label", label)
			put(name, value)
		}
	}
	label("cs1", "target", r.Target)
	if len(r.Detail) > 0 {
		label("cs2", "detail", string(marshal(r.Detail)))
	}
	label("cs3", "hash", hex.EncodeToString(r.Digest))
	label("cn1", "account", strconv.FormatInt(r.AccountID, 10))
	label("cn2", "seq", strconv.FormatInt(r.Seq, 10))
	return b.Bytes()
}

// Writer writes events in one of Formats.
type Writer struct {
	format  string
	version string
	say     Say
	b       *bufio.Writer
	csv     *csv.Writer
}

// NewWriter begins an export on w.
func NewWriter(w io.Writer, format, version string, say Say) (*Writer, error) {
	if !slices.Contains(Formats, format) {
		return nil, fmt.Errorf("there is no format %q", format)
	}
	out := &Writer{format: format, version: version, say: say, b: bufio.NewWriter(w)}
	if format == "csv" { // RFC 4180, with the mark by which a spreadsheet knows UTF-8
		out.b.WriteString("\uFEFF")
		out.csv = csv.NewWriter(out.b)
		out.csv.UseCRLF = true
		out.csv.Write([]string{"at", "sentence", "actor", "action", "target", "outcome", "origin", "detail", "account", "seq", "id", "hash"})
	}
	return out, nil
}

// Write adds records, and passes them on.
func (w *Writer) Write(rows []store.AuditRow) error {
	for _, r := range rows {
		switch w.format {
		case "csv":
			detail := ""
			if len(r.Detail) > 0 {
				detail = string(marshal(r.Detail))
			}
			w.csv.Write([]string{r.At.UTC().Format(timeForm), roster.Inert(w.say(r)), roster.Inert(r.Actor), roster.Inert(r.Action), roster.Inert(r.Target), r.Outcome, roster.Inert(r.Origin),
				roster.Inert(detail), strconv.FormatInt(r.AccountID, 10), strconv.FormatInt(r.Seq, 10), r.ID, hex.EncodeToString(r.Digest)})
		case "jsonl":
			w.b.Write(append(JSON(r, w.say), '\n'))
		default:
			w.b.Write(append(CEF(r, w.say, w.version), '\n'))
		}
	}
	if w.csv != nil {
		w.csv.Flush()
	}
	return w.b.Flush() // has the error of any write before
}

// End ends the export of a whole log with what vouches for it, in the form that can be verified.
func (w *Writer) End(head Checkpoint) error {
	if w.format == "jsonl" && head.Seq > 0 {
		w.b.Write(append(head.JSON(), '\n'))
	}
	return w.b.Flush()
}

// ErrForm is a file that is no export in JSON lines.
var ErrForm = errors.New("this is not an export of an audit log in JSON lines")

// VerifyFile verifies the export of a whole log. Without a key, signatures are
// not looked at, and only what fits together is known to.
func VerifyFile(in io.Reader, key ed25519.PublicKey) (Result, error) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, 4<<20)
	var out Result
	var v *Verifier
	ended := false
	for n := 1; s.Scan(); n++ {
		var l struct {
			line
			Checkpoint *checkpointLine `json:"checkpoint"`
		}
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		if err := d.Decode(&l); err != nil {
			return out, fmt.Errorf("%w: line %d: %w", ErrForm, n, err)
		}
		if l.Checkpoint != nil {
			c, err := l.Checkpoint.read()
			if err != nil {
				return out, fmt.Errorf("%w: line %d: %w", ErrForm, n, err)
			}
			if v == nil {
				v = &Verifier{Key: key, Account: c.Account}
				out.Account = c.Account
			}
			out.Head, ended = c, true
			continue
		}
		r, err := l.read()
		if err != nil {
			return out, fmt.Errorf("%w: line %d: %w", ErrForm, n, err)
		}
		if v == nil {
			v = &Verifier{Key: key, Account: r.AccountID}
			out.Account, out.Since = r.AccountID, r.At
		}
		if ended || !v.Add(r) {
			break
		}
	}
	if err := s.Err(); err != nil {
		return out, err
	}
	if v == nil {
		return out, fmt.Errorf("%w: it is empty", ErrForm)
	}
	out.Seq = v.Seq()
	if out.Broken = v.Broken(); out.Broken == nil && ended {
		out.Broken = v.End(out.Head)
	} else if out.Broken == nil {
		out.Broken = &Break{out.Seq + 1, "", Truncated} // nothing vouches for its end
	}
	return out, nil
}

func (l line) read() (r store.AuditRow, err error) {
	at, err := time.Parse(timeForm, l.At)
	if err != nil {
		return r, err
	}
	hash, err := hex.DecodeString(l.Hash)
	return store.AuditRow{ID: l.ID, AccountID: l.Account, At: at, Seq: l.Seq, Actor: l.Actor, Action: l.Action, Target: l.Target, Outcome: l.Outcome,
		Origin: l.Origin, Detail: l.Detail, Digest: hash}, err
}

func (l checkpointLine) read() (Checkpoint, error) {
	at, err1 := time.Parse(timeForm, l.At)
	hash, err2 := hex.DecodeString(l.Hash)
	signature, err3 := base64.StdEncoding.DecodeString(l.Signature)
	return Checkpoint{l.Account, l.Seq, hash, at, signature}, errors.Join(err1, err2, err3)
}

// ReadCheckpoint reads a checkpoint that was printed, the last line of an export,
// or an event that is one.
func ReadCheckpoint(b []byte) (Checkpoint, error) {
	var l struct {
		line
		Checkpoint *checkpointLine `json:"checkpoint"`
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Checkpoint{}, ErrForm
	}
	if l.Checkpoint != nil {
		return l.Checkpoint.read()
	}
	c, ok := checkpointOf(store.AuditRow{AccountID: l.Account, Action: l.Action, Detail: l.Detail})
	if !ok {
		return Checkpoint{}, ErrForm
	}
	return c, nil
}
