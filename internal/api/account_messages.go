package api

import (
	"strings"
	"time"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerAccountMessages() {
	handle(a, client.ListAccountMessages, a.listAccountMessages)
	handle(a, client.GetAccountMessage, a.getAccountMessage)
	handle(a, client.ActOnAccountMessage, a.actOnAccountMessage)
	handle(a, client.ActOnAccountMessages, a.actOnAccountMessages)
}

// administratorOf is who acts on an account's messages. The host's operator has no
// user, and acts on the account that they name.
func administratorOf(r *web.Request, number int64) keyserver.Actor {
	actor := actorOf(r)
	if r.OnHost() {
		actor.AdminOf = []int64{number}
	}
	return actor
}

func accountMessageOf(m keyserver.SentRow, sender, name string) client.AccountMessage {
	s := sentOf(m)
	return client.AccountMessage{ID: s.ID, Sender: sender, SenderName: name, SealedAt: s.SealedAt, ExpiresAt: s.ExpiresAt, State: s.State, Recipients: s.Recipients}
}

func (a *api) listAccountMessages(r *web.Request, in client.AccountMessagesIn) (client.Page[client.AccountMessage], error) {
	if in.Limit == 0 {
		in.Limit = 50
	}
	find := searchOf(in.Filter, in.Sender, in.Recipient, in.From.Time, in.Until.Time)
	find, err := a.Keys.Means(r.Context(), administratorOf(r, in.Account), in.Account, find, in.Query, in.After)
	if err != nil {
		return client.Page[client.AccountMessage]{}, err
	}
	rows, next, err := a.Keys.Messages(r.Context(), administratorOf(r, in.Account), in.Account, find, in.After, in.Limit)
	return pageOf(rows, next, func(m keyserver.MessageRow) client.AccountMessage {
		return accountMessageOf(m.SentRow, m.SenderAddress, m.SenderName)
	}), err
}

func searchOf(filter, sender, recipient string, from, until time.Time) keyserver.MessageSearch {
	return keyserver.MessageSearch{Filter: keyserver.Filter(filter), Sender: strings.TrimSpace(sender), Recipient: strings.TrimSpace(recipient), From: from, Until: until}
}

func (a *api) getAccountMessage(r *web.Request, in client.AccountMessagePath) (out client.AccountMessage, err error) {
	d, err := a.Keys.Message(r.Context(), administratorOf(r, in.Account), in.Account, in.Message)
	if err != nil {
		return out, err
	}
	return accountMessageOf(d.SentRow, d.SenderAddress, d.SenderName), nil
}

func (a *api) actOnAccountMessage(r *web.Request, in client.MessageAct) (client.Acted, error) {
	if in.Do == "resend" && in.Slot == "" {
		return client.Acted{}, badField("slot", nil)
	}
	kind, _ := keyserver.Named(in.Do)
	done, err := a.Keys.Act(r.Context(), administratorOf(r, in.Account), keyserver.Act{Kind: kind, Account: in.Account, Reason: in.Reason, Until: in.Until.Time}, in.Message, in.Slot)
	return client.Acted{Changed: done.Changed, Opened: done.Opened, Unsent: done.Unsent}, err
}

func (a *api) actOnAccountMessages(r *web.Request, in client.MessagesAct) (client.MessagesActed, error) {
	actor := administratorOf(r, in.Account)
	kind, _ := keyserver.Named(in.Do)
	find := searchOf(in.Filter, in.Sender, in.Recipient, in.From.Time, in.Until.Time)
	find, err := a.Keys.Means(r.Context(), actor, in.Account, find, in.Query, in.After)
	if err != nil {
		return client.MessagesActed{}, err
	}
	done, err := a.Keys.ActOnMessages(r.Context(), actor, keyserver.Act{Kind: kind}, in.Account, find, in.All, in.After)
	return client.MessagesActed{Changed: done.Changed, Same: done.Same, Refused: done.Refused, Opened: done.Opened, Sender: find.Sender, Recipient: find.Recipient, Broken: done.Broken != nil, Next: done.Next}, err
}
