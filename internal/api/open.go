package api

import (
	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

// readSlot reads a body that names nothing but a slot.
func readSlot(r *web.Request) (envelope.SlotID, error) {
	var in struct {
		Slot string `json:"slot"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return envelope.SlotID{}, err
	}
	slot, err := envelope.ParseSlotID(in.Slot)
	if err != nil {
		return slot, badField("slot", err)
	}
	return slot, nil
}

// challenge gives a nonce to prove with that the visitor holds an envelope,
// named by its slot or its reference. An unknown one gets an answer like any other.
func (a *api) challenge(r *web.Request) error {
	var in struct {
		Slot string `json:"slot"`
		Ref  string `json:"ref"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	var c keyserver.Challenge
	var err error
	if in.Slot != "" {
		slot, perr := envelope.ParseSlotID(in.Slot)
		if perr != nil {
			return badField("slot", perr)
		}
		c, err = a.Keys.Challenge(r.Context(), r.Visitor(), slot)
	} else {
		c, err = a.Keys.ChallengeRef(r.Context(), r.Visitor(), in.Ref)
	}
	if err != nil {
		return err
	}
	return r.JSON(struct {
		Slot    string `json:"slot"`
		Message string `json:"message"`
		HH      string `json:"hh"`
		Nonce   string `json:"nonce"`
	}{c.Slot.String(), c.Message.String(), b64(c.HH[:]), b64(c.Nonce)})
}

func (a *api) possession(r *web.Request) error {
	var in struct {
		Slot  string `json:"slot"`
		Proof string `json:"proof"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	slot, err := envelope.ParseSlotID(in.Slot)
	if err != nil {
		return badField("slot", err)
	}
	proof, err := bytesOf("proof", in.Proof, 32)
	if err != nil {
		return err
	}
	ref, err := a.Keys.Prove(r.Context(), r.Visitor(), slot, proof)
	if err != nil {
		return err
	}
	return r.JSON(struct {
		Ref  string `json:"ref"`
		Next string `json:"next"`
	}{ref, "/e/" + ref})
}

// code mails a code to the envelope's address. Whoever has not proved to hold
// the envelope names the address, and gets the same answer whether it is right.
func (a *api) code(r *web.Request) error {
	var in struct {
		Ref   string `json:"ref"`
		Email string `json:"email"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	if err := a.Keys.SendCode(r.Context(), r.Visitor(), in.Ref, in.Email); err != nil {
		return err
	}
	l, err := a.Keys.Landing(r.Context(), r.Visitor(), in.Ref)
	if err != nil {
		return err
	}
	return r.JSON(struct {
		Masked string `json:"masked"`
	}{l.Masked})
}

// verify checks the code. The session ends and another begins, which has proved
// the address: a browser gets it as its cookie, a program in the answer.
func (a *api) verify(r *web.Request) error {
	var in struct {
		Ref  string `json:"ref"`
		Code string `json:"code"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	token, err := a.Keys.VerifyCode(r.Context(), r.Visitor(), in.Ref, in.Code)
	if err != nil {
		return err
	}
	var out struct {
		Token string `json:"token,omitempty"`
	}
	if r.Header.Get("Authorization") == "" {
		r.SetToken(token)
	} else {
		out.Token = token.Reveal()
	}
	return r.JSON(out)
}

type senderOut struct {
	Name         string `json:"name"`
	Address      string `json:"address"`
	Organisation string `json:"organisation"`
	Verified     bool   `json:"verified"`
}

// release hands over the service's half of the key. Nothing else does, and only a POST.
func (a *api) release(r *web.Request) error {
	slot, err := readSlot(r)
	if err != nil {
		return err
	}
	if r.Session == nil {
		return fault.New(fault.Unauthenticated, "sess.h1")
	}
	rel, err := a.Keys.Release(r.Context(), r.Visitor(), slot)
	if err != nil {
		return err
	}
	s := rel.Sender
	return r.JSON(struct {
		S         string    `json:"s"`
		HH        string    `json:"hh"`
		PH        string    `json:"ph"`
		Ref       string    `json:"ref"`
		Sender    senderOut `json:"sender"`
		SealedAt  string    `json:"sealed_at"`
		ExpiresAt string    `json:"expires_at,omitempty"`
		Kept      bool      `json:"kept"`
	}{rel.S.Base64(), b64(rel.HH[:]), b64(rel.PH[:]), rel.Ref, senderOut{s.Name, s.Address, s.Organisation, s.Verified},
		stamp(rel.SealedAt), stamp(rel.ExpiresAt), rel.Kept})
}

// ciphertext is the whole envelope as the service keeps it, for whom release
// would release: useless without both halves.
func (a *api) ciphertext(r *web.Request) error {
	slot, err := envelope.ParseSlotID(r.PathValue("slot"))
	if err != nil {
		return fault.New(fault.NotFound, "e404.p").Because(err)
	}
	if r.Session == nil {
		return fault.New(fault.Unauthenticated, "sess.h1")
	}
	file, size, err := a.Keys.Ciphertext(r.Context(), r.Visitor(), slot)
	if err != nil {
		return err
	}
	defer file.Close()
	return r.Stream(file, size)
}
