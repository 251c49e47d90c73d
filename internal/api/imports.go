package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerImports() {
	handle(a, client.ListImports, a.listImports)
	handle(a, client.CheckImport, a.checkImport)
	handle(a, client.GetImport, a.getImport)
	handle(a, client.ListImportRows, a.importRows)
	handle(a, client.RejectedRows, a.rejectedRows)
	handle(a, client.StartImport, func(r *web.Request, in client.ImportPath) (client.Import, error) {
		if err := a.Accounts.StartImport(r.Context(), r.Actor(), in.Account, in.Import); err != nil {
			return client.Import{}, err
		}
		return a.getImport(r, in)
	})
	handle(a, client.CancelImport, func(r *web.Request, in client.ImportPath) (client.Import, error) {
		if err := a.Accounts.CancelImport(r.Context(), r.Actor(), in.Account, in.Import); err != nil {
			return client.Import{}, err
		}
		return a.getImport(r, in)
	})
}

func importOf(v account.ImportView) client.Import {
	out := client.Import{ID: v.ID, File: v.File, State: v.State, Reason: v.Reason, Invite: v.Invite, Update: v.Update, AllOrNothing: v.AllOr, Group: v.GroupID,
		Total: v.Total, Done: v.Done, Failed: v.Failed, CreatedAt: client.Time{Time: v.CreatedAt}, EndedAt: client.Time{Time: v.EndedAt}}
	if n := v.Counts; n != nil {
		out.Rows = &client.ImportCounts{Create: n[store.RowCreate], Update: n[store.RowUpdate], Same: n[store.RowSame], Exists: n[store.RowExists], Error: n[store.RowError], Failed: n[store.RowFailed]}
	}
	return out
}

func (a *api) listImports(r *web.Request, in client.ListIn) (client.Page[client.Import], error) {
	p, err := a.Accounts.Imports(r.Context(), r.Actor(), in.Account, in.After, in.Limit)
	return pageOf(p.Imports, p.Next, importOf), err
}

func (a *api) checkImport(r *web.Request, in client.ImportIn) (client.Import, error) {
	v, err := a.Accounts.CheckImport(r.Context(), r.Actor(), in.Account,
		account.Import{File: in.File, Invite: in.Invite, Update: in.Update, GroupID: in.Group, AllOr: in.AllOrNothing}, in.Body)
	return importOf(v), err
}

func (a *api) getImport(r *web.Request, in client.ImportPath) (client.Import, error) {
	v, err := a.Accounts.Import(r.Context(), r.Actor(), in.Account, in.Import)
	return importOf(v), err
}

func (a *api) importRows(r *web.Request, in client.ImportRowsIn) (client.Page[client.ImportRow], error) {
	p, err := a.Accounts.ImportRows(r.Context(), r.Actor(), in.Account, in.Import, in.Verdict, in.After, in.Limit)
	return pageOf(p.Rows, p.Next, func(row account.ImportRow) client.ImportRow {
		return client.ImportRow{Line: row.Line, Verdict: row.Verdict, Email: row.Address, FirstName: row.FirstName, LastName: row.LastName, Key: row.Key, Detail: row.Wrong(r.Printer)}
	}), err
}

func (a *api) rejectedRows(r *web.Request, in client.ImportPath) (*client.Stream, error) {
	write, err := a.Accounts.Rejected(r.Context(), r.Actor(), in.Account, in.Import, r.Printer)
	if err != nil {
		return nil, err
	}
	return piped(r.T("ic.rejectedname"), write), nil
}
