package keyserver

import (
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/i18n"
)

// Status is how something stands, in words, with the colour that goes with it.
type Status struct{ Class, Text string }

// Status is the one word that matters most: what stops it, then who opened it, then how far it came.
func (row SentRow) Status(p i18n.Printer) Status {
	n := len(row.Recipients)
	switch {
	case row.State == StateRecalled:
		return Status{"", p.T("st.recalled")}
	case row.State == StateExpired || row.State == StateGone:
		return Status{"", p.T("st.expired")}
	case row.State == StateLocked:
		return Status{"bad", p.T("st.locked")}
	case row.Bounced > 0 && row.Opened == 0:
		return Status{"bad", p.T("st.bounced")}
	case row.Opened == n:
		return Status{"ok", p.T("st.opened")}
	case row.Opened > 0:
		return Status{"warn", p.T("st.partly", "n", row.Opened, "m", n)}
	}
	for _, s := range row.Recipients {
		switch s.Delivery {
		case "queued":
			return Status{"info", p.T("st.queued")}
		case "passing":
			return Status{"info", p.T("st.passing")}
		}
	}
	return Status{"info", p.T("st.sent")}
}

// Status is the one word that matters most for this recipient.
func (s SentRecipient) Status(p i18n.Printer) Status {
	switch {
	case s.Delivery == "withdrawn":
		return Status{"", p.T("st.withdrawn")}
	case s.State == StateRecalled:
		return Status{"", p.T("st.recalled")}
	case s.State == StateExpired || s.State == StateGone:
		return Status{"", p.T("st.expired")}
	case s.State == StateLocked:
		return Status{"bad", p.T("st.locked")}
	case s.Openings > 0:
		return Status{"ok", p.T("st.opened")}
	case s.Delivery == "bounced":
		return Status{"bad", p.T("st.bounced")}
	case s.Delivery == "queued":
		return Status{"info", p.T("st.queued")}
	case s.Delivery == "passing":
		return Status{"info", p.T("st.passing")}
	}
	return Status{"info", p.T("st.sent")}
}

// Say tells one event in words. Who did it is named without the kind that the log puts before it.
func (e Event) Say(p i18n.Printer) string {
	key, known := map[string]string{
		"envelope.seal":              "desk.ev.seal",
		"envelope.bounce":            "desk.ev.bounce",
		"envelope.release":           "desk.ev.release",
		"envelope.released_assisted": "desk.ev.assisted",
		"envelope.assisted_upload":   "forwarded.ev",
		"envelope.release_denied":    "desk.ev.denied",
		"envelope.lease":             "desk.ev.lease",
		"envelope.lease_denied":      "desk.ev.leasedenied",
		"device.remember":            "desk.ev.device",
		ActLock:                      "desk.ev.lock",
		ActUnlock:                    "desk.ev.unlock",
		ActExpire:                    "desk.ev.expire",
		ActEnd:                       "desk.ev.end",
		ActRecall:                    "desk.ev.recall",
		ActResend:                    "desk.ev.resend",
		ActReaddress:                 "desk.ev.readdress",
		"envelope.remind":            "desk.ev.remind",
		"envelope.destroy":           "desk.ev.destroy",
		"envelope.reply":             "answer.ev.reply",
		"envelope.forward":           "answer.ev.forward",
	}[e.Action]
	if !known {
		return e.Action
	}
	switch e.Action {
	case "envelope.seal", "envelope.bounce", "envelope.release", "envelope.released_assisted", "envelope.assisted_upload", "envelope.release_denied", "envelope.lease_denied", "device.remember":
	case "envelope.lease":
		until := p.Time(e.Until)
		if p.Zone == time.UTC {
			until += " UTC"
		}
		return p.T(key, "target", e.Recipient, "date", until)
	case "envelope.reply", "envelope.forward":
		if e.Refused {
			key += "denied"
		}
	case ActLock, ActUnlock:
		if e.Refused {
			key += "denied"
		} else if e.Recipient != "" {
			key += "one"
		}
	default:
		if e.Refused {
			key = "desk.ev.actdenied"
		} else if e.Recipient != "" {
			key += "one"
		}
	}
	return p.T(key, "actor", nameOf(e.Actor), "target", e.Recipient, "to", e.To, "reason", why(p, e.Reason))
}

func why(p i18n.Printer, reason string) string {
	if reason == "" {
		return ""
	}
	key := "desk.why." + reason
	if s := p.T(key); s != key {
		return s
	}
	return reason
}

func nameOf(actor string) string {
	if _, name, ok := strings.Cut(actor, ":"); ok {
		return name
	}
	return actor
}
