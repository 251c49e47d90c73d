package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) newLarge(r *web.Request, in client.LargeIn) (client.Large, error) {
	large, err := a.Keys.NewLarge(r.Context(), actorOf(r), in.Size)
	return client.Large{ID: large, Size: in.Size}, err
}

func (a *api) largeState(r *web.Request, in client.LargeID) (client.Large, error) {
	got, size, err := a.Keys.Large(r.Context(), actorOf(r), in.ID)
	return client.Large{ID: in.ID, Offset: got, Size: size}, err
}

// appendLarge takes one part. The media type is one that no form can send.
func (a *api) appendLarge(r *web.Request, in client.LargePart) (client.LargeOffset, error) {
	got, err := a.Keys.AppendLarge(r.Context(), actorOf(r), in.ID, in.Offset, in.Body)
	return client.LargeOffset{Offset: got}, err
}

func (a *api) dropLarge(r *web.Request, in client.LargeID) (client.None, error) {
	return client.None{}, a.Keys.DropLarge(r.Context(), actorOf(r), in.ID)
}

// largePiece is part of a large file's ciphertext, for whom release would release.
func (a *api) largePiece(r *web.Request, in client.LargePieceIn) (*client.Stream, error) {
	slot, err := envelope.ParseSlotID(in.Slot)
	if err != nil {
		return nil, fault.New(fault.NotFound, "e404.p").Because(err)
	}
	if r.Session == nil {
		return nil, fault.New(fault.Unauthenticated, "sess.h1")
	}
	piece, size, err := a.Keys.LargePiece(r.Context(), r.Visitor(), slot, in.ID, in.At)
	return &client.Stream{ReadCloser: piece, Size: size}, err
}
