package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailbox"
)

// demoOf starts pli demo in the directory $WORK/demo and sets URL, MAILBOX and
// PLI_CONFIG. It stops with the script.
func demoOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("demo cannot be negated")
	}
	dir := ts.MkAbs("demo")
	cmd := exec.Command("pli", append([]string{"demo", "--port", "0", "--json", "--dir", dir}, args...)...)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	stop := sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "kept in "+dir) {
			ts.Fatalf("the demonstration ended with %v:\n%s", err, log.String())
		}
	})
	ts.Defer(stop)
	demos.Store(dir, stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Wait()
		ts.Fatalf("the demonstration did not start: %s", log.String())
	}
	if !keysInOrder.MatchString(line) {
		ts.Fatalf("other keys, or in another order: %s", line)
	}
	var said struct {
		URL        string `json:"url"`
		AdminURL   string `json:"admin_url"`
		MailboxURL string `json:"mailbox_url"`
		Account    string `json:"account"`
		Users      []struct{ Email, Password, Role string }
	}
	ts.Check(json.Unmarshal([]byte(line), &said))
	if said.Account != "100042" || said.AdminURL != said.URL+"/admin" || len(said.Users) != 3 || said.Users[0].Role != "administrator" || said.Users[1].Role != "user" {
		ts.Fatalf("unexpected: %s", line)
	}
	for _, u := range said.Users {
		if len(u.Password) < 15 {
			ts.Fatalf("%s has a short password", u.Email)
		}
	}
	ts.Setenv("URL", said.URL)
	ts.Setenv("PORT", said.URL[strings.LastIndexByte(said.URL, ':')+1:])
	ts.Setenv("MAILBOX", said.MailboxURL)
	ts.Setenv("PLI_CONFIG", dir+"/pli.toml")
	ts.Setenv("ADMIN", said.Users[0].Email)
	ts.Setenv("ADMIN_PASSWORD", said.Users[0].Password)
	ts.Setenv("USER1", said.Users[1].Email)
	ts.Setenv("USER1_PASSWORD", said.Users[1].Password)
}

var demos sync.Map // how to stop it, by its directory

// stopDemo ends the demonstration of the script, whose data stay.
func stopDemo(ts *testscript.TestScript, neg bool, _ []string) {
	stop, ok := demos.Load(ts.MkAbs("demo"))
	if neg || !ok {
		ts.Fatalf("there is no demonstration to stop")
	}
	stop.(func())()
}

// What scripts read has its keys in this order.
var keysInOrder = regexp.MustCompile(`^\{"url":"[^"]+","admin_url":"[^"]+","mailbox_url":"[^"]+","account":"100042","users":\[\{"email":"[^"]+","password":"[^"]+","role":`)

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// codes returns the codes mailed to an address, the newest first.
func codes(ts *testscript.TestScript, address string) (found []string) {
	r, err := http.Get(ts.Getenv("MAILBOX") + "/api/mails?to=" + address)
	ts.Check(err)
	defer r.Body.Close()
	var mails []mailbox.Mail
	ts.Check(json.NewDecoder(r.Body).Decode(&mails))
	for _, m := range mails {
		if c := sixDigits.FindString(m.Subject); c != "" {
			found = append(found, c)
		}
	}
	return found
}

// openWithCode is a person who opens an envelope with pli open and types the
// code that arrives in their mailbox: opencode OUTPUT ADDRESS ARGUMENTS of pli open.
// Negated, they type a wrong one. With --passphrase-stdin they type what is in
// passphrase.txt before. What pli says is kept in said.txt.
func openWithCode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: opencode OUTPUT ADDRESS ARGUMENTS…")
	}
	before := len(codes(ts, args[1]))
	cmd := exec.Command("pli", append([]string{"open", "--code-stdin"}, args[2:]...)...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "XDG_CONFIG_HOME="+ts.Getenv("XDG_CONFIG_HOME"), "LC_ALL=C")
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	in, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	if slices.Contains(args, "--passphrase-stdin") {
		io.WriteString(in, ts.ReadFile("passphrase.txt"))
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		found := codes(ts, args[1])
		if len(found) > before {
			typed := found[0]
			if neg {
				typed = string('0'+('9'-typed[0])) + typed[1:]
			}
			io.WriteString(in, typed+"\n")
			break
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			cmd.Wait()
			ts.Fatalf("no code for %s: %s", args[1], said.String())
		}
	}
	in.Close()
	err = cmd.Wait()
	if err != nil {
		fmt.Fprintln(&said, err)
	}
	ts.Check(writeFile(ts.MkAbs("said.txt"), said.String()))
	ts.Check(writeFile(ts.MkAbs(args[0]), out.String()))
	if (err != nil) != neg {
		ts.Fatalf("pli open: %v: %s", err, said.String())
	}
}

// bare takes an envelope out of its page, and makes the link that its mail
// would have: bare ENVELOPE.html ENVELOPE.pli LINK.
func bare(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: bare ENVELOPE.html ENVELOPE.pli LINK")
	}
	r, part, err := envelope.FindArmor(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	raw, err := io.ReadAll(r)
	ts.Check(err)
	ts.Check(writeFile(ts.MkAbs(args[1]), string(raw)))
	ts.Check(writeFile(ts.MkAbs(args[2]), ts.Getenv("URL")+"/o/x#e="+part.Text()+"\n"))
}

// exits runs a command and checks its exit status: status 3 pli admin ….
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = strconv.Itoa(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit status %s (%v)", got, err)
	}
}
