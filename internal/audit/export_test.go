package audit

import "crypto/ed25519"

// Sign signs a checkpoint.
func Sign(c Checkpoint, key ed25519.PrivateKey) Checkpoint { return c.sign(key) }
