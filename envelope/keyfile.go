package envelope

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// KeyFile opens envelopes without a key server: the service's seal key takes
// the place of its record (spec section 4). It is kept with mode 0600.
type KeyFile struct {
	SealKey ed25519.PublicKey
	Slots   []KeyFileSlot
}

// KeyFileSlot is the server's half of one slot.
type KeyFileSlot struct {
	Slot    SlotID
	Address string
	S       Secret
}

// Find returns the half for a slot.
func (k *KeyFile) Find(id SlotID) (KeyFileSlot, bool) {
	i := slices.IndexFunc(k.Slots, func(s KeyFileSlot) bool { return s.Slot == id })
	if i < 0 {
		return KeyFileSlot{}, false
	}
	return k.Slots[i], true
}

// keyFileJSON is the key file as JSON.
type keyFileJSON struct {
	SealKey string            `json:"seal_key"` // base64url
	Slots   []keyFileSlotJSON `json:"slots"`
}

type keyFileSlotJSON struct {
	Slot    string `json:"slot"` // hex
	Address string `json:"address"`
	S       string `json:"s"` // base64url
}

// MarshalJSON writes the key file, secrets included: this is what it is for.
func (k KeyFile) MarshalJSON() ([]byte, error) {
	if len(k.SealKey) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("write key file: %w: seal key has %d bytes", ErrFormat, len(k.SealKey))
	}
	out := keyFileJSON{SealKey: base64.RawURLEncoding.EncodeToString(k.SealKey), Slots: []keyFileSlotJSON{}}
	for _, s := range k.Slots {
		out.Slots = append(out.Slots, keyFileSlotJSON{s.Slot.String(), s.Address, s.S.Base64()})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a key file and refuses unknown and duplicate names and
// slots: a key file says one thing.
func (k *KeyFile) UnmarshalJSON(text []byte) error {
	if err := checkNames(text, "seal_key", "slots", "slot", "address", "s"); err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	var in keyFileJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return fmt.Errorf("read key file: %w: not JSON of its schema", ErrFormat) // err could repeat a secret
	}
	key, err := rawURL.DecodeString(in.SealKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("read key file: %w: seal_key must be 43 characters of base64url", ErrFormat)
	}
	out := KeyFile{SealKey: key}
	for i, s := range in.Slots {
		slot := KeyFileSlot{Address: s.Address}
		if slot.Slot, err = ParseSlotID(s.Slot); err != nil {
			return fmt.Errorf("read key file: slot %d: %w", i, err)
		}
		if slot.S, err = ParseSecret(s.S); err != nil {
			return fmt.Errorf("read key file: slot %d: %w", i, err)
		}
		if _, twice := out.Find(slot.Slot); twice {
			return fmt.Errorf("read key file: %w: slot %s twice", ErrFormat, slot.Slot)
		}
		out.Slots = append(out.Slots, slot)
	}
	*k = out
	return nil
}

// checkNames refuses member names that are not allowed, spelled in another
// case, or given twice in one object; encoding/json lets the last two pass.
func checkNames(text []byte, allowed ...string) error {
	type object struct {
		names map[string]bool // nil for an array
		value bool            // a name was read, its value comes next
	}
	var open []object
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: not JSON", ErrFormat)
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open) - 1; n >= 0 && open[n].names != nil {
			if name, _ := token.(string); !open[n].value {
				if !slices.Contains(allowed, name) || open[n].names[name] {
					return fmt.Errorf("%w: name %q is unknown or given twice", ErrFormat, name)
				}
				open[n].names[name], open[n].value = true, true
				continue
			}
			open[n].value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, object{})
		}
	}
}
