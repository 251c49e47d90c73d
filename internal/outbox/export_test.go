package outbox

var (
	Backoff  = backoff
	Patience = patience
	Clean    = clean
)
