package desk

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/intake"
	"github.com/pli-mail/pli/internal/web"
)

// maxAnswerHead is the most bytes of what stands before an answer's payload.
const maxAnswerHead = 256 << 10

// registerAnswers adds the pages of a link. Whoever has the link may look at it
// and answer; looking changes nothing.
func (d *intakes) registerAnswers() {
	k := d.kit
	k.Handle("GET /q/{token}", d.ask, web.Public)
	k.HandleJSON("POST /q/{token}/code", d.sendCode, web.Visitor)
	k.HandleJSON("POST /q/{token}/verify", d.verify, web.Public)
	k.HandleJSON("POST /q/{token}/answer", d.answer, web.Public, web.Body(intake.MaxPayload(d.svc.MaxBytes())+maxAnswerHead+1<<20))
}

type askPage struct {
	web.Base
	intake.Card
	Path  string
	Types string
	Max   string // of the files together
	Key   string // of the text that says why it takes nothing, "" where it does
}

func tokenOf(r *web.Request) (id.Token, error) {
	token, err := id.ParseToken(r.PathValue("token"))
	if err != nil {
		return token, fault.New(fault.NotFound, "intake.unknown").Because(err)
	}
	return token, nil
}

// unknown says of a link that is not there what can be done about it.
func unknown(err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "intake.unknown").Because(err)
	}
	return err
}

func (d *intakes) ask(r *web.Request) error {
	token, err := tokenOf(r)
	if err != nil {
		return err
	}
	session := ""
	if r.Session != nil {
		session = r.Session.Hash
	}
	card, err := d.svc.Look(r.Context(), token, session)
	if err != nil {
		return unknown(err)
	}
	p := &askPage{Base: r.Base(r.T("intake.ask", "person", card.Person)), Card: card, Path: "/q/" + token.Reveal(), Types: strings.Join(card.Types, ", "),
		Max: r.Printer.Bytes(card.MaxBytes >> 20 * 1_000_000)}
	p.Brand = card.Look
	if card.State != intake.Open {
		p.Key = "intake.is" + card.State
		return r.RenderStatus(http.StatusGone, d.pages, "ask", p)
	}
	return r.Render(d.pages, "ask", p)
}

func (d *intakes) sendCode(r *web.Request) error {
	token, err := tokenOf(r)
	if err != nil {
		return err
	}
	var in struct {
		Email string `json:"email"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	if err := d.svc.SendCode(r.Context(), token, r.Visitor(), in.Email); err != nil {
		return unknown(err)
	}
	return r.JSON(struct{}{})
}

// verify checks a code. The session it was asked from ends, and the one that
// begins has proved the address.
func (d *intakes) verify(r *web.Request) error {
	token, err := tokenOf(r)
	if err != nil {
		return err
	}
	var in struct {
		Code string `json:"code"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	if r.Session == nil {
		return fault.New(fault.Unauthenticated, "sess.h1")
	}
	session, err := d.svc.VerifyCode(r.Context(), token, r.Visitor(), in.Code)
	if err != nil {
		return unknown(err)
	}
	r.SetToken(session)
	return r.JSON(struct{}{})
}

// answer takes what an outsider's browser sealed: the field "head", JSON, and
// then the file "payload", which is read as it arrives.
func (d *intakes) answer(r *web.Request) error {
	token, err := tokenOf(r)
	if err != nil {
		return err
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return fault.New(fault.Invalid, "desk.badform").Because(err)
	}
	a, err := readAnswer(parts)
	if err != nil {
		return err
	}
	ref, err := d.svc.Answer(r.Context(), token, r.Visitor(), a)
	if err != nil {
		return unknown(err)
	}
	return r.JSON(struct {
		Ref string `json:"ref"`
	}{id.ShowReference(ref)})
}

// brokenOff is unreadable where the form has ended too early.
func brokenOff(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return unreadable(err)
}

// readAnswer reads the head, and stops where the payload begins.
func readAnswer(parts *multipart.Reader) (a intake.Answer, err error) {
	p, err := parts.NextPart()
	if err != nil {
		return a, brokenOff(err)
	}
	if p.FormName() != "head" {
		return a, fault.New(fault.Invalid, "desk.badform")
	}
	raw, err := io.ReadAll(io.LimitReader(p, maxAnswerHead+1))
	if err != nil {
		return a, unreadable(err)
	}
	var in struct{ Name, Email, MH, RH, Wrap, S, E string }
	if err := json.Unmarshal(raw, &in); err != nil || len(raw) > maxAnswerHead {
		return a, fault.New(fault.Invalid, "desk.badform").Because(err)
	}
	a.Name, a.Email = in.Name, in.Email
	var wrap []byte
	for _, f := range []struct {
		to   *[]byte
		text string
	}{{&a.MH, in.MH}, {&a.RH, in.RH}, {&wrap, in.Wrap}} {
		if *f.to, err = base64.RawURLEncoding.Strict().DecodeString(f.text); err != nil {
			return a, fault.New(fault.Invalid, "desk.badform").Because(err)
		}
	}
	if len(wrap) != len(a.Wrap) {
		return a, fault.New(fault.Invalid, "desk.badform")
	}
	copy(a.Wrap[:], wrap)
	if a.S, err = envelope.ParseSecret(in.S); err == nil {
		a.E, err = envelope.ParseSecret(in.E)
	}
	if err != nil {
		return a, fault.New(fault.Invalid, "desk.badform").Because(err)
	}
	if p, err = parts.NextPart(); err != nil {
		return a, brokenOff(err)
	}
	if p.FormName() != "payload" {
		return a, fault.New(fault.Invalid, "desk.badform")
	}
	a.Payload = content{p}
	return a, nil
}
