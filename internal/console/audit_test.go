package console_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// The log of an account: filters in the address, newer and older, an event by its
// own address, exports, and what is known of the chain. (A16)
func TestAuditPage(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("root")
	for i := range 120 {
		if _, err := h.Accounts.AddGroup(ctx, op, webtest.Account, fmt.Sprintf("=Group %03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	n := audit.New(audit.Config{DB: h.DB, Root: h.Root, Log: slog.New(slog.DiscardHandler)})
	chain := func() {
		t.Helper()
		if _, err := n.Chain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const at = "/admin/accounts/100042/audit"
	if p := b.Visit(t, at); !p.Has("root (operator) added the group =Group 119") || strings.Contains(p.Body, "Log verified") {
		t.Error("before the notary came")
	}
	chain()
	if p := b.Visit(t, at); !strings.Contains(p.Body, "has not been verified yet") {
		t.Error("before the first check")
	}
	if _, err := n.CheckDue(ctx); err != nil {
		t.Fatal(err)
	}
	if p := b.Visit(t, at); !strings.Contains(p.Body, "no event has been changed or removed since") {
		t.Error("the check is not shown")
	}

	// Newest first, 50 at once, both ways, with the filter kept.
	first := b.Visit(t, at+"?actor=operator:root&action=group.add")
	second := first.Follow(t, "Older")
	third := second.Follow(t, "Older")
	if !strings.Contains(first.Body, "=Group 119") || strings.Contains(first.Body, "=Group 069") || !strings.Contains(second.Body, "=Group 069") || !strings.Contains(third.Body, "=Group 000") || strings.Contains(third.Body, "=Group 020") {
		t.Error("pages of a filtered list")
	}
	if back := third.Follow(t, "Newer"); !strings.Contains(back.Body, "=Group 069") || strings.Contains(back.Body, "=Group 019") || back.Follow(t, "Newer").Path == at {
		t.Error("back to newer ones")
	}
	for query, want := range map[string]int{
		"target=%3DGroup+007":                   1,
		"target=nobody":                         0,
		"result=refused":                        0,
		"result=done&action=group.add":          50,
		"actor=operator%3Aroot&to=2001-01-01":   0,
		"actor=operator%3Aroot&from=2001-01-01": 50,
		"from=yesterday":                        0, // no day: nothing is listed
	} {
		p := b.Visit(t, at+"?"+query)
		rows := strings.Count(p.Body, `class="sentence"`)
		if rows != want {
			t.Errorf("%s: %d rows, want %d", query, rows, want)
		}
	}

	// One event by its address, with its place; another account's is not there.
	p := b.Visit(t, at+"?target="+url.QueryEscape("=Group 007")).Follow(t, "root (operator) added the group =Group 007")
	if !strings.Contains(p.Body, "As recorded (JSON)") || !strings.Contains(p.Body, "group.add") || !strings.Contains(p.Body, "Place in the log") || !strings.Contains(p.Body, "&#34;seq&#34;:") {
		t.Error(p.Body)
	}

	// Exports: each is an event itself.
	get := func(pairs ...string) string {
		t.Helper()
		a := b.Post(t, at+"/export", pairs...)
		if a.Status != 200 || a.Header.Get("Content-Disposition") == "" {
			t.Fatalf("%d %v", a.Status, a.Header)
		}
		return a.Body
	}
	csv := get("format", "csv", "target", "=Group 007")
	if !strings.HasPrefix(csv, "\uFEFFat,sentence,") || strings.Count(csv, "\r\n") != 2 || !strings.Contains(csv, ",'=Group 007,") {
		t.Error(csv)
	}
	if cef := get("format", "cef", "target", "=Group 007"); !strings.HasPrefix(cef, "CEF:0|Pli|Pli|") || !strings.Contains(cef, `cs1Label=target cs1=\=Group 007`) {
		t.Error(cef)
	}
	chain()
	whole := get("format", "jsonl")
	key, err := n.Key(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.VerifyFile(strings.NewReader(whole), key)
	if err != nil || r.Broken != nil || r.Seq < 122 || !strings.Contains(whole, "audit.export") {
		t.Errorf("%+v %v %v", r, r.Broken, err)
	}
	if _, err := audit.VerifyFile(strings.NewReader("x"), key); err == nil {
		t.Error("what is no export")
	}
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	for name, bad := range map[string]string{
		"changed": strings.Replace(whole, "=Group 050", "=Group 051", 1),
		"removed": strings.Join(append(append([]string{}, lines[:40]...), lines[41:]...), ""),
		"swapped": strings.Join(append(append([]string{}, lines[40], lines[39]), lines[41:]...), ""),
		"cut":     strings.Join(append(append([]string{}, lines[:60]...), lines[len(lines)-1]), ""),
		"no end":  strings.Join(lines[:60], ""),
	} {
		if r, err := audit.VerifyFile(strings.NewReader(bad), key); err != nil || r.Broken == nil {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	other := bytes.Repeat([]byte{1}, 32)
	if r, err := audit.VerifyFile(strings.NewReader(whole), other); err != nil || r.Broken == nil || r.Broken.Why != audit.Unsigned {
		t.Errorf("%s: %+v %v", base64.StdEncoding.EncodeToString(other), r.Broken, err)
	}

	// What was tampered with is said, with the event.
	if err := h.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.KeepAuditCheck(store.AuditHead{AccountID: webtest.Account, CheckedAt: tx.Now, BrokenSeq: 7, BrokenID: "01a217bb-c1d1-714e-8dde-40067ef5078b", BrokenWhy: audit.Changed})
	}); err != nil {
		t.Fatal(err)
	}
	if p := b.Visit(t, at); !strings.Contains(p.Body, "The log does not verify from event") || strings.Contains(p.Body, "Log verified") {
		t.Error("what was tampered with is not said")
	}
}

// I12: an operator's reading is in the log that they read.
func TestOperatorsReadingIsRecorded(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("root")
	reads := func() (n int) {
		t.Helper()
		if err := h.DB.View(ctx, func(tx *store.Tx) error {
			rows, err := tx.FilterAudit(store.AuditFilter{Every: true, Actors: []string{op.String()}}, "", false, 500)
			for _, r := range rows {
				if r.Action == "audit.view" || r.Action == "audit.export" {
					n++
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	log, err := h.Accounts.ReadAudit(ctx, op, webtest.Account, account.AuditQuery{}, 1)
	if err != nil || reads() != 1 {
		t.Fatalf("%d: %v", reads(), err)
	}
	if _, err := h.Accounts.ReadAudit(ctx, op, webtest.Account, account.AuditQuery{Older: log.Older}, 1); err != nil || reads() != 1 {
		t.Errorf("the next page is the same reading: %d %v", reads(), err)
	}
	if _, _, err := h.Accounts.AuditEvent(ctx, op, webtest.Account, log.Records[0].ID); err != nil || reads() != 2 {
		t.Errorf("%d %v", reads(), err)
	}
	if _, _, err := h.Accounts.ExportAudit(ctx, op, webtest.Account, account.AuditQuery{}, "csv"); err != nil || reads() != 3 {
		t.Errorf("%d %v", reads(), err)
	}
	if _, err := h.Accounts.ReadSiteAudit(ctx, op, account.AuditQuery{Outcome: store.Refused}, 5); err != nil || reads() != 4 {
		t.Errorf("%d %v", reads(), err)
	}
	if _, err := h.Accounts.BeginAuditTail(ctx, op, 0); err != nil || reads() != 5 {
		t.Errorf("%d %v", reads(), err)
	}
	if _, _, err := h.Accounts.AuditEvent(ctx, op, 0, log.Records[0].ID); err == nil {
		t.Error("an event of another log")
	}
}
