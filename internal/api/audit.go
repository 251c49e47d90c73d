package api

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerAudit() {
	handle(a, client.ListAudit, a.listAudit)
	handle(a, client.GetAudit, a.getAudit)
	handle(a, client.ExportAudit, a.exportAudit)
}

func eventOf(r *web.Request, row store.AuditRow) client.AuditEvent {
	out := client.AuditEvent{ID: row.ID, At: client.Time{Time: row.At}, Sentence: account.Sentence(r.Printer, row), Actor: row.Actor, Action: row.Action, Target: row.Target,
		Outcome: row.Outcome, Origin: row.Origin, Detail: row.Detail, Account: row.AccountID, Seq: row.Seq, Hash: hex.EncodeToString(row.Digest)}
	if out.Detail == nil {
		out.Detail = map[string]string{}
	}
	return out
}

func (a *api) listAudit(r *web.Request, in client.AuditIn) (client.Page[client.AuditEvent], error) {
	log, err := a.Accounts.ReadAudit(r.Context(), r.Actor(), in.Account,
		account.AuditQuery{Actor: in.Actor, Action: in.Action, Target: in.Target, Outcome: in.Outcome, Origin: in.Origin, From: in.From.Time, To: in.To.Time, Older: in.After}, in.Limit)
	return pageOf(log.Records, log.Older, func(row store.AuditRow) client.AuditEvent { return eventOf(r, row) }), err
}

func (a *api) getAudit(r *web.Request, in client.AuditPath) (out client.AuditEvent, err error) {
	row, _, err := a.Accounts.AuditEvent(r.Context(), r.Actor(), in.Account, in.Event)
	if err != nil {
		return out, err
	}
	return eventOf(r, row), nil
}

func (a *api) exportAudit(r *web.Request, in client.AuditExportIn) (*client.Stream, error) {
	next, end, err := a.Accounts.ExportAudit(r.Context(), r.Actor(), in.Account,
		account.AuditQuery{Actor: in.Actor, Action: in.Action, Target: in.Target, Outcome: in.Outcome, Origin: in.Origin, From: in.From.Time, To: in.To.Time}, in.Format)
	if err != nil {
		return nil, err
	}
	rows, err := next(r.Context())
	if err != nil {
		return nil, err
	}
	return piped(fmt.Sprintf("pli-audit-%d.%s", in.Account, in.Format), func(to io.Writer) error {
		w, err := audit.NewWriter(to, in.Format, a.Version, func(row store.AuditRow) string { return account.Sentence(r.Printer, row) })
		for ; err == nil && len(rows) > 0; rows, err = next(r.Context()) {
			if err := w.Write(rows); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		return w.End(audit.HeadOf(end))
	}), nil
}
