package sealing_test

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/store"
)

// The mail of an account with a look carries its picture, in itself, and asks
// nobody for anything; its text part says the same in words.
func TestBrandedMail(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 40, 20))); err != nil {
		t.Fatal(err)
	}
	logo, err := brand.ReadLogo(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	b := brand.Brand{Name: "Clinic of the Lake", Color: "#0b5d5b", IntroEN: "Results come this way.", Contact: "help@example.org", Footer: "Geneva", Logo: logo.Logo}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.SetLogo(100042, store.Logo{Digest: logo.Digest, MediaType: logo.Type, Body: logo.Body, Mail: logo.Mail}); err != nil {
			return err
		}
		return tx.SetBrand(100042, b.Encode(), "clinic")
	}); err != nil {
		t.Fatal(err)
	}
	r := h.request("jean@example.net")
	r.NoticeLang, r.AccountName = "en", ""
	if _, err := h.seal.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	for deadline := time.Now().Add(20 * time.Second); len(h.peer.to("jean@example.net")) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no mail")
		}
	}
	raw := h.peer.to("jean@example.net")[0]
	for _, want := range []string{"multipart/related; type=\"text/html\"", "Content-ID: <" + b.MailLogo() + ">", "cid:" + b.MailLogo(), "Clinic of the Lake", "Results come this way.", "Help: help@example.org", "Geneva", "#0b5d5b"} {
		if !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(raw, "=\r\n", ""), "=3D", "="), want) {
			t.Errorf("the mail has no %s", want)
		}
	}
	if strings.Contains(raw, "Example Health") || strings.Contains(raw, "src=3D\"http") {
		t.Error("the mail has the account's own name, or asks for something")
	}
}
