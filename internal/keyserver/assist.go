package keyserver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// How often the server opens one recipient's envelope: it is work, and every
// file of a message is an opening of its own.
const (
	assistLimit  = 120
	assistWindow = 10 * time.Minute
)

// Assist is Release for a reader whose browser cannot open the envelope, so
// that this server will: half is E, which the reader hands over for that and
// which proves possession by itself. Its record is envelope.released_assisted.
// It is refused where the account or the message forbids it (AT-26).
//
// file is the whole envelope, which the caller must close; nil where the service
// does not keep it. Faults: as Release; online.refused, e429.p.
func (s *Service) Assist(ctx context.Context, v Visitor, ref string, half envelope.Secret) (r Release, file io.ReadCloser, err error) {
	if ref, err = parseRef(ref); err != nil {
		return r, nil, err
	}
	var slot envelope.SlotID
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		o, err := tx.FindOpeningByRef(ref, v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		}
		if err == nil {
			slot, err = envelope.ParseSlotID(o.Slot.ID)
		}
		return err
	})
	if err != nil {
		return r, nil, unavailable(err)
	}
	r, o, err := s.release(ctx, v, slot, &half)
	if err != nil || !r.Kept {
		return r, nil, err
	}
	file, _, err = s.envelopeOf(ctx, o)
	return r, file, err
}

// checkAssisted is checkAccess where E itself was handed over. It remembers the
// possession that E proves.
func (s *Service) checkAssisted(tx *store.Tx, o *store.Opening, v Visitor, half envelope.Secret) (*refusal, error) {
	slot, err := envelope.ParseSlotID(o.Slot.ID)
	if err != nil || len(o.Message.HH) != 32 {
		return nil, errors.Join(err, errors.New("a slot or its message is damaged"))
	}
	// Where a passphrase masks E, this would tell right guesses from wrong ones,
	// and not count them as Prove does. Online refuses those anyway.
	guessed, err := guessable(*o)
	if err != nil {
		return nil, err
	}
	if !guessed {
		pop := envelope.Pop(half, slot, [32]byte(o.Message.HH))
		o.Possession = hmac.Equal(pop[:], o.Slot.Pop)
	}
	if r := checkAccess(*o, asOf(tx, *o)); r != nil {
		return r, nil
	}
	allowed, err := online(*o)
	if err != nil {
		return nil, err
	}
	if !allowed {
		return &refusal{ReasonOnline, fault.New(fault.Denied, "online.refused")}, nil
	}
	ok, wait, err := tx.Hit("assist:"+o.Slot.ID, assistWindow, assistLimit)
	if err != nil {
		return nil, err
	}
	if !ok {
		return &refusal{ReasonOften, fault.Wait("e429.p", wait)}, nil
	}
	return nil, tx.InsertPossession(v.Session, o.Slot.ID, v.Device)
}

// online reports whether the server may open it: its header says so, which is
// sealed with the message, and its account still does.
func online(o store.Opening) (bool, error) {
	settings, err := policy.ReadSettings(o.Settings)
	if err != nil {
		return false, err
	}
	permissions, err := policy.ReadPermissions(o.Message.Policy)
	if err != nil || !permissions.Under(settings).Online {
		return false, err
	}
	head := envelope.Head(o.Message.MH, o.Slot.RH, [48]byte{}, [64]byte{}, o.Message.PayloadSize)
	e, err := envelope.Parse(bytes.NewReader(head), maxPayload)
	if err != nil {
		return false, err
	}
	return e.Header.Policy&envelope.PolicyServerMayOpen != 0, nil
}

// Held is what a reader's browser brings with each step of an assisted opening,
// so that the server keeps none of it.
type Held struct {
	Half  envelope.Secret
	Stage string // where the reader's own file waits; "" where the service keeps the envelope
	Token string // of the stage, revealed
}

// heldLife is how long what Hold returned can be used.
const heldLife = stageLife

type heldBox struct {
	Half  string    `json:"half"`
	Stage string    `json:"stage,omitempty"`
	Token string    `json:"token,omitempty"`
	Until time.Time `json:"until"`
}

func heldPurpose(v Visitor, ref string) string {
	return "assisted opening\x00" + v.Session + "\x00" + ref
}

// Hold seals h for a cookie of this session and envelope. It opens for ten
// minutes, and for nobody who does not have the master key.
func (s *Service) Hold(v Visitor, ref string, h Held) (string, error) {
	text, err := json.Marshal(heldBox{h.Half.Base64(), h.Stage, h.Token, s.c.DB.Now().Add(heldLife)})
	if err != nil {
		return "", err
	}
	box, err := s.c.Root.Seal(heldPurpose(v, ref), text)
	if err != nil {
		return "", unavailable(err)
	}
	return base64.RawURLEncoding.EncodeToString(box), nil
}

// Held opens what Hold sealed. Fault: online.over, whatever the reason.
func (s *Service) Held(v Visitor, ref, cookie string) (Held, error) {
	over := fault.New(fault.Gone, "online.over")
	box, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		return Held{}, over
	}
	text, err := s.c.Root.Open(heldPurpose(v, ref), box)
	if err != nil {
		return Held{}, over
	}
	var h heldBox
	if err := json.Unmarshal(text, &h); err != nil || !h.Until.After(s.c.DB.Now()) {
		return Held{}, over
	}
	half, err := envelope.ParseSecret(h.Half)
	if err != nil {
		return Held{}, over
	}
	return Held{half, h.Stage, h.Token}, nil
}
