package client

import (
	"io"
	"net/http"
)

// Import is a file of people, and how far it is.
type Import struct {
	ID           string `json:"id"`
	File         string `json:"file" doc:"its name"`
	State        string `json:"state" enum:"reading,ready,running,done,stopped" doc:"ready: it was read, and waits for its start"`
	Reason       string `json:"reason,omitempty" doc:"key of why it stopped, or waits"`
	Invite       bool   `json:"invite,omitempty"`
	Update       bool   `json:"update,omitempty"`
	AllOrNothing bool   `json:"all_or_nothing,omitempty"`
	Group        string `json:"group,omitempty"`
	Total        int    `json:"total" doc:"rows of the file; once it was started, those to be imported"`
	Done         int    `json:"done"`
	Failed       int    `json:"failed" doc:"rows that could not be imported after all"`
	CreatedAt    Time   `json:"created_at"`
	EndedAt      Time   `json:"ended_at"`

	Rows *ImportCounts `json:"rows,omitempty" doc:"only of a single import"`
}

// ImportCounts are rows of an import by their verdict.
type ImportCounts struct {
	Create int `json:"create"`
	Update int `json:"update"`
	Same   int `json:"same"`
	Exists int `json:"exists" doc:"of who is a user already and is left out"`
	Error  int `json:"error"`
	Failed int `json:"failed"`
}

// ImportRow is one row, and what is to become of it.
type ImportRow struct {
	Line      int    `json:"line"`
	Verdict   string `json:"verdict" enum:"create,update,same,exists,error,failed" doc:"exists: a user already, left out"`
	Email     string `json:"email" doc:"as typed"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Key       string `json:"key,omitempty" doc:"names what is wrong, for programs"`
	Detail    string `json:"detail,omitempty" doc:"what is wrong, for people"`
}

// ImportIn is a file to be read.
type ImportIn struct {
	Account      int64     `path:"account" doc:"account number"`
	File         string    `query:"file" doc:"its name, to be shown"`
	Invite       bool      `query:"invite" doc:"mail an invitation to whoever is new; else they set a password by a mailed code"`
	Update       bool      `query:"update" doc:"change who exists already"`
	Group        string    `query:"group" doc:"id of one to add everybody to"`
	AllOrNothing bool      `query:"all_or_nothing" doc:"do not start while a row has an error"`
	Body         io.Reader `body:"text/csv"`
}

// ImportPath names an import.
type ImportPath struct {
	Account int64  `path:"account" doc:"account number"`
	Import  string `path:"import"`
}

// ImportRowsIn is a page of an import's rows by line.
type ImportRowsIn struct {
	Account int64  `path:"account" doc:"account number"`
	Import  string `path:"import"`
	Verdict string `query:"verdict" enum:"create,update,same,exists,error,failed" doc:"only these"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"1000" doc:"1 to 1000, 50 unless said"`
}

const imports = accountPath + "/imports"

// Imports of users.
var (
	ListImports = Operation[ListIn, Page[Import]]{Spec{ID: "listImports", Method: http.MethodGet, Path: imports, Tag: "Imports",
		Summary: "List an account's imports of the last 30 days, the newest first", Who: SignedIn, Right: "users"}}
	CheckImport = Operation[ImportIn, Import]{Spec{ID: "checkImport", Method: http.MethodPost, Path: imports, Tag: "Imports",
		Summary: "Have a file of people read and judged; nobody is made yet", Note: "UTF-8, UTF-16 or Windows-1252, separated by commas, semicolons or tabs, with headings in English or French.",
		Who: SignedIn, Right: "users", Status: http.StatusCreated, MaxBody: 40 << 20}}
	GetImport = Operation[ImportPath, Import]{Spec{ID: "getImport", Method: http.MethodGet, Path: imports + "/{import}", Tag: "Imports",
		Summary: "How far an import is", Who: SignedIn, Right: "users"}}
	ListImportRows = Operation[ImportRowsIn, Page[ImportRow]]{Spec{ID: "listImportRows", Method: http.MethodGet, Path: imports + "/{import}/rows", Tag: "Imports",
		Summary: "List an import's rows by line, each with its verdict", Who: SignedIn, Right: "users"}}
	RejectedRows = Operation[ImportPath, *Stream]{Spec{ID: "rejectedRows", Method: http.MethodGet, Path: imports + "/{import}/rejected", Tag: "Imports",
		Summary: "The rows with errors, as they came and with what is wrong, as CSV", Who: SignedIn, Right: "users"}}
	StartImport = Operation[ImportPath, Import]{Spec{ID: "startImport", Method: http.MethodPost, Path: imports + "/{import}/start", Tag: "Imports",
		Summary: "Import the rows that have no error", Note: "It goes on without the caller, as long as they may.", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
	CancelImport = Operation[ImportPath, Import]{Spec{ID: "cancelImport", Method: http.MethodPost, Path: imports + "/{import}/cancel", Tag: "Imports",
		Summary: "End an import; who was imported stays", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
)
