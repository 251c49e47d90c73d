package message_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/message"
)

// AT-67: of every message in which nothing is unusual a parser that we did not
// write, Python's, finds the same leaves: types, names, decoded octets.
func TestAnotherParserAgrees(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("this test asks Python: install python3, or put it in PATH")
	}
	files := append(testFiles(t, "testdata/mime/*.eml", 20), storyFiles(t)...)
	dir := t.TempDir()
	for _, name := range testFiles(t, "../gateway/testdata/python/*.txt", 40) { // Python's own, kept with the line ends of files
		at := filepath.Join(dir, filepath.Base(name))
		raw := bytes.ReplaceAll(bytes.ReplaceAll(readFile(t, name), []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if err := os.WriteFile(at, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, at)
	}
	cmd := exec.Command(python, "testdata/oracle.py")
	cmd.Stdin = strings.NewReader(strings.Join(files, "\n"))
	var said, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &wrong
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &wrong)
	}
	lines := bufio.NewScanner(&said)
	lines.Buffer(nil, 1<<20)
	agreed := 0
	for _, name := range files {
		if !lines.Scan() {
			t.Fatalf("no answer for %s", name)
		}
		var theirs [][3]*string
		if err := json.Unmarshal(lines.Bytes(), &theirs); err != nil {
			t.Fatal(err)
		}
		raw := readFile(t, name)
		m := index(t, string(raw))
		if len(m.Unusual) > 0 {
			continue
		}
		agreed++
		if len(m.Parts) != len(theirs) {
			t.Errorf("%s: %d leaves, Python has %d", name, len(m.Parts), len(theirs))
			continue
		}
		for i, p := range m.Parts {
			kind, file, sum := theirs[i][0], theirs[i][1], theirs[i][2]
			if kind == nil || *kind != p.Type {
				t.Errorf("%s: leaf %d is %s, for Python %v", name, i, p.Type, text(kind))
			}
			if file != nil && message.SafeName(*file) != "" && message.SafeName(*file) != p.Name {
				t.Errorf("%s: leaf %d is called %q, for Python %q", name, i, p.Name, *file)
			}
			if sum != nil && *sum != p.SHA256 {
				t.Errorf("%s: leaf %d (%s, %s) has other octets for Python", name, i, p.Type, p.Encoding)
			}
		}
	}
	if agreed < 60 {
		t.Errorf("only %d of %d messages have nothing unusual", agreed, len(files))
	}
}

func text(s *string) string {
	if s == nil {
		return "nothing"
	}
	return *s
}

// storyFiles writes the messages of the browser story mime, and names them.
func storyFiles(t *testing.T) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test runs JavaScript and needs Node 20 or newer: install nodejs, or put node in PATH")
	}
	dir := t.TempDir()
	module, err := filepath.Abs("../../browser/cases/mime.mjs")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`import { cases } from %q; import { writeFileSync } from 'node:fs';
cases('testdata/mime').forEach((c, i) => writeFileSync(%q + '/' + String(i).padStart(2, '0') + ' ' + c.name + '.eml', c.raw));`, module, dir)
	if out, err := exec.Command(node, "--input-type=module", "-e", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return testFiles(t, dir+"/*.eml", 60)
}
