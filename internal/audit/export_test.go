package audit

import (
	"crypto/ed25519"

	"github.com/pli-mail/pli/internal/store"
)

// Sign signs a checkpoint.
func Sign(c Checkpoint, key ed25519.PrivateKey) Checkpoint { return c.sign(key) }

// Event is a checkpoint as an event.
func Event(c Checkpoint) store.AuditRow { return c.event() }
