package account

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// auditExport is in the records; the right to do it is auditView.
const auditExport action = "audit.export"

// AuditQuery is what somebody wants to see of a log.
type AuditQuery struct {
	Actor   string // an address, or as the records have it: operator:root
	Action  string
	Target  string // an address, a group's name, …: as the records have it
	Outcome string // store.Done, store.Refused
	Origin  string // a network address, or "terminal"
	From    time.Time
	To      time.Time // not included

	Older, Newer string // cursors of AuditLog; of both, Newer counts
}

// IsZero reports whether q selects everything.
func (q AuditQuery) IsZero() bool {
	return q.filter(0).IsAll()
}

func (q AuditQuery) filter(number int64) store.AuditFilter {
	f := store.AuditFilter{AccountID: number, Action: q.Action, Target: strings.TrimSpace(q.Target), Outcome: q.Outcome, Origin: strings.TrimSpace(q.Origin), From: q.From, To: q.To}
	if ip, err := netip.ParseAddr(f.Origin); err == nil {
		f.Origin = ip.Unmap().String() // as it is recorded
	}
	if a, err := mailaddr.Parse(f.Target); err == nil {
		f.Target = a.Canonical()
	}
	if actor := strings.TrimSpace(q.Actor); actor != "" {
		f.Actors = []string{actor}
		if a, err := mailaddr.Parse(actor); err == nil {
			f.Actors = []string{"user:" + a.Canonical(), "recipient:" + a.Canonical()}
		}
	}
	return f
}

// details are what a record of reading says about it.
func (q AuditQuery) details() (out []string) {
	put := func(name, value string) {
		if value != "" {
			out = append(out, name, value)
		}
	}
	put("of_actor", q.Actor)
	put("of_action", q.Action)
	put("of_target", q.Target)
	put("of_outcome", q.Outcome)
	put("of_origin", q.Origin)
	if !q.From.IsZero() {
		put("from", q.From.UTC().Format(time.RFC3339))
	}
	if !q.To.IsZero() {
		put("to", q.To.UTC().Format(time.RFC3339))
	}
	return out
}

// AuditLog is a page of a log, newest first, and how its chain was found.
type AuditLog struct {
	Records      []store.AuditRow
	Older, Newer string // cursors, "" at an end
	Chain        AuditChain
}

// AuditChain is what is known of a log's chain.
type AuditChain struct {
	Events    int64
	Since     time.Time // of its first event; zero: there is none yet
	CheckedAt time.Time // last full check; zero: none yet
	BrokenSeq int64     // from where it does not verify, 0: it does
	BrokenID  string    // that event, "" where it is gone
}

// ReadAudit returns a page of an account's log, of number 0 that of no account.
// An operator's reading is recorded in it (I12): each beginning, and of the pages
// after it once an hour.
func (s *Service) ReadAudit(ctx context.Context, actor Actor, number int64, q AuditQuery, limit int) (AuditLog, error) {
	limit = limited(limit)
	var out AuditLog
	read := func(tx *store.Tx, a store.Account) error {
		var err error
		out, err = readAudit(tx, auditList(number), q.filter(a.ID), q, limit)
		if err != nil {
			return err
		}
		out.Chain, err = auditChain(tx, a.ID)
		return err
	}
	err := s.reading(ctx, actor, number, q, read)
	return out, err
}

// reading is look for the log: what an operator begins to read is recorded.
func (s *Service) reading(ctx context.Context, actor Actor, number int64, q AuditQuery, read func(*store.Tx, store.Account) error) error {
	if actor.Kind != KindOperator {
		return s.look(ctx, actor, auditView, number, read)
	}
	return s.act(ctx, actor, auditView, number, func(tx *store.Tx, a store.Account) error {
		if err := read(tx, a); err != nil {
			return err
		}
		// A cursor is no proof that its reader began at the first page.
		details := q.details()
		_, name := typed(strings.Join(append([]string{actor.String(), strconv.FormatInt(number, 10)}, details...), "\n"))
		first, _, err := tx.Hit("audit.view:"+name, time.Hour, 1)
		if err != nil || !first && q.Older+q.Newer != "" {
			return err
		}
		return record(tx, actor, auditView, a.ID, "audit", details...)
	})
}

// ReadSiteAudit is ReadAudit over all accounts, for operators; it has no chain of its own.
func (s *Service) ReadSiteAudit(ctx context.Context, actor Actor, q AuditQuery, limit int) (AuditLog, error) {
	limit = limited(limit)
	var out AuditLog
	err := s.reading(ctx, actor, 0, q, func(tx *store.Tx, _ store.Account) (err error) {
		f := q.filter(0)
		f.Every = true
		out, err = readAudit(tx, keyset.Of("audit"), f, q, limit)
		return err
	})
	return out, err
}

// BeginAuditTail records that an operator follows what happens, as the reading of
// an account's log, 0 of all, and returns the position of a few records ago.
func (s *Service) BeginAuditTail(ctx context.Context, actor Actor, number int64) (pos int64, err error) {
	err = s.reading(ctx, actor, number, AuditQuery{}, func(tx *store.Tx, _ store.Account) (err error) {
		pos, err = tx.NotaryPos()
		return err
	})
	return max(0, pos-10), err
}

// AuditTail returns the records of all accounts after a position, in the order
// of the notary, in which nothing comes late.
func (s *Service) AuditTail(ctx context.Context, actor Actor, pos int64) (rows []store.AuditRow, err error) {
	err = s.look(ctx, actor, auditView, 0, func(tx *store.Tx, _ store.Account) (err error) {
		rows, err = tx.ListAuditPos(pos, exportPage)
		return err
	})
	return rows, err
}

// auditList is the list of an account's records.
func auditList(number int64) keyset.List { return keyset.Of("audit", number) }

func readAudit(tx *store.Tx, list keyset.List, f store.AuditFilter, q AuditQuery, limit int) (out AuditLog, err error) {
	at, newer := q.Older, false
	if q.Newer != "" {
		at, newer = q.Newer, true
	}
	if at, err = list.Key(at); err != nil {
		return out, err
	}
	rows, err := tx.FilterAudit(f, at, newer, limit+1)
	more := len(rows) > limit
	switch {
	case err != nil:
		return out, err
	case newer && more:
		rows = rows[1:]
	case more:
		rows = rows[:limit]
	}
	out.Records = rows
	if len(rows) == 0 {
		return out, nil
	}
	if newer || more {
		out.Older = list.Cursor(rows[len(rows)-1].ID)
	}
	if newer && more || !newer && at != "" {
		out.Newer = list.Cursor(rows[0].ID)
	}
	return out, nil
}

func auditChain(tx *store.Tx, number int64) (c AuditChain, err error) {
	h, err := tx.FindAuditHead(number)
	if errors.Is(err, store.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c = AuditChain{Events: h.Seq, CheckedAt: h.CheckedAt, BrokenSeq: h.BrokenSeq, BrokenID: h.BrokenID}
	first, err := tx.ListChain(number, 0, 1)
	if len(first) > 0 {
		c.Since = first[0].At
	}
	return c, err
}

// AuditEvent returns one record of an account's log.
func (s *Service) AuditEvent(ctx context.Context, actor Actor, number int64, id string) (store.AuditRow, AuditChain, error) {
	var out store.AuditRow
	var chain AuditChain
	read := func(tx *store.Tx, a store.Account) (err error) {
		if out, err = tx.FindAudit(a.ID, id); err != nil {
			return err
		}
		chain, err = auditChain(tx, a.ID)
		return err
	}
	if actor.Kind != KindOperator {
		err := s.look(ctx, actor, auditView, number, read)
		return out, chain, err
	}
	err := s.act(ctx, actor, auditView, number, func(tx *store.Tx, a store.Account) error {
		if err := read(tx, a); err != nil {
			return err
		}
		return record(tx, actor, auditView, a.ID, "audit", "event", out.ID)
	})
	return out, chain, err
}

// exportPage is how many records are read at once.
const exportPage = 500

// ExportAudit begins to export an account's log, of number 0 that of no account,
// in a format, which is recorded. next returns the next records, none at the
// end. A whole log comes in the order of its chain, as far as it was when its end
// was as in head; what is filtered comes newest first, and has no head.
func (s *Service) ExportAudit(ctx context.Context, actor Actor, number int64, q AuditQuery, format string) (next func(context.Context) ([]store.AuditRow, error), head store.AuditHead, err error) {
	err = s.act(ctx, actor, auditView, number, func(tx *store.Tx, a store.Account) error {
		if q.IsZero() {
			var err error
			if head, err = tx.FindAuditHead(a.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return record(tx, actor, auditExport, a.ID, "audit", append([]string{"format", format}, q.details()...)...)
	})
	if err != nil {
		return nil, head, err
	}
	filter := q.filter(number)
	return s.auditPages(actor, number, func(tx *store.Tx, last store.AuditRow) ([]store.AuditRow, error) {
		if filter.IsAll() {
			return tx.ListChain(number, last.Seq, int(min(exportPage, head.Seq-last.Seq)))
		}
		return tx.FilterAudit(filter, last.ID, false, exportPage)
	}), head, nil
}

// ExportSiteAudit is ExportAudit over all accounts, for operators: all of it in the
// order of the notary, and what is filtered newest first.
func (s *Service) ExportSiteAudit(ctx context.Context, actor Actor, q AuditQuery, format string) (next func(context.Context) ([]store.AuditRow, error), err error) {
	var end int64
	if err := s.act(ctx, actor, auditView, 0, func(tx *store.Tx, _ store.Account) error {
		var err error
		if end, err = tx.NotaryPos(); err != nil {
			return err
		}
		return record(tx, actor, auditExport, 0, "audit", append([]string{"format", format, "of", "all"}, q.details()...)...)
	}); err != nil {
		return nil, err
	}
	filter := q.filter(0)
	filter.Every = true
	return s.auditPages(actor, 0, func(tx *store.Tx, last store.AuditRow) ([]store.AuditRow, error) {
		if q.IsZero() {
			return tx.ListAuditPos(last.Pos, int(min(exportPage, end-last.Pos)))
		}
		return tx.FilterAudit(filter, last.ID, false, exportPage)
	}), nil
}

// auditPages reads one page after the other, each from the last record of the one
// before, as long as the actor may.
func (s *Service) auditPages(actor Actor, number int64, read func(tx *store.Tx, last store.AuditRow) ([]store.AuditRow, error)) func(context.Context) ([]store.AuditRow, error) {
	last, begun := store.AuditRow{}, false
	return func(ctx context.Context) (rows []store.AuditRow, err error) {
		if begun && last.ID == "" {
			return nil, nil
		}
		err = s.look(ctx, actor, auditView, number, func(tx *store.Tx, _ store.Account) (err error) {
			rows, err = read(tx, last)
			return err
		})
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthenticated) {
			return nil, err
		} else if err != nil {
			return nil, fault.New(fault.Unavailable, "e503.h1").Because(err)
		}
		begun, last = true, store.AuditRow{}
		if len(rows) > 0 {
			last = rows[len(rows)-1]
		}
		return rows, nil
	}
}

// AuditChains returns a page of what is known of the chains of accounts by number, 0 the
// first time, of no account with the first; next is 0 at the end. For operators.
func (s *Service) AuditChains(ctx context.Context, actor Actor, after string, limit int) (heads []store.AuditHead, next string, err error) {
	limit = limited(limit)
	err = s.look(ctx, actor, systemView, 0, func(tx *store.Tx, _ store.Account) (err error) {
		list := keyset.Of("chains")
		from, _, err := list.Numbered(after)
		if err != nil {
			return err
		}
		if after == "" {
			from = -1
		}
		heads, err = tx.ListAuditHeads(from, limit+1)
		heads, next = keyset.Page(list, heads, limit, func(h store.AuditHead) string { return keyset.Numbered(h.AccountID, "") })
		return err
	})
	return heads, next, err
}

// AuditAction is an act that is recorded when it is done, and what it is: its
// sentence with dots where a record has its particulars.
type AuditAction struct{ Name, Text string }

var unfilled = regexp.MustCompile(`\{[a-z_]+\}`)

// AuditActions are all acts that have a sentence, in the order of their names.
func AuditActions(p i18n.Printer) (out []AuditAction) {
	for _, key := range p.Keys("au.s.") {
		name := strings.TrimPrefix(key, "au.s.")
		if !strings.Contains(name, ".") { // a frame of other sentences
			continue
		}
		row := store.AuditRow{Actor: "user:…", Action: name, Target: "…", Outcome: store.Done, Detail: map[string]string{"recipient": "…"}}
		out = append(out, AuditAction{name, unfilled.ReplaceAllString(Sentence(p, row), "…")})
	}
	return out
}
