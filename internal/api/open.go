package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

func slotOf(s string) (envelope.SlotID, error) {
	slot, err := envelope.ParseSlotID(s)
	if err != nil {
		return slot, badField("slot", err)
	}
	return slot, nil
}

// challenge gives a nonce to prove with that the visitor holds an envelope,
// named by its slot or its reference. An unknown one gets an answer like any other.
func (a *api) challenge(r *web.Request, in client.ChallengeIn) (client.Challenge, error) {
	var c keyserver.Challenge
	var err error
	if in.Slot != "" {
		slot, perr := slotOf(in.Slot)
		if perr != nil {
			return client.Challenge{}, perr
		}
		c, err = a.Keys.Challenge(r.Context(), r.Visitor(), slot)
	} else {
		c, err = a.Keys.ChallengeRef(r.Context(), r.Visitor(), in.Ref)
	}
	return client.Challenge{Slot: c.Slot.String(), Message: c.Message.String(), HH: b64(c.HH[:]), Nonce: b64(c.Nonce)}, err
}

func (a *api) possession(r *web.Request, in client.PossessionIn) (client.Proved, error) {
	slot, err := slotOf(in.Slot)
	if err != nil {
		return client.Proved{}, err
	}
	proof, err := bytesOf("proof", in.Proof, 32)
	if err != nil {
		return client.Proved{}, err
	}
	ref, err := a.Keys.Prove(r.Context(), r.Visitor(), slot, proof)
	return client.Proved{Ref: ref, Next: "/e/" + ref}, err
}

// code mails a code to the envelope's address. Whoever has not proved to hold
// the envelope names the address, and gets the same answer whether it is right.
func (a *api) code(r *web.Request, in client.CodeIn) (client.CodeSent, error) {
	if err := a.Keys.SendCode(r.Context(), r.Visitor(), in.Ref, in.Email); err != nil {
		return client.CodeSent{}, err
	}
	l, err := a.Keys.Landing(r.Context(), r.Visitor(), in.Ref)
	return client.CodeSent{Masked: l.Masked}, err
}

// verify checks the code. The session ends and another begins, which has proved
// the address: a browser gets it as its cookie, a program in the answer.
func (a *api) verify(r *web.Request, in client.VerifyIn) (out client.Verified, err error) {
	token, err := a.Keys.VerifyCode(r.Context(), r.Visitor(), in.Ref, in.Code)
	if err != nil {
		return out, err
	}
	if r.Header.Get("Authorization") == "" {
		r.SetToken(token)
	} else {
		out.Token = token.Reveal()
	}
	return out, nil
}

// release hands over the service's half of the key. Nothing else does, and only a POST.
func (a *api) release(r *web.Request, in client.SlotName) (client.Released, error) {
	slot, err := slotOf(in.Slot)
	if err != nil {
		return client.Released{}, err
	}
	if r.Session == nil {
		return client.Released{}, fault.New(fault.Unauthenticated, "sess.h1")
	}
	rel, err := a.Keys.Release(r.Context(), r.Visitor(), slot)
	if err != nil {
		return client.Released{}, err
	}
	return client.Released{
		S: rel.S.Base64(), HH: b64(rel.HH[:]), PH: b64(rel.PH[:]), Ref: rel.Ref,
		Sender:   client.Sender{Name: rel.Sender.Name, Address: rel.Sender.Address, Organisation: rel.Sender.Organisation, Verified: rel.Sender.Verified},
		SealedAt: client.Time{Time: rel.SealedAt}, ExpiresAt: client.Time{Time: rel.ExpiresAt}, Kept: rel.Kept,
	}, nil
}

// ciphertext is the whole envelope as the service keeps it, for whom release
// would release: useless without both halves.
func (a *api) ciphertext(r *web.Request, in client.SlotPath) (*client.Stream, error) {
	slot, err := envelope.ParseSlotID(in.Slot)
	if err != nil {
		return nil, fault.New(fault.NotFound, "e404.p").Because(err)
	}
	if r.Session == nil {
		return nil, fault.New(fault.Unauthenticated, "sess.h1")
	}
	file, size, err := a.Keys.Ciphertext(r.Context(), r.Visitor(), slot)
	return &client.Stream{ReadCloser: file, Size: size}, err
}

// takeLease says until when this device may keep an envelope that it has opened.
func (a *api) takeLease(r *web.Request, in client.SlotName) (client.Lease, error) {
	slot, err := slotOf(in.Slot)
	if err != nil {
		return client.Lease{}, err
	}
	if r.Session == nil {
		return client.Lease{}, fault.New(fault.Unauthenticated, "sess.h1")
	}
	l, err := a.Keys.Lease(r.Context(), r.Visitor(), slot)
	return client.Lease{Until: client.Time{Time: l.Until}, Proof: l.Proof}, err
}

func (a *api) checkLease(r *web.Request, in client.LeaseProof) (client.LeaseStands, error) {
	stands, err := a.Keys.LeaseStands(r.Context(), in.Proof)
	return client.LeaseStands{Stands: stands}, err
}
