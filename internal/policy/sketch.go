package policy

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// sketchFiles is how many kinds of files a Sketch names.
const sketchFiles = 20

// Sketch is what is kept of a message beside who wrote to whom, so that other
// rules can be tried on it later: no subject, no text, no value of a field and no
// file's name.
type Sketch struct {
	Kind  string   `json:"k,omitempty"` // as of KindOf
	Asked Action   `json:"a,omitempty"` // by a field of its header
	Files []string `json:"f,omitempty"` // media type, a space, and how the name ends: ".pdf"; "." where it ends otherwise, nothing without a name
	More  bool     `json:"m,omitempty"` // it has more kinds of files
	Found string   `json:"c,omitempty"` // of each rule then in force whether its conditions about the message were true: y, n, or - for not looked at
}

// Sketch is what to keep of the message, after it was decided for its recipients.
func (c *Case) Sketch() Sketch {
	s := Sketch{Kind: c.kind, Asked: c.asked.action}
	if !c.kindKnown {
		s.Kind = KindOf(c.f.Header, c.f.Parts, c.f.Invites)
	}
	for _, p := range c.f.Parts {
		if p.Role != "attachment" && p.Role != "inline" {
			continue
		}
		f := p.Type + " " + ending(p.Name)
		switch {
		case slices.Contains(s.Files, f):
		case len(s.Files) == sketchFiles:
			s.More = true
		default:
			s.Files = append(s.Files, f)
		}
	}
	if c.spent >= searchTime { // what there was no time for says nothing of the message
		return s
	}
	var found strings.Builder
	for _, v := range c.common {
		switch {
		case !v.known:
			found.WriteByte('-')
		case v.ok:
			found.WriteByte('y')
		default:
			found.WriteByte('n')
		}
	}
	s.Found = strings.TrimRight(found.String(), "-")
	return s
}

var usualEnding = regexp.MustCompile(`^\.[a-z0-9]{1,8}$`)

// ending is how a file's name ends, where many end so.
func ending(name string) string {
	e := path.Ext(strings.ToLower(name))
	switch {
	case name == "":
		return ""
	case usualEnding.MatchString(e):
		return e
	}
	return "."
}

// Encode writes s as DecodeSketch reads it.
func (s Sketch) Encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // nothing in a Sketch cannot be written
	}
	return b
}

// DecodeSketch reads a Sketch.
func DecodeSketch(b []byte) (s Sketch, err error) {
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read sketch: %w", err)
	}
	return s, nil
}

// Past is a message that was decided, as it is remembered.
type Past struct {
	Sender  mailaddr.Address // zero: the null sender
	Size    int64
	At      time.Time
	Rules   *Rules // by which it was decided
	Sketch  *Sketch
	Outcome Outcome // for the recipient that is asked about
}

// Verdict is whether other rules would change what became of a message.
type Verdict string

// The verdicts.
const (
	Stays   Verdict = "stays"
	Changes Verdict = "changes" // something else becomes of it, or it is sealed in another way
	Untold  Verdict = "untold"  // it depends on what was not kept
)

// Forecast is what rules would do with a past message, for one recipient.
type Forecast struct {
	Verdict Verdict
	Before  Action
	After   []Action // more than one where it depends on what was not kept
	Number  int      // of the rule that decides, or the first that may; 0: none does
	Rule    string   // its name
}

// Replay tries rules on past messages.
type Replay struct {
	next *Rules
	c    Case // for the groups that it has asked for
}

// Replay begins. Groups are as they are now.
func (r *Rules) Replay(groups func(mailaddr.Address) ([]string, error)) *Replay {
	return &Replay{next: r, c: Case{r: r, f: &Facts{Groups: groups}, groups: map[string][]string{}}}
}

// truth is yes, no, or not known.
type truth int

const (
	no truth = iota
	yes
	unknown
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// Of says what would become of a past message.
func (p *Replay) Of(m Past) (Forecast, error) {
	f := Forecast{Before: m.Outcome.Action}
	if m.Outcome.Why.Way != "" { // the rules said TLS, and what it came to was found out then
		f.Before = TLS
	}
	to, err := mailaddr.Parse(m.Outcome.Recipient)
	if err != nil || m.Sketch == nil || m.Rules == nil {
		f.Verdict = Untold
		return f, nil
	}
	known := m.searched()
	if err := p.walk(&f, m, known, to); err != nil {
		return f, err
	}
	switch {
	case !slices.Contains(f.After, f.Before):
		f.Verdict = Changes
	case len(f.After) > 1:
		f.Verdict = Untold
	case f.Before != Seal:
		f.Verdict = Stays
	default:
		f.Verdict, err = p.sealedAs(m, known, to)
	}
	return f, err
}

// walk goes the way of Case.Decide, and on where something is not known.
func (p *Replay) walk(f *Forecast, m Past, known map[string]bool, to mailaddr.Address) error {
	add := func(a Action) {
		if !slices.Contains(f.After, a) {
			f.After = append(f.After, a)
		}
	}
	if m.Sender.IsZero() {
		add(Plain)
		return nil
	}
	switch p.keyword(m) {
	case yes:
		add(Seal)
		return nil
	case unknown:
		add(Seal)
	}
	if m.Sketch.Asked != "" {
		add(m.Sketch.Asked)
		return nil
	}
	kind := map[string]Action{KindEncrypted: p.next.encrypted, KindCalendar: p.next.calendar}[m.Sketch.Kind]
	if kind != "" {
		add(kind)
		return nil
	}
	for i := range p.next.rules {
		r := &p.next.rules[i]
		t, err := p.matches(r, m, known, to)
		if err != nil {
			return err
		}
		if t == no {
			continue
		}
		if f.Number == 0 {
			f.Number, f.Rule = i+1, r.name
		}
		add(r.then)
		if t == yes {
			return nil
		}
	}
	add(p.next.fallback)
	return nil
}

// keyword is whether the subject has one of the keywords. Of the keywords then in
// force the first that it had is remembered.
func (p *Replay) keyword(m Past) truth {
	had := ""
	if m.Outcome.Why.Source == SourceKeyword {
		had = m.Outcome.Why.What
	}
	if had != "" && slices.Contains(p.next.keywords, had) {
		return yes
	}
	missing := m.Rules.keywords
	if i := slices.Index(missing, had); had != "" && i >= 0 {
		missing = missing[:i]
	}
	for _, k := range p.next.keywords {
		if !slices.Contains(missing, k) {
			return unknown
		}
	}
	return no
}

// matches tries a rule on what is remembered.
func (p *Replay) matches(r *rule, m Past, known map[string]bool, to mailaddr.Address) (truth, error) {
	for _, l := range []struct {
		list []who
		a    mailaddr.Address
		not  bool
	}{{r.sender, m.Sender, false}, {r.recipient, to, false}, {r.notRecipient, to, true}} {
		if len(l.list) == 0 {
			continue
		}
		w, err := p.c.among(l.list, l.a)
		if err != nil || (w == "") != l.not {
			return no, err
		}
	}
	t := r.beside(m)
	if s := r.searches(); s != "" && t != no {
		found, told := known[s]
		switch {
		case !told:
			t = unknown
		case !found:
			t = no
		}
	}
	return t, nil
}

// beside is whether a rule's conditions about size and files are true.
func (r *rule) beside(m Past) truth {
	if r.sizeOver > 0 && m.Size <= r.sizeOver {
		return no
	}
	if len(r.attachment) == 0 {
		return yes
	}
	return m.Sketch.has(r.attachment)
}

// has is whether a file is like one of the patterns.
func (s *Sketch) has(patterns []string) truth {
	t := truthOf(false)
	if s.More {
		t = unknown
	}
	for _, f := range s.Files {
		media, end, _ := strings.Cut(f, " ")
		for _, pattern := range patterns {
			switch like := likeEnding(pattern, media, end); like {
			case yes:
				return yes
			case unknown:
				t = unknown
			}
		}
	}
	return t
}

// likeEnding is like for a file of which the media type and the ending are known.
func likeEnding(pattern, media, end string) truth {
	if strings.Contains(pattern, "/") {
		return truthOf(like([]rune(pattern), []rune(media)))
	}
	before := pattern
	if e := path.Ext(pattern); usualEnding.MatchString(e) {
		if e != end {
			return no
		}
		before = strings.TrimSuffix(pattern, e)
	}
	switch {
	case end == "": // no name
		return no
	case before != "" && strings.Trim(before, "*") == "":
		return yes
	}
	return unknown
}

// searches names a rule's conditions about what is not kept: two rules with one
// name ask the same of a message. "" for a rule that asks nothing of the kind.
func (r *rule) searches() string {
	var s []string
	for _, v := range r.sensitivity {
		s = append(s, "sensitivity "+v)
	}
	for _, h := range r.header {
		s = append(s, "header "+h.name+" "+h.value.String())
	}
	if r.subject != nil {
		s = append(s, "subject "+r.subject.String())
	}
	if r.text != nil {
		s = append(s, "text "+r.text.String())
	}
	return strings.Join(s, "\x00")
}

// searched is what was found out about such conditions when the message was decided.
func (m Past) searched() map[string]bool {
	known := map[string]bool{}
	for i := range m.Rules.rules {
		r := &m.Rules.rules[i]
		s := r.searches()
		if s == "" || i >= len(m.Sketch.Found) {
			continue
		}
		switch m.Sketch.Found[i] {
		case 'y':
			known[s] = true
		case 'n':
			if r.beside(m) == yes { // so it was not size or files
				known[s] = false
			}
		}
	}
	return known
}

// sealedAs compares how a message is sealed that is sealed in any case.
func (p *Replay) sealedAs(m Past, known map[string]bool, to mailaddr.Address) (Verdict, error) {
	was, wasKnown, err := p.first(m.Rules, m, known, to)
	if err != nil {
		return Untold, err
	}
	would, wouldKnown, err := p.first(p.next, m, known, to)
	switch {
	case err != nil || !wasKnown || !wouldKnown:
		return Untold, err
	case !was.equal(would):
		return Changes, nil
	}
	return Stays, nil
}

// first gives what the first rule that matches, and the account, wish; false where
// that is not known.
func (p *Replay) first(rules *Rules, m Past, known map[string]bool, to mailaddr.Address) (wishes, bool, error) {
	for i := range rules.rules {
		r := &rules.rules[i]
		switch t, err := p.matches(r, m, known, to); {
		case err != nil || t == unknown:
			return wishes{}, false, err
		case t == yes:
			return r.wishes.over(rules.wishes), true, nil
		}
	}
	return rules.wishes, true, nil
}
