package web_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pli-mail/pli/internal/keyserver"
)

// What the browser's script makes of a large file is what the specification says
// (docs/reference/large-files.md), goes on at any offset with the same bytes,
// and opens with the script as with this reader; nothing altered does.
func TestBrowserSealsLarge(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test seals in JavaScript and needs Node 20 or newer: install nodejs, or put node in PATH")
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/large.mjs", "static/large.js")
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	n := 0
	for ; dec.More(); n++ {
		var v struct {
			Size          int64
			Sealed, Plain []byte
		}
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if int64(len(v.Sealed)) != keyserver.LargeSize(v.Size) {
			t.Errorf("%d bytes become %d, and not %d", v.Size, len(v.Sealed), keyserver.LargeSize(v.Size))
		}
		got := openLarge(t, v.Sealed)
		if !bytes.Equal(got[:v.Size], v.Plain) || len(bytes.Trim(got[v.Size:], "\x00")) != 0 {
			t.Errorf("%d bytes open to something else", v.Size)
		}
	}
	if n < 10 {
		t.Errorf("only %d sizes", n)
	}
}

// Two changes that each are right can make a script that no browser runs.
func TestScriptsParse(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test reads JavaScript and needs Node 20 or newer: install nodejs, or put node in PATH")
	}
	scripts, err := filepath.Glob("static/*.js")
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, s := range scripts {
		raw, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "--check")
		cmd.Stdin = bytes.NewReader(raw)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%.500s", s, err, out)
		}
	}
}

func openLarge(t *testing.T, sealed []byte) (out []byte) {
	t.Helper()
	id, err := hex.DecodeString("00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	info := "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + string(sealed[:24]) + "pli/1 large\x00" + string(id)
	okm, err := hkdf.Expand(sha512.New, bytes.Repeat([]byte{7}, 32), info, 76)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(okm[44:], sealed[24:56]) {
		t.Fatal("the commitment is another one")
	}
	block, err := aes.NewCipher(okm[:32])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	for i, rest := 0, sealed[56:]; ; i++ {
		n := min(len(rest), 16400)
		nonce := bytes.Clone(okm[32:44])
		nonce[10], nonce[11] = nonce[10]^byte(i>>8), nonce[11]^byte(i)
		plain, err := gcm.Open(nil, nonce, rest[:n], nil)
		if err != nil {
			t.Fatalf("chunk %d: %v", i, err)
		}
		out = append(out, plain...)
		if rest = rest[n:]; n < 16400 {
			return out
		}
	}
}
