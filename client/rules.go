package client

import "net/http"

// RuleVersion is one version of an account's rules.
type RuleVersion struct {
	Version   int64  `json:"version" doc:"0: the default of an account that never wrote any"`
	Author    string `json:"author" doc:"as the audit log names them"`
	CreatedAt Time   `json:"created_at"`
}

// Rules are an account's rules, as they were written.
type Rules struct {
	Version   int64  `json:"version" doc:"0: the default of an account that never wrote any"`
	Author    string `json:"author" doc:"as the audit log names them"`
	CreatedAt Time   `json:"created_at"`
	Text      string `json:"text" doc:"TOML"`

	ETag string `json:"-" header:"ETag"`
}

// RulesIn puts rules in force.
type RulesIn struct {
	Account int64  `path:"account" doc:"account number"`
	IfMatch string `header:"If-Match" doc:"ETag that the rules in force must still have"`
	Text    string `json:"text" doc:"TOML"`
}

// RulesVersionPath names a version.
type RulesVersionPath struct {
	Account int64 `path:"account" doc:"account number"`
	Version int64 `path:"version" doc:"0: the default"`
}

// RulesRestore names a version that is to be in force again.
type RulesRestore struct {
	Account int64  `path:"account" doc:"account number"`
	Version int64  `path:"version" doc:"0: the default"`
	IfMatch string `header:"If-Match" doc:"ETag that the rules in force must still have"`
}

// SimulationIn asks what rules would have done.
type SimulationIn struct {
	Account int64  `path:"account" doc:"account number"`
	Text    string `json:"text" doc:"TOML"`
	Days    int    `json:"days,omitempty" max:"365" doc:"how many days back, 1 to 365, 1 unless said"`
	After   string `json:"after,omitempty" doc:"next of the answer before"`
	Limit   int    `json:"limit,omitempty" max:"500" doc:"messages that would change, 1 to 500, 50 unless said"`
}

// Simulation is what rules would have done. A message counts once for each recipient.
type Simulation struct {
	Messages int              `json:"messages" doc:"that were looked at"`
	Partly   bool             `json:"partly" doc:"there are more, which were not"`
	Changes  int              `json:"changes"`
	Stays    int              `json:"stays"`
	Untold   int              `json:"untold" doc:"it depends on a subject, a text, a header field or a file's name, which are not kept"`
	Moves    []SimulationMove `json:"moves"`
	Items    []SimulationRow  `json:"items" doc:"messages that would change, newest first"`
	Next     string           `json:"next,omitempty"`
}

// SimulationMove counts what would change alike.
type SimulationMove struct {
	From string `json:"from" enum:"plain,seal,tls,refuse"`
	To   string `json:"to,omitempty" enum:"plain,seal,tls,refuse" doc:"the same as from: sealed in another way; absent: cannot be told"`
	N    int    `json:"n"`
}

// SimulationRow is one message that would change, for one recipient.
type SimulationRow struct {
	Trace     string   `json:"trace"`
	At        Time     `json:"at"`
	Sender    string   `json:"sender" doc:"empty: none"`
	Recipient string   `json:"recipient"`
	Was       string   `json:"was" enum:"plain,seal,tls,refuse"`
	Would     []string `json:"would" doc:"several: it cannot be told which"`
	Rule      int      `json:"rule,omitempty" doc:"that decides, from 1"`
	RuleName  string   `json:"rule_name,omitempty"`
}

const rules = "/api/v1/accounts/{account}/rules"

// An account's rules for mail that passes through the gateway.
var (
	GetRules = Operation[Account, Rules]{Spec{ID: "getRules", Method: http.MethodGet, Path: rules, Tag: "Rules",
		Summary: "The rules in force", Who: SignedIn, Right: "settings"}}
	SetRules = Operation[RulesIn, Rules]{Spec{ID: "setRules", Method: http.MethodPut, Path: rules, Tag: "Rules",
		Summary: "Put rules in force, as the next version", Note: "All that is wrong with the text is told at once, each in a field called text.",
		Who: SignedIn, Right: "settings", Fails: []int{409}}}
	ListRulesVersions = Operation[ListIn, Page[RuleVersion]]{Spec{ID: "listRulesVersions", Method: http.MethodGet, Path: rules + "/versions", Tag: "Rules",
		Summary: "List the versions of the rules, the newest first", Who: SignedIn, Right: "settings"}}
	GetRulesVersion = Operation[RulesVersionPath, Rules]{Spec{ID: "getRulesVersion", Method: http.MethodGet, Path: rules + "/versions/{version}", Tag: "Rules",
		Summary: "One version of the rules", Who: SignedIn, Right: "settings"}}
	RestoreRules = Operation[RulesRestore, Rules]{Spec{ID: "restoreRules", Method: http.MethodPost, Path: rules + "/versions/{version}/restore", Tag: "Rules",
		Summary: "Put an earlier version of the rules in force again, as the next version", Who: SignedIn, Right: "settings", Fails: []int{409}}}
	SimulateRules = Operation[SimulationIn, Simulation]{Spec{ID: "simulateRules", Method: http.MethodPost, Path: rules + "/simulate", Tag: "Rules",
		Summary: "Say what rules would have done with past messages", Note: "Nothing is put in force. It needs the rights over settings and over messages, both over the whole account, since it tells who wrote to whom.",
		Who: SignedIn, Fails: []int{403}}}
)
