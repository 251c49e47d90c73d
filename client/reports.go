package client

import "net/http"

// ReportIn is a period of an account's report.
type ReportIn struct {
	Account int64  `path:"account" doc:"account number"`
	Days    int    `query:"days" doc:"how many days up to today, 1 to 366; 30 unless said"`
	Month   string `query:"month" doc:"a month instead, as 2026-11"`
}

// Report is what an account sent in a period, and what of it was opened by now.
type Report struct {
	From    string        `json:"from" doc:"first day, in the account's time zone, as 2026-11-01"`
	To      string        `json:"to" doc:"last day"`
	Total   ReportCounts  `json:"total"`
	Days    []ReportDay   `json:"days"`
	Senders []ReportNamed `json:"senders" doc:"the 1,000 with the most recipients"`
	Domains []ReportNamed `json:"domains" doc:"of recipients, the 1,000 with the most"`
}

// ReportCounts are figures of messages that were sent in some days, and of people.
type ReportCounts struct {
	Messages   int64 `json:"messages"`
	Recipients int64 `json:"recipients"`
	Opened     int64 `json:"opened" doc:"of the recipients"`
	Failed     int64 `json:"not_delivered" doc:"of the recipients"`
	Invited    int64 `json:"invited"`
	Added      int64 `json:"added"`
	Activated  int64 `json:"first_sign_ins"`
}

// ReportDay is a day's figures.
type ReportDay struct {
	Day    string       `json:"day"`
	Counts ReportCounts `json:"counts"`
}

// ReportNamed is the figures of a sender or a domain.
type ReportNamed struct {
	Name       string `json:"name"`
	Messages   int64  `json:"messages"`
	Recipients int64  `json:"recipients"`
	Opened     int64  `json:"opened"`
	Failed     int64  `json:"not_delivered"`
}

// An account's figures.
var (
	GetReport = Operation[ReportIn, Report]{Spec{ID: "getReport", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/report", Tag: "Reports",
		Summary: "What an account sent, what was opened, and who joined it", Who: SignedIn, Right: "reports"}}
)
