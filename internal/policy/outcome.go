package policy

import (
	"encoding/json"
	"fmt"
)

// Results of an Outcome.
const (
	ResultSent    = "sent"
	ResultBounced = "bounced" // the outbox has given up
	ResultPassing = "passing" // handed to the next hop; the envelope's delivery says more
	ResultQueued  = "queued"  // in the outbox, which says here what became of it; of an envelope its delivery does
	ResultRefused = "refused"
)

// Outcome is what became of a message for one recipient, and why, as the row of
// its transit keeps it.
type Outcome struct {
	Recipient string `json:"recipient"`
	Action    Action `json:"action"`
	Why       Why    `json:"why"`
	Envelope  string `json:"envelope,omitempty"` // message id, where it was sealed
	Result    string `json:"result"`
	Said      string `json:"said,omitempty"` // by the next hop
}

// EncodeOutcomes writes outcomes as DecodeOutcomes reads them.
func EncodeOutcomes(list []Outcome) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // nothing in an Outcome cannot be written
	}
	return string(b)
}

// DecodeOutcomes reads the outcomes of a transit.
func DecodeOutcomes(s string) (list []Outcome, err error) {
	if err := json.Unmarshal([]byte(s), &list); err != nil {
		return nil, fmt.Errorf("read outcomes: %w", err)
	}
	return list, nil
}
