package masterkey_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/masterkey"
)

func create(t *testing.T) (path, recovery string, root *masterkey.Root) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "root.key")
	recovery, err := masterkey.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if root, err = masterkey.Open(path); err != nil {
		t.Fatal(err)
	}
	return path, recovery, root
}

func TestSealOpensForItsPurposeOnly(t *testing.T) {
	t.Parallel()
	_, _, root := create(t)
	box, err := root.Seal("outbox/1", []byte("a letter"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := root.Open("outbox/1", box); err != nil || string(got) != "a letter" {
		t.Fatalf("open: %q, %v", got, err)
	}
	if _, err := root.Open("outbox/2", box); !errors.Is(err, masterkey.ErrBox) {
		t.Errorf("another purpose: %v", err)
	}
	for i := range box {
		changed := bytes.Clone(box)
		changed[i] ^= 1
		if _, err := root.Open("outbox/1", changed); err == nil {
			t.Errorf("opens with byte %d changed", i)
		}
	}
	for i := range box {
		if _, err := root.Open("outbox/1", box[:i]); err == nil {
			t.Errorf("opens when cut to %d bytes", i)
		}
	}
	again, err := root.Seal("outbox/1", []byte("a letter"))
	if err != nil || bytes.Equal(again, box) {
		t.Errorf("sealed twice alike: %v", err)
	}
	_, _, other := create(t)
	if _, err := other.Open("outbox/1", box); !errors.Is(err, masterkey.ErrBox) {
		t.Errorf("another root: %v", err)
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	_, _, root := create(t)
	a := root.MAC("x", []byte("ab"), []byte("c"))
	if len(a) != 32 || !bytes.Equal(a, root.MAC("x", []byte("ab"), []byte("c"))) {
		t.Error("not stable")
	}
	for name, b := range map[string][]byte{
		"another split":   root.MAC("x", []byte("a"), []byte("bc")),
		"another purpose": root.MAC("y", []byte("ab"), []byte("c")),
		"one item":        root.MAC("x", []byte("abc")),
	} {
		if bytes.Equal(a, b) {
			t.Errorf("%s gives the same", name)
		}
	}
}

func TestRecoveryKeyRebuildsTheFile(t *testing.T) {
	t.Parallel()
	path, recovery, root := create(t)
	if groups := strings.Split(recovery, "-"); len(groups) != 16 || len(recovery) != 16*4+15 {
		t.Fatalf("recovery key has %d groups", len(groups))
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	box, err := root.Seal("p", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	typed := "\n" + strings.ToLower(strings.ReplaceAll(recovery, "-", " ")) + " \r\n"
	for _, text := range []string{recovery, typed} {
		restored := filepath.Join(t.TempDir(), "root.key")
		if err := masterkey.Restore(restored, text); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(restored); err != nil || !bytes.Equal(got, want) {
			t.Errorf("restored file differs: %v", err)
		}
		r, err := masterkey.Open(restored)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open("p", box); err != nil || string(got) != "x" {
			t.Errorf("restored key: %v", err)
		}
	}
}

func TestRecoveryKeyRefusesSlips(t *testing.T) {
	t.Parallel()
	_, recovery, _ := create(t)
	bad := []string{"", "x", recovery[:len(recovery)-1], recovery + "2", strings.Replace(recovery, "-", "!", 1)}
	for i, c := range recovery { // every single letter
		if c == '-' {
			continue
		}
		other := byte('2')
		if c == '2' {
			other = '3'
		}
		bad = append(bad, recovery[:i]+string(other)+recovery[i+1:])
	}
	bad = append(bad, recovery[5:9]+"-"+recovery[:4]+recovery[9:]) // two groups exchanged
	for _, s := range bad {
		path := filepath.Join(t.TempDir(), "k")
		err := masterkey.Restore(path, s)
		if !fault.HasKey(err, "masterkey.recovery") {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("a file is left")
		}
	}
}

func TestFileIsPrivateAndNeverOverwritten(t *testing.T) {
	t.Parallel()
	path, recovery, _ := create(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	before, _ := os.ReadFile(path)
	if _, err := masterkey.Create(path); !fault.HasKey(err, "masterkey.exists") {
		t.Errorf("create over: %v", err)
	}
	if err := masterkey.Restore(path, recovery); !fault.HasKey(err, "masterkey.exists") {
		t.Errorf("restore over: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := masterkey.Open(path); !fault.HasKey(err, "masterkey.readable") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestOpenRefusesBrokenFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := masterkey.Open(filepath.Join(dir, "none")); !fault.HasKey(err, "masterkey.missing") {
		t.Errorf("missing: %v", err)
	}
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	version := `{"version":1,"key":"` + key + `"}`
	for _, text := range []string{
		"", "{}", "[]", key,
		`{"current":1,"versions":[]}`,
		`{"current":2,"versions":[` + version + `]}`,
		`{"current":1,"versions":[` + version + `,` + version + `]}`,
		`{"current":0,"versions":[{"version":0,"key":"` + key + `"}]}`,
		`{"current":1,"versions":[{"version":1,"key":"AAAA"}]}`,
		`{"current":1,"versions":[` + version + `],"more":1}`,
	} {
		path := filepath.Join(dir, "k")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := masterkey.Open(path)
		if !fault.HasKey(err, "masterkey.broken") {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

// A file with two versions opens what either sealed, and seals with the current one.
func TestVersions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	write := func(current int, versions ...int) *masterkey.Root {
		t.Helper()
		var list []string
		for _, v := range versions {
			list = append(list, fmt.Sprintf(`{"version":%d,"key":"%s"}`, v, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(v)}, 32))))
		}
		text := fmt.Sprintf(`{"current":%d,"versions":[%s]}`, current, strings.Join(list, ","))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := masterkey.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old, err := write(1, 1).Seal("p", []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	both := write(2, 1, 2)
	if both.Version() != 2 {
		t.Errorf("version %d", both.Version())
	}
	if got, err := both.Open("p", old); err != nil || string(got) != "old" {
		t.Errorf("an older version: %q, %v", got, err)
	}
	if _, err := write(2, 2).Open("p", old); !errors.Is(err, masterkey.ErrVersion) {
		t.Errorf("a destroyed version: %v", err)
	}
}

// AT-84: no way of printing shows the key.
func TestRootDoesNotPrint(t *testing.T) {
	t.Parallel()
	path, _, root := create(t)
	text, _ := os.ReadFile(path)
	var file struct {
		Versions []struct{ Key []byte }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	key := file.Versions[0].Key
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "root", root, "value", *root)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "root", root, "value", *root)
	out := log.String() + fmt.Sprintf("%v %+v %#v %s %d %x %q %v %+v %#v %d %x", root, root, root, root, root, root, root, *root, *root, *root, *root, *root)
	out += fmt.Sprintf("%+v", struct{ R *masterkey.Root }{root})
	for _, form := range []string{string(key), fmt.Sprintf("%x", key), fmt.Sprint(key), strings.Trim(fmt.Sprint(key), "[]"), base64.StdEncoding.EncodeToString(key)} {
		if strings.Contains(out, form) {
			t.Errorf("printed: %s", out)
		}
	}
	if b, err := json.Marshal(root); err == nil {
		t.Errorf("encodes as %s", b)
	}
}
