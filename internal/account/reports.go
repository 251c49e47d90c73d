package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

const (
	reportView action = "report.view"

	reportCursor = "reports" // in the table of the log's receivers, whose other names are URLs
	reportBatch  = 200       // records of one transaction: it holds SQLite's one writer
	reportClaim  = time.Minute
	// A mail of the gateway that is not handed on by then will not be.
	reportPassing = 10 * time.Minute
	// reportKeep is how long figures name senders and domains.
	reportKeep = 400 * 24 * time.Hour

	// MaxReportDays is the longest time of one report.
	MaxReportDays = 366
	// MaxReportNames is how many senders or domains a report has at most.
	MaxReportNames = 1000
)

// Report is an account's figures for some days. They are of what was sealed on
// these days: a recipient who opens later is counted where the message is.
type Report struct {
	From, To time.Time // first and last day, at midnight in the account's time zone
	Days     []ReportDay
	Total    ReportDay // of all days; its Day is zero
	Senders  []store.ReportCount
	Domains  []store.ReportCount
}

// ReportDay is a day's figures.
type ReportDay struct {
	Day        time.Time // midnight in the account's time zone
	Messages   int64
	Recipients int64
	Opened     int64 // of the recipients
	Failed     int64 // of the recipients: not delivered
	Invited    int64
	Added      int64
	Activated  int64 // people who signed in for the first time
}

// Unopened is how many recipients have not opened.
func (d ReportDay) Unopened() int64 { return d.Recipients - d.Opened }

func (d *ReportDay) add(o ReportDay) {
	d.Messages, d.Recipients, d.Opened, d.Failed = d.Messages+o.Messages, d.Recipients+o.Recipients, d.Opened+o.Opened, d.Failed+o.Failed
	d.Invited, d.Added, d.Activated = d.Invited+o.Invited, d.Added+o.Added, d.Activated+o.Activated
}

// Report returns an account's figures for a number of days up to today, or,
// where month is not zero, for the days of that month. names is how many senders
// and domains it has, the busiest first. Fault: rp.badperiod.
func (s *Service) Report(ctx context.Context, actor Actor, number int64, days int, month time.Time, names int) (out Report, err error) {
	if month.IsZero() && (days < 1 || days > MaxReportDays) {
		return out, badPeriod()
	}
	err = s.look(ctx, actor, reportView, number, func(tx *store.Tx, a store.Account) error {
		zone := ZoneOf(a.TimeZone)
		out = Report{To: midnight(tx.Now, zone)}
		out.From = out.To.AddDate(0, 0, 1-days)
		if !month.IsZero() {
			out.From = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, zone)
			out.To = out.From.AddDate(0, 1, -1)
		}
		from, to := dayNumber(out.From), dayNumber(out.To)
		counts, err := tx.ListReportDays(a.ID, from, to)
		if err != nil {
			return err
		}
		people, err := tx.ListPeopleDays(a.ID, from, to)
		if err != nil {
			return err
		}
		byDay := map[int64]*ReportDay{}
		for day := out.From; !day.After(out.To); day = midnight(day.Add(36*time.Hour), zone) {
			out.Days = append(out.Days, ReportDay{Day: day})
		}
		for i := range out.Days {
			byDay[dayNumber(out.Days[i].Day)] = &out.Days[i]
		}
		for _, c := range counts {
			byDay[c.Day].add(ReportDay{Messages: c.Messages, Recipients: c.Recipients, Opened: c.Opened, Failed: c.Failed})
		}
		for _, c := range people {
			byDay[c.Day].add(ReportDay{Invited: c.Invited, Added: c.Added, Activated: c.Activated})
		}
		for _, d := range out.Days {
			out.Total.add(d)
		}
		if out.Senders, err = tx.ListReportNames(a.ID, store.ReportSender, from, to, min(names, MaxReportNames)); err != nil {
			return err
		}
		out.Domains, err = tx.ListReportNames(a.ID, store.ReportDomain, from, to, min(names, MaxReportNames))
		return err
	})
	return out, err
}

func badPeriod() *fault.Error {
	return fault.New(fault.Invalid, "rp.badperiod").With("n", MaxReportDays).In("days", "rp.badperiod", fault.Args{"n": MaxReportDays})
}

// ReportPeriod reads how many days a report is of. Fault: rp.badperiod.
func ReportPeriod(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxReportDays {
		return 0, badPeriod()
	}
	return n, nil
}

// ReportMonth reads a month as 2026-11. Fault: rp.badmonth.
func ReportMonth(s string) (time.Time, error) {
	t, err := time.Parse("2006-01", s)
	if err != nil {
		return t, fault.New(fault.Invalid, "rp.badmonth").In("month", "rp.badmonth", nil)
	}
	return t, nil
}

// ZoneOf is the time zone of a name (IANA), in which an account's days are. What this
// machine does not know is UTC.
func ZoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

func midnight(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

func dayNumber(t time.Time) int64 {
	y, m, d := t.Date()
	return int64(y*10000 + int(m)*100 + d)
}

// SweepReports counts what the notary has chained since the last time, in
// batches, each with its cursor in one transaction: so each record counts once,
// however often and on however many nodes this runs. It stops before a message
// that can still be taken back, which is so for undo after it was sent.
func (s *Service) SweepReports(ctx context.Context, undo time.Duration) error {
	for {
		var pos int64
		var some []store.AuditRow
		if err := s.c.DB.View(ctx, func(tx *store.Tx) error {
			cursor, err := tx.FindAuditStream(reportCursor)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			some, err = tx.ListAuditPos(cursor.Pos, 1)
			return err
		}); err != nil || len(some) == 0 {
			return err
		}
		more := false
		if err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
			ours, err := tx.ClaimAuditStream(reportCursor, 0, reportClaim)
			if err != nil || !ours {
				return err
			}
			cursor, err := tx.FindAuditStream(reportCursor)
			if err != nil {
				return err
			}
			rows, err := tx.ListAuditPos(cursor.Pos, reportBatch)
			if err != nil {
				return err
			}
			pos = cursor.Pos
			t := tally{tx: tx, messages: map[tallied]*store.ReportCount{}, people: map[tallied]*store.PeopleCount{}, zones: map[int64]*time.Location{}}
			if cursor.Pos, err = t.count(rows, cursor.Pos, undo); err != nil {
				return err
			}
			more = len(rows) == reportBatch && cursor.Pos > pos
			return tx.KeepAuditStream(cursor)
		}); err != nil {
			return fmt.Errorf("count reports: %w", err)
		}
		if !more {
			return s.forgetReports(ctx)
		}
	}
}

func (s *Service) forgetReports(ctx context.Context) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.DeleteReports(dayNumber(tx.Now.UTC().Add(-reportKeep)))
		return err
	})
}

// tallied names a row of the figures.
type tallied struct {
	account int64
	kind    string
	day     int64
	name    string
}

// tally adds up a batch before it writes: a busy day has one row of each name.
type tally struct {
	tx       *store.Tx
	messages map[tallied]*store.ReportCount
	people   map[tallied]*store.PeopleCount
	zones    map[int64]*time.Location
}

// count adds up rows in order and returns the position of the last that it took.
func (t *tally) count(rows []store.AuditRow, pos int64, undo time.Duration) (int64, error) {
	var ids []string
	for _, r := range rows {
		switch r.Action {
		case "envelope.seal", "envelope.release", "envelope.released_assisted", "envelope.bounce":
			ids = append(ids, r.Target)
		}
	}
	slices.Sort(ids)
	list, err := t.tx.ListReportedSlots(slices.Compact(ids)...)
	if err != nil {
		return pos, err
	}
	slots := map[string][]store.ReportedSlot{}
	for _, s := range list {
		slots[s.MessageID] = append(slots[s.MessageID], s)
	}
	for _, r := range rows {
		if r.Action == "envelope.seal" && revocable(r, slots[r.Target], t.tx.Now, undo) {
			break
		}
		pos = r.Pos
		if r.AccountID == 0 || r.Outcome != store.Done {
			continue
		}
		if err := t.row(r, slots[r.Target]); err != nil {
			return pos, err
		}
	}
	return pos, t.write()
}

// revocable reports whether a message may still be taken back as if it had never been.
func revocable(r store.AuditRow, slots []store.ReportedSlot, now time.Time, undo time.Duration) bool {
	if len(slots) == 0 {
		return false
	}
	age := now.Sub(r.At)
	return slots[0].Carrier == store.CarrierMail && age < undo ||
		age < reportPassing && slices.ContainsFunc(slots, func(s store.ReportedSlot) bool { return s.Delivery == store.DeliveryPassing })
}

func (t *tally) row(r store.AuditRow, slots []store.ReportedSlot) error {
	switch r.Action {
	case "envelope.seal":
		return t.sealed(r.AccountID, slots)
	case "envelope.release", "envelope.released_assisted", "envelope.bounce":
		for _, s := range slots {
			switch {
			case s.ID != r.Detail["slot"]:
			case r.Action == "envelope.bounce":
				return t.slot(r.AccountID, s, store.ReportCount{Failed: 1})
			case s.OpenedAt.Equal(r.At): // it was the first opening
				return t.slot(r.AccountID, s, store.ReportCount{Opened: 1})
			}
		}
	case string(inviteSend):
		return t.person(r, store.PeopleCount{Invited: 1})
	case string(userAdd), string(inviteAccept), "user.join":
		return t.person(r, store.PeopleCount{Added: 1})
	case "session.signin", "session.second", "password.set": // what lets somebody in who owes no more
		first, err := t.tx.FirstSignIn(r.Target)
		if errors.Is(err, store.ErrNotFound) || err == nil && !first.Equal(r.At) {
			return nil
		}
		if err != nil {
			return err
		}
		return t.person(r, store.PeopleCount{Activated: 1})
	}
	return nil
}

// sealed counts a message: once for all and for its sender, and once for each
// domain that it goes to.
func (t *tally) sealed(account int64, slots []store.ReportedSlot) error {
	domains := map[string]bool{}
	for i, s := range slots {
		c := store.ReportCount{Recipients: 1}
		for _, k := range []struct{ kind, name string }{{store.ReportAll, ""}, {store.ReportSender, s.Sender}, {store.ReportDomain, s.DomainOf()}} {
			c.Messages = 0
			if i == 0 && k.kind != store.ReportDomain || k.kind == store.ReportDomain && !domains[k.name] {
				c.Messages = 1
			}
			if err := t.add(account, k.kind, k.name, s.SealedAt, c); err != nil {
				return err
			}
		}
		domains[s.DomainOf()] = true
	}
	return nil
}

// slot counts what happened to one recipient, on the day of the message.
func (t *tally) slot(account int64, s store.ReportedSlot, c store.ReportCount) error {
	return errors.Join(t.add(account, store.ReportAll, "", s.SealedAt, c), t.add(account, store.ReportSender, s.Sender, s.SealedAt, c),
		t.add(account, store.ReportDomain, s.DomainOf(), s.SealedAt, c))
}

func (t *tally) add(account int64, kind, name string, at time.Time, c store.ReportCount) error {
	day, err := t.day(account, at)
	if err != nil {
		return err
	}
	key := tallied{account, kind, day, name}
	if t.messages[key] == nil {
		t.messages[key] = &store.ReportCount{AccountID: account, Kind: kind, Day: day, Name: name}
	}
	k := t.messages[key]
	k.Messages, k.Recipients, k.Opened, k.Failed = k.Messages+c.Messages, k.Recipients+c.Recipients, k.Opened+c.Opened, k.Failed+c.Failed
	return nil
}

func (t *tally) person(r store.AuditRow, c store.PeopleCount) error {
	day, err := t.day(r.AccountID, r.At)
	if err != nil {
		return err
	}
	key := tallied{account: r.AccountID, day: day}
	if t.people[key] == nil {
		t.people[key] = &store.PeopleCount{AccountID: r.AccountID, Day: day}
	}
	k := t.people[key]
	k.Invited, k.Added, k.Activated = k.Invited+c.Invited, k.Added+c.Added, k.Activated+c.Activated
	return nil
}

func (t *tally) day(account int64, at time.Time) (int64, error) {
	zone := t.zones[account]
	if zone == nil {
		a, err := t.tx.FindAccount(account)
		if errors.Is(err, store.ErrNotFound) {
			a, err = store.Account{}, nil // gone; its zone is UTC's
		}
		if err != nil {
			return 0, err
		}
		zone = ZoneOf(a.TimeZone)
		t.zones[account] = zone
	}
	return dayNumber(at.In(zone)), nil
}

func (t *tally) write() error {
	for _, c := range t.messages {
		if err := t.tx.AddReportCount(*c); err != nil {
			return err
		}
	}
	for _, c := range t.people {
		if err := t.tx.AddPeopleCount(*c); err != nil {
			return err
		}
	}
	return nil
}
