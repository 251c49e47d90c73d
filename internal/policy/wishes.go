package policy

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/message"
)

// wishes are the options that one source of them names: the header, a rule, the
// account. nil and 0 say nothing.
type wishes struct {
	expires, remind                    time.Duration
	receipt                            *bool
	reply, replyAll, forward           *bool
	scriptFree, serverDecrypt, offline *bool
	keepSubject                        *bool
	level                              string
}

// over are the wishes of w, and where it says nothing those of below.
func (w wishes) over(below wishes) wishes {
	if w.expires == 0 {
		w.expires = below.expires
	}
	if w.remind == 0 {
		w.remind = below.remind
	}
	w.level = Stricter(w.level, below.level) // nobody loosens it
	for _, x := range []struct{ w, below **bool }{
		{&w.receipt, &below.receipt}, {&w.reply, &below.reply}, {&w.replyAll, &below.replyAll}, {&w.forward, &below.forward},
		{&w.scriptFree, &below.scriptFree}, {&w.serverDecrypt, &below.serverDecrypt}, {&w.offline, &below.offline}, {&w.keepSubject, &below.keepSubject},
	} {
		if *x.w == nil {
			*x.w = *x.below
		}
	}
	return w
}

func (w wishes) options(keywords []string) Options {
	yes := func(b *bool) bool { return b != nil && *b }
	return Options{Expires: w.expires, Receipt: w.receipt, Remind: w.remind, Reply: w.reply, ReplyAll: w.replyAll, Forward: w.forward,
		ScriptFree: yes(w.scriptFree), ServerDecrypt: yes(w.serverDecrypt), Offline: w.offline, KeepSubject: yes(w.keepSubject), Level: w.level, keywords: keywords}
}

// asked is what the fields of a header ask for, by which a sender, or a filter
// before us, says what is to be done: our own, and those that filters for CRES write.
type asked struct {
	wishes
	action  Action // "" = none
	field   string // that asks for it
	ignored []string
	auto    bool // a program sent it
}

func readHeader(h message.Header) asked {
	a := asked{}
	cres, own, confirm := "", Action(""), false
	for _, f := range h {
		switch f.Name {
		case "x-pli-seal":
			switch yes := a.flag(f); {
			case yes != nil && *yes:
				own = Seal // of several, one yes is enough
			case yes != nil && own == "":
				own = Plain
			}
			continue
		case "x-pli-level":
			a.readLevel(f)
			continue
		case "disposition-notification-to":
			confirm = true
			continue
		case "auto-submitted":
			a.auto = a.auto || !isNo(f.Value)
			continue
		}
		if !strings.HasPrefix(f.Name, "x-postx-") {
			continue
		}
		if cres == "" {
			cres = f.Name
		}
		a.control(f)
	}
	if confirm && a.receipt == nil {
		a.receipt = &confirm
	}
	switch {
	case own != "":
		a.action, a.field = own, "x-pli-seal"
	case cres != "": // who writes one of them wants an envelope
		a.action, a.field = Seal, cres
	}
	return a
}

// control reads one of CRES's fields. Of several with one name the first counts.
func (a *asked) control(f message.HeaderField) {
	set := func(to **bool, v *bool) {
		if *to == nil {
			*to = v
		}
	}
	switch strings.TrimPrefix(f.Name, "x-postx-") {
	case "reply-enabled":
		set(&a.reply, a.flag(f))
	case "reply-all-enabled":
		set(&a.replyAll, a.flag(f))
	case "forward-enabled":
		set(&a.forward, a.flag(f))
	case "send-return-receipt":
		set(&a.receipt, a.flag(f))
	case "use-script":
		if v := a.flag(f); v != nil {
			free := !*v
			set(&a.scriptFree, &free)
		}
	case "suppress-applet-for-open":
		set(&a.serverDecrypt, a.flag(f))
	case "remember-envelope-key-checkbox":
		set(&a.offline, a.flag(f))
	case "expirationdate":
		a.duration(f, &a.expires)
	case "readnotificationdate":
		a.duration(f, &a.remind)
	default:
		a.ignore(f)
	}
}

// readLevel reads how strongly recipients are to prove who they are. Of several
// fields the strictest counts: a second one cannot loosen the first.
func (a *asked) readLevel(f message.HeaderField) {
	v := strings.ToLower(strings.TrimSpace(f.Value))
	if !IsLevel(v) {
		a.ignore(f)
		return
	}
	a.level = Stricter(a.level, v)
}

// duration reads a time from now; of several the first counts.
func (a *asked) duration(f message.HeaderField, to *time.Duration) {
	d, ok := relativeTime(f.Value)
	if !ok {
		a.ignore(f)
	} else if *to == 0 {
		*to = d
	}
}

// flag is the yes or no of a field, nil where it says neither.
func (a *asked) flag(f message.HeaderField) *bool {
	yes := false
	switch strings.ToLower(strings.TrimSpace(f.Value)) {
	case "true", "yes", "1":
		yes = true
	case "false", "no", "0":
	default:
		a.ignore(f)
		return nil
	}
	return &yes
}

func (a *asked) ignore(f message.HeaderField) {
	if !slices.Contains(a.ignored, f.Name) {
		a.ignored = append(a.ignored, f.Name)
	}
}

// isNo reads Auto-Submitted, which may have a comment or parameters after its
// word (RFC 3834, section 5).
func isNo(v string) bool {
	if i := strings.IndexAny(v, ";("); i >= 0 {
		v = v[:i]
	}
	return strings.EqualFold(strings.TrimSpace(v), "no")
}

// longest is how long an envelope may live by anybody's wish.
const longest = 100 * 365 * 24 * time.Hour

// relativeTime reads hours:minutes:seconds with or without +, as CRES has it,
// days before them, or a number of days ("7 days", "7d").
func relativeTime(v string) (time.Duration, bool) {
	v = strings.TrimPrefix(strings.TrimSpace(v), "+")
	if n, unit, ok := numberOf(v); ok && slices.Contains([]string{"d", "day", "days"}, strings.ToLower(unit)) {
		v = strconv.FormatInt(n, 10) + ":0:0:0"
	}
	parts := strings.Split(v, ":")
	if len(parts) != 3 && len(parts) != 4 {
		return 0, false
	}
	units := []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}[4-len(parts):]
	var d time.Duration
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || time.Duration(n) > longest/units[i] {
			return 0, false
		}
		d += time.Duration(n) * units[i]
	}
	return d, d > 0 && d <= longest
}

// numberOf splits "30 days" into 30 and "days".
func numberOf(s string) (n int64, unit string, ok bool) {
	s = strings.TrimSpace(s)
	i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if i < 0 {
		i = len(s)
	}
	n, err := strconv.ParseInt(s[:i], 10, 32)
	return n, strings.TrimSpace(s[i:]), err == nil
}

// equal reports whether both say the same.
func (w wishes) equal(v wishes) bool { return reflect.DeepEqual(w, v) }
