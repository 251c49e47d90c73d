package api

import (
	"strconv"
	"strings"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

// maxLargeBody is somewhat over what a part may have: larger ones are refused by name.
const maxLargeBody = 17 << 20

// registerLarges adds the door of files too large for a mail
// (docs/reference/large-files.md).
func (a *api) registerLarges() {
	k := a.Kit
	k.HandleJSON("POST /api/v1/large", a.newLarge, web.SignedIn)
	k.HandleJSON("GET /api/v1/large/{id}", a.largeState, web.SignedIn)
	k.HandleJSON("PATCH /api/v1/large/{id}", a.appendLarge, web.SignedIn, web.Body(maxLargeBody))
	k.HandleJSON("DELETE /api/v1/large/{id}", a.dropLarge, web.SignedIn)
	k.HandleJSON("GET /api/v1/open/large/{slot}/{id}", a.largePiece, web.Public)
}

func actor(r *web.Request) keyserver.Actor {
	return keyserver.Actor{UserID: r.Session.UserID, Name: r.Actor().String(), Origin: r.Client()}
}

type largeOut struct {
	ID     string `json:"id"`
	Offset int64  `json:"offset"` // bytes that are durable here
	Size   int64  `json:"size"`
}

func (a *api) newLarge(r *web.Request) error {
	var in struct {
		Size int64 `json:"size"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	large, err := a.Keys.NewLarge(r.Context(), actor(r), in.Size)
	if err != nil {
		return err
	}
	return r.JSON(largeOut{large, 0, in.Size})
}

func (a *api) largeState(r *web.Request) error {
	got, size, err := a.Keys.Large(r.Context(), actor(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.JSON(largeOut{r.PathValue("id"), got, size})
}

// appendLarge takes one part. The media type is one that no form can send.
func (a *api) appendLarge(r *web.Request) error {
	at, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < 0 {
		return badField("Upload-Offset", err)
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/offset+octet-stream") {
		return fault.New(fault.Invalid, "large.part")
	}
	got, err := a.Keys.AppendLarge(r.Context(), actor(r), r.PathValue("id"), at, r.Body)
	if err != nil {
		return err
	}
	return r.JSON(struct {
		Offset int64 `json:"offset"`
	}{got})
}

func (a *api) dropLarge(r *web.Request) error {
	if err := a.Keys.DropLarge(r.Context(), actor(r), r.PathValue("id")); err != nil {
		return err
	}
	return r.JSON(struct{}{})
}

// largePiece is part of a large file's ciphertext, for whom release would release.
func (a *api) largePiece(r *web.Request) error {
	slot, err := envelope.ParseSlotID(r.PathValue("slot"))
	if err != nil {
		return fault.New(fault.NotFound, "e404.p").Because(err)
	}
	at, err := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64)
	if err != nil {
		return badField("at", err)
	}
	if r.Session == nil {
		return fault.New(fault.Unauthenticated, "sess.h1")
	}
	piece, size, err := a.Keys.LargePiece(r.Context(), r.Visitor(), slot, r.PathValue("id"), at)
	if err != nil {
		return err
	}
	defer piece.Close()
	return r.Stream(piece, size)
}
