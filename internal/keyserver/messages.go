package keyserver

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// What an administrator looks at, as the audit log names it when it is refused.
const lookAtMessages = "message.view"

// MessageRow is a message of an account for its administrators: who sent it, to
// whom, when, and what came of it. Subject, note and reasons are people's words
// and not theirs.
type MessageRow struct {
	SentRow
	SenderAddress string
	SenderName    string
}

// MessageDetail is one message for the administrators of its account.
type MessageDetail struct {
	SentDetail
	SenderAddress string
	SenderName    string
}

// MessageSearch narrows what Messages lists. Zero fields narrow nothing.
type MessageSearch struct {
	Filter      Filter
	Text        string // a reference, or the address of a recipient or a sender
	Sender      string // an address
	Recipient   string
	From, Until time.Time // sealed from then on, and before then
}

// reachOf is on whose messages somebody has the right over messages: all of the
// account's, or those of the members of some groups (within).
func reachOf(tx *store.Tx, a Actor, account int64) (within []string, ok bool, err error) {
	if a.UserID == "" {
		return nil, slices.Contains(a.AdminOf, account), nil
	}
	if all, err := tx.HasRight(a.UserID, account, store.RightMessages, ""); err != nil || all {
		return nil, all, err
	}
	u, err := tx.FindUser(a.UserID)
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.AccountID != account || u.State != store.UserActive || u.Temporary) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	held, err := tx.ListHoldings(a.UserID, account)
	for _, h := range held {
		if h.Right == store.RightMessages && h.Scope != "" {
			within = append(within, h.Scope)
		}
	}
	return within, len(within) > 0, err
}

// look runs fn for who may look at an account's messages. A refusal is recorded
// before it is answered, as if there were no such account.
func (s *Service) look(ctx context.Context, a Actor, account int64, fn func(v *view, within []string) error) error {
	denied := false
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		within, ok, err := reachOf(tx, a, account)
		if denied = err == nil && !ok; err != nil || denied {
			return err
		}
		v, err := s.newView(tx)
		if err != nil {
			return err
		}
		v.blind = true
		return fn(v, within)
	})
	if err == nil && denied {
		err = s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			home := int64(0)
			if u, err := tx.FindUser(a.UserID); err == nil {
				home = u.AccountID
			}
			return tx.InsertAudit(store.AuditRow{AccountID: home, Actor: a.Name, Action: lookAtMessages, Target: strconv.FormatInt(account, 10),
				Outcome: store.Refused, Origin: a.Origin, Detail: map[string]string{"reason": ReasonRights}})
		})
		if err == nil {
			err = notFound()
		}
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Messages lists an account's messages, newest first, from after the row that
// after names. Whoever has the right over messages may ask; who has it over some
// groups sees what their members sent. Faults: e404.h1.
func (s *Service) Messages(ctx context.Context, a Actor, account int64, find MessageSearch, after string, limit int) (rows []MessageRow, next string, err error) {
	limit = min(max(limit, 1), mostSent)
	err = s.look(ctx, a, account, func(v *view, within []string) error {
		rows, next = nil, ""
		q := store.MessageQuery{AccountID: account, Within: within, Filter: sentFilters[find.Filter], Now: v.now, From: find.From, Until: find.Until,
			Sender: canonical(find.Sender), Recipient: canonical(find.Recipient), Limit: limit + 1}
		q.BeforeTime, q.BeforeID = parseCursor(after)
		tries, err := v.meanings(q, strings.TrimSpace(find.Text))
		if err != nil {
			return err
		}
		for _, q := range tries {
			messages, err := v.tx.ListAccountMessages(q)
			if err != nil {
				return err
			}
			if len(messages) > limit {
				messages = messages[:limit]
				next = cursor(messages[limit-1].SealedAt, messages[limit-1].ID)
			}
			if rows, err = v.messageRows(messages); err != nil || len(rows) > 0 {
				return err
			}
		}
		return nil
	})
	return rows, next, err
}

// meanings are the queries that a text may mean, the likeliest first.
func (v *view) meanings(q store.MessageQuery, text string) ([]store.MessageQuery, error) {
	if text == "" {
		return []store.MessageQuery{q}, nil
	}
	var out []store.MessageQuery
	if ref, ok := id.ParseReference(text); ok {
		messageID, err := v.tx.FindMessageOfRef(ref)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		} else if err == nil {
			one := q
			one.MessageID = messageID
			out = append(out, one)
		}
	}
	if a, err := mailaddr.Parse(text); err == nil {
		to, from := q, q
		if q.Recipient == "" {
			to.Recipient = a.Canonical()
			out = append(out, to)
		}
		if q.Sender == "" {
			from.Sender = a.Canonical()
			out = append(out, from)
		}
	}
	return out, nil
}

// canonical is an address as it is compared; what is none finds nothing.
func canonical(text string) string {
	text = strings.TrimSpace(text)
	if a, err := mailaddr.Parse(text); err == nil {
		return a.Canonical()
	}
	return text
}

func (v *view) messageRows(messages []store.Message) ([]MessageRow, error) {
	found, err := v.rows(messages)
	out := make([]MessageRow, len(found))
	for i, r := range found {
		out[i] = MessageRow{r.SentRow, messages[i].SenderAddress, messages[i].SenderName}
	}
	return out, err
}

// Message returns one message of an account to who may look at it. Faults: e404.h1.
func (s *Service) Message(ctx context.Context, a Actor, account int64, messageID string) (d MessageDetail, err error) {
	err = s.look(ctx, a, account, func(v *view, within []string) error {
		list, err := v.tx.ListAccountMessages(store.MessageQuery{AccountID: account, Within: within, MessageID: messageID, Now: v.now, Limit: 1})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return notFound()
		}
		d = MessageDetail{SenderAddress: list[0].SenderAddress, SenderName: list[0].SenderName}
		d.SentDetail, err = v.detail(list[0])
		return err
	})
	return d, err
}

// ActOnMessages is ActOnMany for the messages that Messages finds, from after on.
func (s *Service) ActOnMessages(ctx context.Context, a Actor, act Act, account int64, find MessageSearch, after string) (out Many, err error) {
	var ids []string
	for len(ids) < actMost {
		rows, next, err := s.Messages(ctx, a, account, find, after, min(mostSent, actMost-len(ids)))
		if err != nil {
			return out, err
		}
		for _, r := range rows {
			ids = append(ids, r.MessageID)
		}
		if after = next; next == "" {
			break
		}
	}
	out, err = s.ActOnMany(ctx, a, act, ids)
	out.Next = after
	return out, err
}

// RecordExport records that somebody takes the list of an account's messages away.
func (s *Service) RecordExport(ctx context.Context, a Actor, account int64) error {
	err := s.look(ctx, a, account, func(*view, []string) error { return nil })
	if err != nil {
		return err
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertAudit(store.AuditRow{AccountID: account, Actor: a.Name, Action: "message.export", Target: strconv.FormatInt(account, 10), Origin: a.Origin})
	})
}
