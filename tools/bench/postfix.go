package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed data
var data embed.FS

// startPostfix starts a Postfix of its own below dir: own configuration, own queue, own ports; the system's is not
// touched. Its durability is the default: the queue file is flushed to the disk before the 250. Under the name gnupg a
// content filter encrypts each message and hands it back to a second port. As it comes, gpg writes its random seed
// to a file each time, and those that run at once wait for each other there; gnupg-noseed is without.
func startPostfix(ctx context.Context, name, dir, next string) (*server, error) {
	s := &server{name: name, title: "Postfix, plain relay", address: freeAddress(), log: filepath.Join(dir, "mail.log")}
	gnupg, filter, seed := name != "postfix", "", ""
	if gnupg {
		s.title, s.slow, s.mark = "Postfix + GnuPG", true, "-----BEGIN PGP MESSAGE-----"
		filter = " -o content_filter=gnupg:dummy"
	}
	if name == "gnupg-noseed" {
		s.title += " without its seed file"
		seed = " --no-random-seed-file"
	}
	back := freeAddress()
	for back == s.address {
		back = freeAddress()
	}
	replace := strings.NewReplacer("@DIR@", dir, "@NEXT@", port(next), "@PORT@", port(s.address), "@FILTER@", filter, "@BACK@", port(back), "@SEED@", seed)
	text := func(name string) string {
		raw, err := data.ReadFile("data/" + name)
		if err != nil {
			panic(err) // it is in this program
		}
		return replace.Replace(string(raw))
	}
	config, master := filepath.Join(dir, "etc"), text("master.cf")
	for _, d := range []string{config, filepath.Join(dir, "queue"), filepath.Join(dir, "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := give(filepath.Join(dir, "data"), "postfix"); err != nil {
		return nil, err
	}
	if gnupg {
		master += text("filter.cf")
		if err := makeKey(ctx, filepath.Join(dir, "gnupg")); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "filter"), []byte(text("filter")), 0o755); err != nil {
			return nil, err
		}
	}
	for name, content := range map[string]string{"main.cf": text("main.cf"), "master.cf": master} {
		if err := os.WriteFile(filepath.Join(config, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	s.stop = func(ctx context.Context) error {
		_, err := command(ctx, "", nil, "postfix", "-c", config, "stop")
		return err
	}
	s.empty = func(ctx context.Context) {
		command(ctx, "", nil, "postsuper", "-c", config, "-d", "ALL") // says only how many there were
	}
	s.family = newFamily(s.name)
	if err := s.startMaster(config, dir); err != nil {
		s.end()
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// startMaster runs "postfix start", which ends when the master is up; its children are the family's too.
func (s *server) startMaster(config, dir string) error {
	out, err := os.Create(filepath.Join(dir, "start.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	c, err := s.family.start(out, "postfix", "-c", config, "start")
	if err != nil {
		return fmt.Errorf("start Postfix: %w", err)
	}
	if err := c.Wait(); err != nil {
		return fmt.Errorf("start Postfix: %w%s%s", err, tail(out.Name()), tail(s.log))
	}
	for range 50 {
		raw, _ := os.ReadFile(filepath.Join(dir, "queue", "pid", "master.pid"))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
			s.family.first = pid
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("start Postfix: no process id%s", tail(s.log))
}

// makeKey makes the one key that stands for every recipient's, readable by the filter's user.
func makeKey(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if _, err := command(ctx, "", nil, "gpg", "--homedir", dir, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "",
		"--quick-generate-key", "Test <test@bench.invalid>", "default", "default", "never"); err != nil {
		return err
	}
	if _, err := command(ctx, "", nil, "gpgconf", "--homedir", dir, "--kill", "all"); err != nil {
		return err
	}
	return give(dir, "nobody")
}

// give makes name the owner of a directory and what is in it.
func give(dir, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, uid, gid)
		}
		return err
	})
}
