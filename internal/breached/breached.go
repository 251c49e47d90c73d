// Package breached knows passwords that thieves know: the most common ones,
// built in, and a larger list in a file of the operator's, such as the one of
// Have I Been Pwned.
package breached

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"strings"
	"sync"
)

// One password per line, sorted; its origin and licence are in NOTICE.
//
//go:embed passwords.txt.gz
var packed []byte

// NOTICE is the licence of the built-in list.
//
//go:embed NOTICE
var NOTICE string

var seed = maphash.MakeSeed()

// common is a set of 64-bit hashes: a tenth of the memory of the words, and a
// false match is one in 10^14 tries.
var common = sync.OnceValue(func() map[uint64]struct{} {
	set := make(map[uint64]struct{}, 50_000)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err) // it is built in: a test reads it
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		set[maphash.String(seed, lines.Text())] = struct{}{}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
	return set
})

// Common reports whether a password, in whatever case, is in the built-in list,
// or is one of the list repeated, or with digits and signs around it.
func Common(password string) bool {
	lower := strings.ToLower(password)
	for _, s := range []string{lower, repeated(lower), strings.Trim(lower, "0123456789!?.*@#$%&-_+ ")} {
		if len(s) < 3 && s != lower {
			continue // what is left says nothing about the rest
		}
		if _, in := common()[maphash.String(seed, s)]; in {
			return true
		}
	}
	return false
}

// repeated returns the word that s is repetitions of, "" when it is none.
func repeated(s string) string {
	if s == "" {
		return ""
	}
	i := strings.Index((s + s)[1:], s) + 1
	if i < len(s) {
		return s[:i]
	}
	return ""
}

// Size is the number of built-in passwords.
func Size() int { return len(common()) }

// InFile searches a password in a file of SHA-1 hashes: 40 hex digits a line,
// in ascending order, each perhaps with ":count" after it. The file may be
// larger than the memory: the search reads some 30 places of it.
func InFile(path, password string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	sum := sha1.Sum([]byte(password))
	want := strings.ToUpper(hex.EncodeToString(sum[:]))
	lo, hi := int64(0), info.Size() // the line, if there is one, begins in [lo, hi)
	for lo < hi {
		mid := lo + (hi-lo)/2
		start, line, err := lineAt(f, mid)
		if err != nil {
			return false, err
		}
		if start >= hi || line == "" { // no line begins in [mid, hi)
			hi = mid
			continue
		}
		got, _, _ := strings.Cut(line, ":")
		if got = strings.ToUpper(strings.TrimSpace(got)); len(got) != len(want) {
			return false, fmt.Errorf("read %s: a line at byte %d is no SHA-1 hash", path, start)
		}
		switch strings.Compare(got, want) {
		case 0:
			return true, nil
		case 1:
			hi = mid
		default:
			lo = start + int64(len(line)) + 1
		}
	}
	return false, nil
}

// Check reports a file in which InFile could not search: it is not there, holds
// something else, or is in another order. It reads some places of it, not all.
func Check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() || info.Size() == 0 {
		return fmt.Errorf("read %s: it is no file of SHA-1 hashes", path)
	}
	const places = 256
	last := ""
	for i := range int64(places) {
		start, line, err := lineAt(f, info.Size()/places*i)
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		got, _, _ := strings.Cut(line, ":")
		got = strings.ToUpper(strings.TrimSpace(got))
		if _, err := hex.DecodeString(got); err != nil || len(got) != 2*sha1.Size {
			return fmt.Errorf("read %s: the line at byte %d is no SHA-1 hash", path, start)
		}
		if got < last {
			return fmt.Errorf("read %s: the line at byte %d is not in ascending order", path, start)
		}
		last = got
	}
	return nil
}

// lineAt returns the first line that begins at or after byte at, and where; "" at the end.
func lineAt(f io.ReaderAt, at int64) (int64, string, error) {
	from := max(at-1, 0)
	r := bufio.NewReaderSize(io.NewSectionReader(f, from, 512), 512)
	start := from
	if at > 0 { // unless a line ends right before at, it begins after the one that is under way
		rest, err := r.ReadString('\n')
		if err == io.EOF {
			return at, "", nil
		} else if err != nil {
			return 0, "", err
		}
		start += int64(len(rest))
	}
	line, err := r.ReadString('\n')
	if err != nil && err != io.EOF {
		return 0, "", err
	}
	return start, strings.TrimSuffix(line, "\n"), nil
}
