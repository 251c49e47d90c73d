package client

import "net/http"

// AuditEvent is a record of an account's log.
type AuditEvent struct {
	ID       string            `json:"id"`
	At       Time              `json:"at"`
	Sentence string            `json:"sentence" doc:"what happened, in the language asked for"`
	Actor    string            `json:"actor"`
	Action   string            `json:"action" doc:"see docs/reference/audit-events.md"`
	Target   string            `json:"target"`
	Outcome  string            `json:"outcome" enum:"done,refused"`
	Origin   string            `json:"origin" doc:"network address, or terminal"`
	Detail   map[string]string `json:"detail"`
	Account  int64             `json:"account,omitempty"`
	Seq      int64             `json:"seq,omitempty" doc:"its place in the account's chain, absent before it has one"`
	Hash     string            `json:"hash,omitempty" doc:"of the chain up to it, hex"`
}

// AuditIn is a page of a log, the newest first.
type AuditIn struct {
	Account int64  `path:"account" doc:"account number"`
	Actor   string `query:"actor" doc:"an address, or an actor as a record has it"`
	Action  string `query:"action"`
	Target  string `query:"target" doc:"as a record has it"`
	Outcome string `query:"outcome" enum:"done,refused"`
	Origin  string `query:"origin" doc:"a network address, or terminal"`
	From    Time   `query:"from" doc:"from then on"`
	To      Time   `query:"to" doc:"before then"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
}

// AuditPath names a record.
type AuditPath struct {
	Account int64  `path:"account" doc:"account number"`
	Event   string `path:"event"`
}

// AuditExportIn says which records, and how.
type AuditExportIn struct {
	Account int64  `path:"account" doc:"account number"`
	Format  string `query:"format" required:"true" enum:"csv,jsonl,cef"`
	Actor   string `query:"actor" doc:"an address, or an actor as a record has it"`
	Action  string `query:"action"`
	Target  string `query:"target" doc:"as a record has it"`
	Outcome string `query:"outcome" enum:"done,refused"`
	Origin  string `query:"origin" doc:"a network address, or terminal"`
	From    Time   `query:"from" doc:"from then on"`
	To      Time   `query:"to" doc:"before then"`
}

const auditLog = accountPath + "/audit"

// An account's log.
var (
	ListAudit = Operation[AuditIn, Page[AuditEvent]]{Spec{ID: "listAudit", Method: http.MethodGet, Path: auditLog, Tag: "Audit log",
		Summary: "List an account's log, the newest first", Who: SignedIn, Right: "audit"}}
	GetAudit = Operation[AuditPath, AuditEvent]{Spec{ID: "getAudit", Method: http.MethodGet, Path: auditLog + "/{event}", Tag: "Audit log",
		Summary: "One record", Who: SignedIn, Right: "audit"}}
	ExportAudit = Operation[AuditExportIn, *Stream]{Spec{ID: "exportAudit", Method: http.MethodGet, Path: auditLog + "/export", Tag: "Audit log",
		Summary: "A log as CSV, JSON lines or CEF", Note: "It is recorded. A whole log as JSON lines ends with a signed checkpoint, for pli audit verify --file.", Who: SignedIn, Right: "audit"}}
)
