package relay_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	space = regexp.MustCompile(`[ \t]+`)
	bTag  = regexp.MustCompile(`(;\s*b=)[^;]*`)
)

// secondOpinion verifies a signature from the text of RFC 6376 alone, relaxed
// for header and body, because a library that signs and verifies agrees with
// its own mistakes.
func secondOpinion(t *testing.T, mail string, key crypto.Signer) {
	t.Helper()
	head, body, _ := strings.Cut(mail, "\r\n\r\n")
	var fields []string // unfolded
	for l := range strings.SplitSeq(head, "\r\n") {
		if strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t") {
			fields[len(fields)-1] += l
		} else {
			fields = append(fields, l)
		}
	}
	relaxed := func(f string) string {
		name, value, _ := strings.Cut(f, ":")
		return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.TrimSpace(space.ReplaceAllString(value, " "))
	}
	i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "DKIM-Signature:") })
	if i < 0 {
		t.Fatal("no signature")
	}
	signature := fields[i]
	tags := map[string]string{}
	for tag := range strings.SplitSeq(strings.TrimPrefix(signature, "DKIM-Signature:"), ";") {
		if name, value, ok := strings.Cut(tag, "="); ok {
			tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	lines := strings.Split(body, "\r\n")
	for j, l := range lines {
		lines[j] = strings.TrimRight(space.ReplaceAllString(l, " "), " ")
	}
	text := strings.TrimRight(strings.Join(lines, "\r\n"), "\r\n") + "\r\n"
	sum := sha256.Sum256([]byte(text))
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != tags["bh"] {
		t.Errorf("body hash %s, the signature says %s", got, tags["bh"])
	}
	var covered strings.Builder
	left := slices.Clone(fields)
	for name := range strings.SplitSeq(tags["h"], ":") {
		for j := len(left) - 1; j >= 0; j-- { // the lowest that is not yet taken
			if strings.HasPrefix(relaxed(left[j]), strings.ToLower(name)+":") {
				covered.WriteString(relaxed(left[j]) + "\r\n")
				left = slices.Delete(left, j, j+1)
				break
			}
		}
	}
	covered.WriteString(relaxed(bTag.ReplaceAllString(signature, "$1")))
	digest := sha256.Sum256([]byte(covered.String()))
	b, err := base64.StdEncoding.DecodeString(tags["b"])
	if err != nil {
		t.Fatal(err)
	}
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		if tags["a"] != "ed25519-sha256" || !ed25519.Verify(k, digest[:], b) {
			t.Error("the signature does not hold (RFC 8463)")
		}
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], b); tags["a"] != "rsa-sha256" || err != nil {
			t.Errorf("the signature does not hold: %v", err)
		}
	}
	for _, name := range []string{"from", "subject", "to", "date", "message-id"} {
		signed := strings.Split(strings.ToLower(tags["h"]), ":")
		if i := slices.Index(signed, name); i < 0 || !slices.Contains(signed[i+1:], name) {
			t.Errorf("%s is not signed twice: another could be added", name)
		}
	}
}
