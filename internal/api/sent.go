package api

import (
	"encoding/base64"
	"io"
	"strings"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerSent() {
	handle(a, client.SendMessage, a.send)
	handle(a, client.ListSent, a.listSent)
	handle(a, client.GetSent, a.getSent)
	handle(a, client.LockSent, func(r *web.Request, in client.LockIn) (client.Acted, error) {
		return a.act(r, keyserver.Act{Kind: keyserver.ActLock, Reason: in.Reason}, in.Message, in.Slot)
	})
	for _, x := range []struct {
		op   client.Operation[client.ActIn, client.Acted]
		kind string
	}{{client.UnlockSent, keyserver.ActUnlock}, {client.ExpireSent, keyserver.ActExpire}, {client.RecallSent, keyserver.ActRecall}} {
		handle(a, x.op, func(r *web.Request, in client.ActIn) (client.Acted, error) {
			return a.act(r, keyserver.Act{Kind: x.kind}, in.Message, in.Slot)
		})
	}
	handle(a, client.ResendSent, func(r *web.Request, in client.ResendIn) (client.Acted, error) {
		if in.Slot == "" {
			return client.Acted{}, badField("slot", nil)
		}
		return a.act(r, keyserver.Act{Kind: keyserver.ActResend}, in.Message, in.Slot)
	})
}

func (a *api) act(r *web.Request, act keyserver.Act, message, slot string) (client.Acted, error) {
	done, err := a.Keys.Act(r.Context(), actorOf(r), act, message, slot)
	return client.Acted{Changed: done.Changed, Opened: done.Opened, Unsent: done.Unsent}, err
}

// send seals what came in and puts it into the outbox. Whether a token may is
// asked before the work, and again where the message is registered.
func (a *api) send(r *web.Request, in client.SendIn) (out client.SentRef, err error) {
	if err := a.Accounts.MaySend(r.Context(), r.Session); err != nil {
		return out, err
	}
	u, acc := r.User(), r.Session.Account
	if acc == nil {
		return out, fault.New(fault.Denied, "api.noaccount")
	}
	req := sealing.Request{
		Sender: sealing.Sender{UserID: u.ID, Address: u.DisplayAddress, Name: u.Name(), Language: u.Language}, AccountID: acc.ID,
		Subject: in.Subject, Note: in.Note, Text: in.Text, Notify: in.Notify, NoticeLang: in.Language, Origin: r.Client(), Token: r.Actor().TokenID,
		Permissions: policy.Permissions{Level: in.Level}, Files: filesOf(in.Files),
	}
	if req.NoticeLang == "" {
		req.NoticeLang = "en"
	}
	for _, list := range []struct {
		name string
		from []string
		into *[]mailaddr.Address
	}{{"to", in.To, &req.To}, {"cc", in.Cc, &req.Cc}} {
		for _, text := range list.from {
			address, err := mailaddr.Parse(text)
			if err != nil {
				return out, fault.New(fault.Invalid, "new.badrecipient").With("email", text).In(list.name, "new.badrecipient", fault.Args{"email": text}).Because(err)
			}
			*list.into = append(*list.into, address)
		}
	}
	settings, err := r.Session.Settings()
	if err != nil {
		return out, err
	}
	if req.ExpiresAt, err = a.ends(in.Expires.Time, settings); err != nil {
		return out, err
	}
	sent, err := a.Sealing.Seal(r.Context(), req)
	if err != nil {
		return out, err
	}
	return client.SentRef{Message: sent.MessageID.String(), Refs: sent.Refs}, nil
}

// filesOf gives one file after the other, as sealing reads them.
func filesOf(files []client.SendFile) func() (*sealing.File, error) {
	if len(files) == 0 {
		return nil
	}
	return func() (*sealing.File, error) {
		if len(files) == 0 {
			return nil, io.EOF
		}
		f := files[0]
		files = files[1:]
		if _, err := base64.StdEncoding.DecodeString(f.Content); err != nil {
			return nil, badField("files.content", nil)
		}
		return &sealing.File{Name: f.Name, Type: f.Type, Reader: base64.NewDecoder(base64.StdEncoding, strings.NewReader(f.Content))}, nil
	}
}

func sentOf(m keyserver.SentRow) client.SentMessage {
	return client.SentMessage{ID: m.MessageID, Subject: m.Subject, SealedAt: client.Time{Time: m.SealedAt}, ExpiresAt: client.Time{Time: m.ExpiresAt}, State: m.State,
		Recipients: each(m.Recipients, func(x keyserver.SentRecipient) client.SentRecipient {
			return client.SentRecipient{Slot: x.SlotID, Ref: x.Ref, Email: x.Address, State: x.State, Delivery: x.Delivery, Openings: x.Openings,
				FirstOpen: client.Time{Time: x.FirstOpenedAt}, LastOpen: client.Time{Time: x.LastOpenedAt}}
		})}
}

func (a *api) listSent(r *web.Request, in client.ListSentIn) (out client.Page[client.SentMessage], err error) {
	if err := a.Accounts.MaySend(r.Context(), r.Session); err != nil {
		return out, err
	}
	if in.Limit == 0 {
		in.Limit = 50
	}
	rows, next, err := a.Keys.Sent(r.Context(), r.Session.UserID,
		keyserver.SentSearch{Filter: keyserver.Filter(in.Filter), Text: in.Query, From: in.From.Time, Until: in.Until.Time}, in.After, in.Limit)
	return pageOf(rows, next, sentOf), err
}

func (a *api) getSent(r *web.Request, in client.MessagePath) (out client.SentMessage, err error) {
	if err := a.Accounts.MaySend(r.Context(), r.Session); err != nil {
		return out, err
	}
	d, err := a.Keys.SentDetail(r.Context(), r.Session.UserID, in.Message)
	return sentOf(d.SentRow), err
}
