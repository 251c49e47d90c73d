package keyserver

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// Why a recipient reports an envelope.
const (
	ReportNotMe   = "notme"   // the address is not theirs
	ReportUnknown = "unknown" // they do not know the sender
	ReportPhish   = "phish"   // they take it for fraud
	ReportOther   = "other"
)

// ReportReasons are all of them.
var ReportReasons = []string{ReportNotMe, ReportUnknown, ReportPhish, ReportOther}

const (
	reportText     = 1000 // characters
	reportsNetwork = 20   // an hour, from one network
	reportsSlot    = 3    // a day, of one envelope; what is beyond is taken and tells nobody
	reportsTo      = 20   // administrators who are told
)

// ReportLetter tells an administrator what a recipient reports.
type ReportLetter struct {
	AccountID int64
	To        mailaddr.Address
	Language  string
	Ref       string
	Reason    string // ReportNotMe and so on
	Text      string // of the recipient, may be empty
	Recipient string // address as the sender wrote it
	Sender    Sender
	Proved    bool // who reports holds the mail or has proved the address
}

// Report tells the administrators of the sender's account what a recipient says
// of the envelope with that reference, and records it. Who holds the mail or has
// proved the address may, and gets the account's name; anybody else types the
// slot's address, and sees neither in the answer nor in how long it takes
// whether it was right. It locks nothing: a stranger could then lock what others
// need. Faults: home.err, err.email, rep.choose, err.long, sess.h1,
// si.mustchange, e429.p.
func (s *Service) Report(ctx context.Context, v Visitor, ref, typedAddress, reason, text string) (organisation string, err error) {
	begun := time.Now()
	if ref, err = parseRef(ref); err != nil {
		return "", err
	}
	text = strings.TrimSpace(text)
	switch {
	case !slices.Contains(ReportReasons, reason):
		return "", fault.New(fault.Invalid, "err.title").In("reason", "rep.choose", nil)
	case utf8.RuneCountInString(text) > reportText:
		return "", fault.New(fault.Invalid, "err.title").In("text", "err.long", fault.Args{"field": "rep.text", "n": reportText})
	}
	var told, proved bool
	var refused *fault.Error
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		told, proved, refused, organisation = false, false, nil, ""
		if _, err := openSession(tx, v); err != nil {
			return err
		}
		o, known, err := findRef(tx, ref, v.Session)
		if err != nil {
			return err
		}
		proved = known && (o.Possession || addressed(o))
		a, badAddress := mailaddr.Parse(typedAddress)
		if !proved && badAddress != nil {
			return fault.New(fault.Invalid, "err.email").In("email", "err.email", nil)
		}
		if ok, wait, err := tx.Hit("report:"+store.Network(v.Origin), time.Hour, reportsNetwork); err != nil || !ok {
			refused = fault.Wait("e429.p", wait)
			return err
		}
		if !proved && (!known || a.Canonical() != o.Slot.Address) {
			return nil
		}
		if proved {
			organisation = o.Organisation
		}
		if ok, _, err := tx.Hit("report:slot:"+o.Slot.ID, 24*time.Hour, reportsSlot); err != nil || !ok {
			return err
		}
		told = true
		return s.report(tx, v, o, ReportLetter{AccountID: o.Message.AccountID, Ref: ref, Reason: reason, Text: text,
			Recipient: o.Slot.DisplayAddress, Sender: sender(o), Proved: proved})
	})
	if told && err == nil {
		s.c.Post.Wake()
	}
	if err == nil && refused != nil {
		err = refused
	}
	if !proved && s.pause > 0 {
		select {
		case <-time.After(s.pause - time.Since(begun)):
		case <-ctx.Done():
		}
	}
	if err != nil {
		return "", unavailable(err)
	}
	return organisation, nil
}

// report writes the record, which has no words of the recipient, and the letters.
func (s *Service) report(tx *store.Tx, v Visitor, o store.Opening, l ReportLetter) error {
	row := auditOpening(o, v, nil)
	row.Action = "envelope.report"
	row.Detail["reason"], row.Detail["proved"] = l.Reason, "yes"
	if !l.Proved {
		row.Actor, row.Detail["proved"] = "visitor", "no"
	}
	if err := tx.InsertAudit(row); err != nil {
		return err
	}
	admins, err := tx.ListAdministrators(l.AccountID, reportsTo)
	if err != nil {
		return err
	}
	for _, u := range admins {
		if l.To, err = mailaddr.Parse(u.DisplayAddress); err != nil {
			return err
		}
		l.Language = u.Language
		if err := s.c.Post.Reported(tx, l); err != nil {
			return err
		}
	}
	return nil
}
