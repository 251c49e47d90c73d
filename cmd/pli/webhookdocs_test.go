package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/account"
)

const webhookDocs = "../../docs/reference/webhook-events.md"

// The list of a webhook's events is made from the catalogues, and is up to date.
func TestDocsOfWebhookEvents(t *testing.T) {
	a := englishApp(t)
	var b strings.Builder
	b.WriteString(`# Webhook events

What a webhook is sent (docs/howto/receive-webhooks.md). This list is made from the program.

` + "```json" + `
{"type": "envelope.release", "timestamp": "2026-11-27T09:30:00.000Z",
 "data": {"id": "01a21a8b-3b42-775f-84d8-d97bceb21a68", "account": 100042, "seq": 812,
          "action": "envelope.release", "outcome": "done",
          "actor": {"kind": "recipient"}, "target": {"name": "5d0f…"},
          "reference": "7KQ42F", "slot": "9a41…", "detail": {}}}
` + "```" + `

- *type*: one of the list below. What was refused has the type ` + "`refused`" + `, whatever was tried: ` + "`data.action`" + ` says what.
- *data.id*: of the event in the audit log, and the header ` + "`webhook-id`" + `: the same at each try. *data.seq* is its place in the account's log.
- *data.actor*, *data.target*: ` + "`user`" + ` is the ID of a user of the account, ` + "`name`" + ` the name or the ID of anything else. ` + "`address`" + ` is there only where the
  webhook includes people's addresses, as is *data.recipient*.
- *data.reference*, *data.slot*: of one recipient's envelope. *data.target* is the message then.
- *data.detail*: numbers, names of things and words of the program. More may be added.

Never in it: what is in a message, its subject, notes, reasons of locks, keys, codes, tokens, and network addresses.

A webhook listens to types, to all of a kind (` + "`envelope.*`" + `), or to ` + "`refused`" + `. It is sent ` + "`webhook.test`" + ` when somebody tests it.

| Type | What happened |
|---|---|
`)
	for _, e := range account.EventTypes(a.catalogue.Printer("en", nil)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.Name, e.Text)
	}
	want := b.String()
	if *update {
		if err := os.WriteFile(webhookDocs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(webhookDocs)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/reference/webhook-events.md is not up to date: go test ./cmd/pli -run TestDocs -update\n%s", d)
	}
}
