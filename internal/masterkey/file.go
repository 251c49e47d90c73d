package masterkey

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
)

// keyFile is the root key as JSON. Older versions stay in it so that a rotation
// re-wraps what they sealed while everything keeps opening.
type keyFile struct {
	Current  uint32       `json:"current"`
	Versions []keyVersion `json:"versions"`
}

type keyVersion struct {
	Version uint32 `json:"version"`
	Key     []byte `json:"key"` // 32 bytes, base64
}

// Create makes a new root key in a file that must not exist yet, readable by
// its owner only, and returns its recovery key to be printed. Faults: masterkey.exists.
func Create(path string) (recovery string, err error) {
	key := make([]byte, keySize)
	rand.Read(key) // never fails (crypto/rand)
	v := keyVersion{Version: 1, Key: key}
	if err := write(path, v); err != nil {
		return "", err
	}
	return recoveryKey(v), nil
}

// Restore writes the key file that Create wrote, from the recovery key that it
// returned. Faults: masterkey.exists, masterkey.recovery.
func Restore(path, recovery string) error {
	v, err := parseRecoveryKey(recovery)
	if err != nil {
		return err
	}
	return write(path, v)
}

// Open reads a key file. It refuses one that others than its owner may read.
// Faults: masterkey.missing, masterkey.readable, masterkey.broken.
func Open(path string) (*Root, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Unavailable, "masterkey.missing").With("path", path).Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("open root key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open root key: %w", err)
	}
	// Windows has no such bits: there the file's ACL is what its directory gives.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fault.New(fault.Unavailable, "masterkey.readable").With("path", path).With("mode", fmt.Sprintf("%04o", mode))
	}
	broken := fault.New(fault.Unavailable, "masterkey.broken").With("path", path)
	var in keyFile
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, broken.Because(errors.New("not JSON of its schema")) // err could repeat a key
	}
	r := &Root{current: in.Current, keys: make(map[uint32][keySize]byte)}
	for _, v := range in.Versions {
		if _, twice := r.keys[v.Version]; twice || v.Version == 0 || len(v.Key) != keySize {
			return nil, broken.Because(fmt.Errorf("version %d is given twice or has a wrong length", v.Version))
		}
		r.keys[v.Version] = [keySize]byte(v.Key)
	}
	if _, ok := r.keys[r.current]; !ok {
		return nil, broken.Because(fmt.Errorf("version %d is current and not there", r.current))
	}
	return r, nil
}

// write makes the file whole or not at all, and durable: what is sealed under a
// key that a power cut took is lost.
func write(path string, v keyVersion) (err error) {
	text, err := json.MarshalIndent(keyFile{Current: v.Version, Versions: []keyVersion{v}}, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".root-key-*") // O_EXCL, mode 0600
	if err != nil {
		return fmt.Errorf("write root key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write root key: %w", err)
	}
	// Link, not rename: it fails where a key file is already, which must never be overwritten.
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "masterkey.exists").With("path", path)
	} else if err != nil {
		return fmt.Errorf("write root key: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write root key: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" { // which cannot sync a directory
		return fmt.Errorf("write root key: %w", err)
	}
	return nil
}

// A recovery key is format (1) || version (1) || key (32) || check (6): 40
// bytes, 64 characters, in 16 groups of four. Its alphabet has none of 0 O 1 I.
const (
	recoveryFormat = 1
	recoverySize   = 2 + keySize
	checkSize      = 6
)

var letters = base32.NewEncoding("23456789ABCDEFGHJKLMNPQRSTUVWXYZ").WithPadding(base32.NoPadding)

func recoveryKey(v keyVersion) string {
	b := append([]byte{recoveryFormat, byte(v.Version)}, v.Key...)
	text := letters.EncodeToString(append(b, check(b)...))
	var s strings.Builder
	for i := 0; i < len(text); i += 4 {
		if i > 0 {
			s.WriteByte('-')
		}
		s.WriteString(text[i : i+4])
	}
	return s.String()
}

// parseRecoveryKey reads a recovery key as people type it, whatever its case,
// spaces, line ends and dashes. Its error does not repeat it.
func parseRecoveryKey(s string) (keyVersion, error) {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("-\u2010\u2011\u2013\u00a0 \t\r\n", r) {
			return -1
		}
		return r
	}, s)
	b, err := letters.DecodeString(strings.ToUpper(s))
	if err != nil || len(s) != letters.EncodedLen(recoverySize+checkSize) || len(b) != recoverySize+checkSize || b[0] != recoveryFormat || b[1] == 0 ||
		!bytes.Equal(b[recoverySize:], check(b[:recoverySize])) {
		return keyVersion{}, fault.New(fault.Invalid, "masterkey.recovery")
	}
	return keyVersion{Version: uint32(b[1]), Key: b[2:recoverySize]}, nil
}

func check(b []byte) []byte {
	sum := sha256.Sum256(append([]byte("pli/1 recovery key\x00"), b...))
	return sum[:checkSize]
}
