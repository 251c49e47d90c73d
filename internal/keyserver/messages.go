package keyserver

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

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
	MessageID   string
	Sender      string // an address
	Recipient   string
	From, Until time.Time // sealed from then on, and before then
}

// reachOf is on whose messages somebody has the right over messages: all of the
// account's, or those of the members of some groups (within).
func reachOf(tx *store.Tx, a Actor, account int64) (within []string, ok bool, err error) {
	if live, err := tx.SessionActs(a.Session, a.UserID); !live || err != nil {
		return nil, false, err
	}
	if a.UserID == "" {
		return nil, slices.Contains(a.AdminOf, account), nil
	}
	if ok, err := tx.TokenAllows(a.Token, a.UserID, account, store.RightMessages); !ok || err != nil {
		return nil, false, err
	}
	within, err = tx.ListReach(a.UserID, account, store.RightMessages)
	if slices.Contains(within, "") {
		return nil, true, err
	}
	return within, len(within) > 0, err
}

// look runs fn for who may look at an account's messages.
func (s *Service) look(ctx context.Context, a Actor, account int64, fn func(v *view, within []string) error) error {
	return s.over(ctx, s.c.DB.View, a, account, "message.view", func(tx *store.Tx, within []string) error {
		v, err := s.newView(tx)
		if err != nil {
			return err
		}
		v.blind = true
		return fn(v, within)
	})
}

// over runs fn in a transaction for who has the right over an account's messages,
// of everybody or of who is within some groups. A refusal is recorded, as that of
// act, before it is answered as if there were no such account.
func (s *Service) over(ctx context.Context, run func(context.Context, func(*store.Tx) error) error, a Actor, account int64, act string,
	fn func(tx *store.Tx, within []string) error) error {
	denied := false
	err := run(ctx, func(tx *store.Tx) error {
		within, ok, err := reachOf(tx, a, account)
		if denied = err == nil && !ok; err != nil || denied {
			return err
		}
		return fn(tx, within)
	})
	if err == nil && denied {
		err = s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			u, err := tx.FindUser(a.UserID)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			row := a.record(u.AccountID, act, strconv.FormatInt(account, 10))
			row.Outcome, row.Detail["reason"] = store.Refused, ReasonRights
			return tx.InsertAudit(row)
		})
		if err == nil {
			err = notFound()
		}
	}
	return unavailable(err)
}

// query is what find asks the database for, from after on.
func (v *view) query(find MessageSearch, account int64, within []string, after string, limit int) (q store.MessageQuery, err error) {
	q = store.MessageQuery{AccountID: account, Within: within, Filter: sentFilters[find.Filter], Now: v.now, From: find.From, Until: find.Until,
		MessageID: find.MessageID, Sender: canonical(find.Sender), Recipient: canonical(find.Recipient), Limit: limit}
	q.BeforeTime, q.BeforeID, err = before(find.list(account), after)
	return q, err
}

// To is the address, canonical, whose copies alone an act on what find finds concerns;
// "": everybody's.
func (find MessageSearch) To() string { return canonical(find.Recipient) }

// list is the list whose cursors a search takes and gives: a cursor is of one
// message, sender and recipient.
func (find MessageSearch) list(account int64) keyset.List {
	return keyset.Of("messages", account, find.MessageID, canonical(find.Sender), canonical(find.Recipient))
}

// Messages lists an account's messages, newest first, from after the row that
// after names. Whoever has the right over messages may ask; who has it over some
// groups sees what their members sent. Faults: e404.h1, err.cursor.
func (s *Service) Messages(ctx context.Context, a Actor, account int64, find MessageSearch, after string, limit int) (rows []MessageRow, next string, err error) {
	limit = min(max(limit, 1), mostSent)
	err = s.look(ctx, a, account, func(v *view, within []string) error {
		q, err := v.query(find, account, within, after, limit+1)
		if err != nil {
			return err
		}
		messages, err := v.tx.ListAccountMessages(q)
		if err != nil {
			return err
		}
		messages, next = find.page(account, messages, limit)
		rows, err = v.messageRows(messages)
		return err
	})
	return rows, next, err
}

// CountMessages counts the messages that Messages lists, and the act of a search concerns;
// store.MaxCount+1 says that there are more than store.MaxCount.
func (s *Service) CountMessages(ctx context.Context, a Actor, account int64, find MessageSearch) (n int, err error) {
	err = s.look(ctx, a, account, func(v *view, within []string) error {
		q, err := v.query(find, account, within, "", store.MaxCount+1)
		if err == nil {
			n, err = v.tx.CountAccountMessages(q)
		}
		return err
	})
	return n, err
}

// page cuts what was read with one message more than limit.
func (find MessageSearch) page(account int64, messages []store.Message, limit int) ([]store.Message, string) {
	return keyset.Page(find.list(account), messages, limit, func(m store.Message) string { return keyset.Numbered(m.SealedAt.UnixMilli(), m.ID) })
}

// nothing is the id of no message.
const nothing = "-"

// Means narrows find by what somebody typed: the reference of a message, or an
// address. That is its recipient's, or its sender's where nothing went to it. Which
// of them depends on no state of a message, so that no act changes it; and whoever
// goes on, from after, or acts, does so by what this returns. Faults: e404.h1, err.cursor.
func (s *Service) Means(ctx context.Context, a Actor, account int64, find MessageSearch, text, after string) (MessageSearch, error) {
	if text = strings.TrimSpace(text); text == "" {
		return find, nil
	}
	meant := find
	err := s.look(ctx, a, account, func(v *view, within []string) error {
		tries, err := v.meanings(find, text)
		if err != nil {
			return err
		}
		if after != "" { // it was decided where the cursor comes from
			for _, meant = range tries {
				if _, _, err = before(meant.list(account), after); err == nil {
					return nil
				}
			}
			return err
		}
		for _, meant = range tries {
			q, err := v.query(MessageSearch{MessageID: meant.MessageID, Sender: meant.Sender, Recipient: meant.Recipient}, account, within, "", 1)
			if err != nil {
				return err
			}
			if found, err := v.tx.ListAccountMessages(q); err != nil || len(found) > 0 {
				return err
			}
		}
		meant = tries[0]
		return nil
	})
	return meant, err
}

// meanings are the searches that a text may mean, the likeliest first; one that
// finds nothing where it means nothing.
func (v *view) meanings(find MessageSearch, text string) (out []MessageSearch, err error) {
	if ref, ok := id.ParseReference(text); ok {
		messageID, err := v.tx.FindMessageOfRef(ref)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		} else if err == nil && (find.MessageID == "" || find.MessageID == messageID) {
			one := find
			one.MessageID = messageID
			out = append(out, one)
		}
	}
	if a, err := mailaddr.Parse(text); err == nil {
		to, from := find, find
		to.Recipient, from.Sender = a.Canonical(), a.Canonical()
		if find.Recipient == "" || canonical(find.Recipient) == to.Recipient {
			out = append(out, to)
		}
		if find.Sender == "" || canonical(find.Sender) == from.Sender {
			out = append(out, from)
		}
	}
	if len(out) == 0 {
		find.MessageID = nothing
		out = append(out, find)
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

// ActOnMessages does one thing to the messages of an account that find finds,
// from after on, up to actMost of them, the newest first. On all of the account it
// acts only where that is said: an empty search may be a slip. A search for what went
// to an address concerns that alone, and no other recipient of the same messages.
// Faults: e404.h1, err.cursor, api.needsall.
func (s *Service) ActOnMessages(ctx context.Context, a Actor, act Act, account int64, find MessageSearch, all bool, after string) (Many, error) {
	act.Account, act.Only = account, find.To()
	return s.actOnAll(ctx, a, act, after, func(after string) (ids []string, next string, err error) {
		err = s.over(ctx, s.c.DB.View, a, account, act.Kind, func(tx *store.Tx, within []string) error {
			if find == (MessageSearch{}) && !all {
				return fault.New(fault.Invalid, "api.needsall").In("all", "api.needsall", nil)
			}
			v, err := s.newView(tx)
			if err != nil {
				return err
			}
			q, err := v.query(find, account, within, after, actBatch+1)
			if err != nil {
				return err
			}
			messages, err := tx.ListAccountMessages(q)
			messages, next = find.page(account, messages, actBatch)
			ids = make([]string, len(messages))
			for i, m := range messages {
				ids[i] = m.ID
			}
			return err
		})
		return ids, next, err
	})
}

// RecordExport records that somebody takes the list of an account's messages away.
func (s *Service) RecordExport(ctx context.Context, a Actor, account int64) error {
	const export = "message.export"
	return s.over(ctx, s.c.DB.Update, a, account, export, func(tx *store.Tx, _ []string) error {
		return tx.InsertAudit(a.record(account, export, strconv.FormatInt(account, 10)))
	})
}
