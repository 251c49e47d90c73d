package people

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

const data = "/profile/data"

// dataPage is the tab of R13 with all that the service knows of a person.
type dataPage struct {
	web.Base
	Tabs     []web.Link
	Received int // envelopes that were sealed to them
}

func (p *People) dataPage(r *web.Request) (*dataPage, error) {
	page := &dataPage{Base: r.Base(r.T("data.h1"), r.T("pr.h1")), Tabs: tabs(r)}
	var err error
	page.Received, err = p.keys.CountReceived(r.Context(), r.Visitor())
	return page, err
}

func (p *People) data(r *web.Request) error {
	page, err := p.dataPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "data", page)
}

func (p *People) changeData(r *web.Request) error {
	if r.PostFormValue("do") == "export" {
		return p.export(r)
	}
	page, err := p.dataPage(r)
	if err != nil {
		return err
	}
	err = p.accounts.DeleteOwn(r.Context(), r.Session, r.PostFormValue("email"))
	switch {
	case asksAgain(err):
		return again(r, err, data)
	case err != nil && !web.Mendable(err):
		return err
	case err != nil:
		return r.Again(p.pages, "data", page, err)
	}
	r.EndSession()
	r.Flash("ok", "data.deleted")
	return r.Redirect("/")
}

// export streams what is known of the person as JSON: no secret, no content.
func (p *People) export(r *web.Request) error {
	ctx, s := r.Context(), r.Session
	if err := p.accounts.Exported(ctx, s); err != nil {
		return err
	}
	about, err := p.about(ctx, s)
	if err != nil {
		return err
	}
	return r.Download("pli.json", func(out io.Writer) error {
		w := &exporter{Writer: bufio.NewWriter(out)}
		p.writeAll(r, w, about)
		return w.err
	})
}

// writeAll writes what there is little of, and then what there may be much of.
func (p *People) writeAll(r *web.Request, w *exporter, about []member) {
	ctx, s := r.Context(), r.Session
	w.WriteByte('{')
	for _, m := range about {
		w.member(m.name, m.value)
	}
	w.array("sent", func(after string) (rows []any, next string, err error) {
		list, next, err := p.keys.Sent(ctx, s.UserID, keyserver.SentSearch{}, after, exportBatch)
		for _, row := range list {
			rows = append(rows, sentOut(row))
		}
		return rows, next, err
	})
	w.array("received", func(after string) (rows []any, next string, err error) {
		list, err := p.keys.Received(ctx, r.Visitor(), "", after, exportBatch)
		for _, row := range list.Rows {
			rows = append(rows, receivedOut(row))
		}
		return rows, list.Next, err
	})
	w.array("records", func(after string) (rows []any, next string, err error) {
		list, err := p.accounts.OwnRecords(ctx, s, after, exportBatch)
		for _, row := range list.Records {
			rows = append(rows, recordOut{row.At, row.Actor, row.Action, row.Target, row.Outcome, row.Origin, row.Detail})
		}
		return rows, list.Next, err
	})
	if w.err == nil {
		w.WriteString("}\n")
		w.err = w.Flush()
	}
}

const exportBatch = 200 // rows in memory at once

type member struct {
	name  string
	value any
}

// about is what there is little of.
func (p *People) about(ctx context.Context, s *account.Session) ([]member, error) {
	u := s.User
	profile := map[string]any{
		"address": u.DisplayAddress, "first_name": u.FirstName, "last_name": u.LastName, "language": u.Language, "time_zone": u.TimeZone,
		"theme": u.Theme, "notify_opened": u.NotifyOpened, "account": u.AccountID, "created_by_administrator": u.Managed,
		"created_at": u.CreatedAt, "last_sign_in_at": u.LastSignInAt,
	}
	groups, err := p.accounts.OwnGroups(ctx, s)
	if err != nil {
		return nil, err
	}
	aliases, err := p.accounts.Aliases(ctx, s)
	if err != nil {
		return nil, err
	}
	sessions, err := p.accounts.Sessions(ctx, s)
	if err != nil {
		return nil, err
	}
	known, err := p.accounts.KnownDevices(ctx, s)
	if err != nil {
		return nil, err
	}
	factors, err := p.accounts.Factors(ctx, s)
	if err != nil {
		return nil, err
	}
	type deviceOut struct {
		Client  string    `json:"client"`
		Address string    `json:"remembered_for,omitempty"`
		Since   time.Time `json:"since"`
		Seen    time.Time `json:"last_used"`
	}
	devices, passkeys, addresses := []deviceOut{}, []any{}, []any{}
	for _, d := range sessions {
		devices = append(devices, deviceOut{d.Client, "", d.CreatedAt, d.SeenAt})
	}
	for _, d := range known {
		devices = append(devices, deviceOut{d.Client, d.Address, d.Since, d.SeenAt})
	}
	for _, k := range factors.Passkeys {
		passkeys = append(passkeys, map[string]any{"name": k.Name, "since": k.CreatedAt, "last_used": k.UsedAt})
	}
	for _, a := range aliases {
		addresses = append(addresses, map[string]any{"address": a.Address, "proved_at": a.Since})
	}
	sending, err := p.accounts.Sending(ctx, s)
	if err != nil {
		return nil, err
	}
	people, err := p.accounts.Contacts(ctx, s, "")
	if err != nil {
		return nil, err
	}
	contacts := []any{}
	for _, c := range people {
		contacts = append(contacts, map[string]any{"address": c.DisplayAddress, "name": c.Name, "opens_signed_in": c.Enrolled, "last_used": c.UsedAt})
	}
	asked, err := p.accounts.LastRequest(ctx, s)
	if err != nil {
		return nil, err
	}
	requests := []any{}
	if asked.ID != "" {
		requests = append(requests, requestOut{asked.Right, asked.Reason, asked.CreatedAt, asked.State, asked.DecidedAt, asked.Word})
	}
	return []member{
		{"exported_at", time.Now().UTC()}, {"profile", profile}, {"groups", append([]string{}, groups...)}, {"addresses", addresses},
		{"devices", devices}, {"passkeys", passkeys}, {"authenticator", factors.Authenticator != nil},
		{"sending", map[string]any{"signature": sending.Signature, "expiry_days": sending.ExpiryDays, "language": sending.Language}}, {"contacts", contacts}, {"access_requests", requests},
	}, nil
}

// requestOut is what they asked administrators for, and the answer.
type requestOut struct {
	Right     string    `json:"right"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	State     string    `json:"state"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	Word      string    `json:"word,omitempty"`
}

type recordOut struct {
	At      time.Time         `json:"at"`
	Actor   string            `json:"actor"`
	Action  string            `json:"action"`
	Target  string            `json:"target"`
	Outcome string            `json:"outcome"`
	Origin  string            `json:"origin,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
}

type recipientOut struct {
	Reference   string    `json:"reference"`
	Address     string    `json:"address"`
	State       string    `json:"state"`
	Delivery    string    `json:"delivery"`
	FirstOpened time.Time `json:"first_opened,omitzero"`
	LastOpened  time.Time `json:"last_opened,omitzero"`
	Openings    int       `json:"openings"`
}

func sentOut(row keyserver.SentRow) any {
	out := struct {
		Message    string         `json:"message"`
		Subject    string         `json:"subject,omitempty"`
		SealedAt   time.Time      `json:"sealed_at"`
		ExpiresAt  time.Time      `json:"expires_at,omitzero"`
		State      string         `json:"state"`
		Recipients []recipientOut `json:"recipients"`
	}{row.MessageID, row.Subject, row.SealedAt, row.ExpiresAt, row.State, nil}
	for _, s := range row.Recipients {
		out.Recipients = append(out.Recipients, recipientOut{s.Ref, s.Address, s.State, s.Delivery, s.FirstOpenedAt, s.LastOpenedAt, s.Openings})
	}
	return out
}

func receivedOut(row keyserver.ReceivedRow) any {
	return struct {
		Reference    string    `json:"reference"`
		From         string    `json:"from"`
		FromName     string    `json:"from_name,omitempty"`
		Organisation string    `json:"organisation,omitempty"`
		To           string    `json:"to"`
		SealedAt     time.Time `json:"sealed_at"`
		ExpiresAt    time.Time `json:"expires_at,omitzero"`
		OpenedAt     time.Time `json:"first_opened,omitzero"`
		State        string    `json:"state"`
	}{row.Ref, row.Sender.Address, row.Sender.Name, row.Sender.Organisation, row.To, row.SealedAt, row.ExpiresAt, row.OpenedAt, row.State}
}

// exporter writes one JSON object, a member after the other, and keeps the first error.
type exporter struct {
	*bufio.Writer
	begun bool
	err   error
}

func (e *exporter) put(v any) {
	if e.err != nil {
		return
	}
	raw, err := json.Marshal(v)
	if err == nil {
		_, err = e.Write(raw)
	}
	e.err = err
}

func (e *exporter) name(name string) {
	if e.begun {
		e.WriteByte(',')
	}
	e.begun = true
	e.WriteString("\n")
	e.put(name)
	e.WriteByte(':')
}

func (e *exporter) member(name string, v any) {
	e.name(name)
	e.put(v)
}

// array writes what next gives, page after page.
func (e *exporter) array(name string, next func(after string) (rows []any, cursor string, err error)) {
	e.name(name)
	e.WriteByte('[')
	first := true
	for after := ""; e.err == nil; {
		rows, cursor, err := next(after)
		if err != nil {
			e.err = err
			return
		}
		for _, row := range rows {
			if !first {
				e.WriteByte(',')
			}
			first = false
			e.WriteByte('\n')
			e.put(row)
		}
		if cursor == "" {
			break
		}
		after = cursor
	}
	e.WriteByte(']')
}
