// Package fault says what went wrong in the two ways that Pli needs it said:
// a kind and a catalogue key, which are safe to show to anyone, and a cause,
// which is for the log only. Every door (page, JSON, command) maps the kind
// once; nobody else writes a status or an exit status.
package fault

import (
	"errors"
	"time"
)

// Kind is what a failure means to whoever asked.
type Kind int

// The kinds, with the HTTP status and exit status they become (ux.md 5).
const (
	Internal        Kind = iota // 500, 1: our side; the cause is logged under an incident number
	Invalid                     // 422, 2: what was typed cannot be used
	Unauthenticated             // 401, 4: sign in first
	Denied                      // 403, 4: signed in, and not allowed
	NotFound                    // 404, 3: nothing there, or nothing that this person may know of
	Conflict                    // 409, 5: already there, or changed meanwhile
	Closed                      // 403, 7: the envelope is locked, expired or withdrawn
	Gone                        // 410, 7: its key has been destroyed
	TooLarge                    // 413, 2: over a limit that the text names
	TooMany                     // 429, 75: wait, then try again
	Unavailable                 // 503, 75: a part that is needed does not answer
	Stale                       // 412, 5: not what the caller last saw
)

// Args fill the placeholders of a catalogue text.
type Args map[string]any

// Field is one input of a form with what is wrong about it.
type Field struct {
	Name string
	Key  string
	Args Args
}

// Error is a failure with its two texts. It is made by the constructors below.
type Error struct {
	Kind   Kind
	Key    string // of the catalogue text to show
	Args   Args
	Fields []Field
	cause  error
}

// New returns a failure of kind k whose text to show is key.
func New(k Kind, key string) *Error { return &Error{Kind: k, Key: key} }

// Wait returns a failure of kind TooMany whose text says after how many minutes to
// try again: {n}, rounded up, so that who waits that long is not refused again.
func Wait(key string, d time.Duration) *Error {
	return New(TooMany, key).With("n", max(1, int((d+time.Minute-1)/time.Minute)))
}

// With returns e with a placeholder filled.
func (e *Error) With(name string, value any) *Error {
	c := *e
	c.Args = make(Args, len(e.Args)+1)
	for k, v := range e.Args {
		c.Args[k] = v
	}
	c.Args[name] = value
	return &c
}

// In returns e with one more wrong field.
func (e *Error) In(name, key string, args Args) *Error {
	c := *e
	c.Fields = append(append([]Field(nil), e.Fields...), Field{name, key, args})
	return &c
}

// Because returns e with its cause, which only the log sees.
func (e *Error) Because(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// Error is the text for the log.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Key + ": " + e.cause.Error()
	}
	return e.Key
}

func (e *Error) Unwrap() error { return e.cause }

// Of returns the fault in err's chain; anything else is Internal, with err as its cause.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Key: "e500.h1", cause: err}
}

// Is reports whether err is a fault of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// HasKey reports whether err is a fault whose text to show is key.
func HasKey(err error, key string) bool {
	var e *Error
	return errors.As(err, &e) && e.Key == key
}
