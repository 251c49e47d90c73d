package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/account"
)

const eventDocs = "../../docs/reference/audit-events.md"

// The list of audit events is made from the catalogues, and is up to date.
func TestDocsOfEvents(t *testing.T) {
	a := englishApp(t)
	en, fr := a.catalogue.Printer("en", nil), a.catalogue.Printer("fr", nil)
	var b strings.Builder
	b.WriteString(`# Audit events

Every event has the same fields: ` + "`id`, `account`, `seq`, `at`, `actor`, `action`, `target`, `outcome`, `origin`, `detail`, `hash`, `sentence`" + `
(docs/spec/audit-chain.md). This list is made from the program.

- *actor*: ` + "`user:ADDRESS`, `recipient:ADDRESS`, `operator:LOGIN`, `system` or `nobody`" + `.
- *outcome*: ` + "`done` or `refused`" + `. What was refused has the action that was tried, and the reason among the details.
- *origin*: the network address, ` + "`terminal` or `server`" + `.

## Done

| Action | English | French |
|---|---|---|
`)
	french := map[string]string{}
	for _, x := range account.AuditActions(fr) {
		french[x.Name] = x.Text
	}
	actions := account.AuditActions(en)
	for _, x := range actions {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", x.Name, x.Text, french[x.Name])
	}
	b.WriteString("\n## Refused\n\n| Action | English | French |\n|---|---|---|\n")
	for _, key := range en.Keys("au.a.") {
		if name := strings.TrimPrefix(key, "au.a."); name != "other" {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, en.T(key), fr.T(key))
		}
	}
	want := b.String()
	if *update {
		if err := os.WriteFile(eventDocs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(eventDocs)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/reference/audit-events.md is not up to date: go test ./cmd/pli -run TestDocs -update\n%s", d)
	}
	name := regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	for _, x := range actions {
		if !name.MatchString(x.Name) || strings.Contains(x.Text, x.Name) || french[x.Name] == "" {
			t.Errorf("%q: %q, %q", x.Name, x.Text, french[x.Name])
		}
	}
}
