package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/opener"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/spool"
)

// sealFlags are what pli seal is asked for.
type sealFlags struct {
	to      []string
	server  string
	keyFile string
	origin  string
	output  string
	subject string
	note    string
	expires string
	level   string
	attach  []string

	secret bool   // read a passphrase from standard input
	hint   string // to it
}

func (a *app) sealCommand() *cobra.Command {
	var f sealFlags
	c := a.command("seal -r ADDRESS… [-o FILE|DIR] MESSAGE.eml|-", "seal",
		"  pli seal -r jean@example.net message.eml > out.html\n  pli seal -r a@example.net -r b@example.net -o envelopes/ message.eml\n  pli seal -r jean@example.net --attach scan.dcm -o out.html message.eml\n  pli seal -r jean@example.net --key-file keys.json message.eml > out.html",
		a.exactly("MESSAGE.eml"), func(cmd *cobra.Command, args []string) error { return a.seal(cmd.Context(), f, args[0]) })
	c.Flags().StringArrayVarP(&f.to, "recipient", "r", nil, a.t("cli.seal.recipient"))
	c.Flags().StringArrayVar(&f.attach, "attach", nil, a.t("cli.seal.attach"))
	c.Flags().StringVarP(&f.output, "output", "o", "", a.t("cli.seal.output"))
	c.Flags().StringVar(&f.server, "server", "", a.t("cli.flag.server"))
	c.Flags().StringVar(&f.keyFile, "key-file", "", a.t("cli.seal.keyfile"))
	c.Flags().StringVar(&f.origin, "origin", "http://localhost", a.t("cli.seal.origin"))
	c.Flags().StringVarP(&f.subject, "subject", "s", "", a.t("cli.seal.subject"))
	c.Flags().StringVar(&f.note, "note", "", a.t("cli.seal.note"))
	c.Flags().StringVar(&f.level, "level", "", a.t("cli.seal.level"))
	c.Flags().StringVar(&f.expires, "expires", "", a.t("cli.seal.expires"))
	c.Flags().BoolVar(&f.secret, "passphrase-stdin", false, a.t("cli.seal.passphrasestdin"))
	c.Flags().StringVar(&f.hint, "hint", "", a.t("cli.seal.hint"))
	return c
}

// sealed is a message sealed and not yet written for anyone.
type sealed struct {
	header  envelope.Header
	mh      []byte
	hh      [32]byte
	payload envelope.Payload
	seal    [64]byte
	data    *spool.File // the payload
	slots   []recipientSlot
	subject string
	larges  []string // ids of the files beside it
}

type recipientSlot struct {
	envelope.Slot
	address mailaddr.Address
	part    envelope.KeyPart // E as the envelope carries it
	ref     string
}

func (a *app) seal(ctx context.Context, f sealFlags, name string) error {
	to, err := recipients(f.to)
	if err != nil {
		return err
	}
	paths, err := a.sealPaths(f.output, to)
	if err != nil {
		return err
	}
	if f.level != "" && !policy.IsLevel(f.level) {
		return usage("cli.seal.badlevel", "value", f.level)
	}
	if f.expires != "" {
		if _, err := parseDays(f.expires); err != nil {
			return err
		}
	}
	if f.keyFile != "" {
		if f.level != "" { // nobody is asked who they are
			return usage("cli.usage.notboth", "a", "--key-file", "b", "--level")
		}
		if f.server != "" {
			return usage("cli.usage.notboth", "a", "--key-file", "b", "--server")
		}
		if _, err := os.Lstat(f.keyFile); err == nil {
			return exists(f.keyFile)
		}
		if err := folderOf(f.keyFile); err != nil {
			return err
		}
	}
	pass, err := a.passphrase(f)
	if err != nil {
		return err
	}
	var server *connection
	origin := f.origin
	if f.keyFile == "" {
		if server, err = a.signedIn(ctx, f.server); err != nil {
			return err
		}
		origin = server.origin
	}
	header := envelope.Header{Origin: origin, SealedAt: time.Now().UTC().Truncate(time.Second)}
	var info serverInfo
	if server != nil {
		if err := server.call(ctx, "GET", "/api/v1/server", nil, &info); err != nil {
			return err
		}
		header.Policy = info.policy()
	}
	src, err := a.source(name)
	if err != nil {
		return err
	}
	defer src.Close()
	var beside []*transfer
	if len(f.attach) > 0 {
		if src, beside, err = a.attach(ctx, server, info, src, f.attach); err != nil {
			return err
		}
		defer src.Close()
	}
	s, err := sealMessage(src, header, to, pass)
	if err != nil {
		return err
	}
	defer s.data.Close()
	if f.subject != "" {
		s.subject = f.subject
	}
	for _, t := range beside {
		s.larges = append(s.larges, t.ID)
	}
	var keys []byte
	if server != nil {
		if err := server.register(ctx, s, f); err != nil {
			return err
		}
		if err := a.forget(beside); err != nil {
			return err
		}
	} else if keys, err = s.sign(); err != nil {
		return err
	}
	return a.writeSealed(s, paths, f.keyFile, keys)
}

// passphrase derives what masks the recipients' halves, nil without a passphrase.
// The server is not told more than that there is one.
func (a *app) passphrase(f sealFlags) (*envelope.Passphrase, error) {
	if !f.secret {
		if f.hint != "" {
			return nil, usage("cli.seal.hintonly")
		}
		return nil, nil
	}
	text, err := a.readLine("--passphrase-stdin")
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(text) < minPassphrase {
		return nil, usage("cli.seal.shortpassphrase", "n", minPassphrase)
	}
	pass, err := envelope.NewPassphrase(text, f.hint)
	if err != nil {
		return nil, usage("cli.seal.badhint", "n", envelope.MaxHint/2)
	}
	return &pass, nil
}

// minPassphrase is how many characters a passphrase has at least, as on the
// page: who holds the mail and breaks into the service can try as many as they like.
const minPassphrase = 8

// recipients reads the addresses; several may be in one flag.
func recipients(flags []string) ([]mailaddr.Address, error) {
	if len(flags) == 0 {
		return nil, usage("cli.seal.norecipient")
	}
	var out []mailaddr.Address
	for _, flag := range flags {
		list, bad := mailaddr.ParseList(flag)
		if len(bad) > 0 || len(list) == 0 {
			return nil, usage("cli.badaddress", "value", strings.Join(append(bad, flag)[:1], ""))
		}
	next:
		for _, addr := range list {
			for _, have := range out {
				if have.Same(addr) {
					continue next
				}
			}
			out = append(out, addr)
		}
	}
	return out, nil
}

// sealPaths is where each recipient's envelope goes; nil is standard output.
func (a *app) sealPaths(output string, to []mailaddr.Address) ([]string, error) {
	if output == "" {
		if len(to) > 1 {
			return nil, usage("cli.seal.needsdir")
		}
		if isTerminal(a.stdout) {
			return nil, usage("cli.seal.terminal")
		}
		return nil, nil
	}
	info, err := os.Stat(output)
	isDir := err == nil && info.IsDir()
	if !isDir && (len(to) > 1 || strings.HasSuffix(output, string(filepath.Separator))) {
		if err == nil {
			return nil, usage("cli.seal.notdir", "file", output)
		}
		if err := os.MkdirAll(output, 0o777); err != nil {
			return nil, err
		}
		isDir = true
	}
	if !isDir {
		return []string{output}, folderOf(output)
	}
	paths := make([]string, len(to))
	for i, addr := range to {
		paths[i] = filepath.Join(output, fileName(addr)+".html")
	}
	return paths, nil
}

// fileName is an address as a file name on any system.
func fileName(a mailaddr.Address) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>| `, r) {
			return '_'
		}
		return r
	}, a.String())
}

// sealMessage seals src for everyone in to. It reads src twice: once to
// describe its parts, once to encrypt it.
func sealMessage(src *source, h envelope.Header, to []mailaddr.Address, pass *envelope.Passphrase) (*sealed, error) {
	r, err := src.Open()
	if err != nil {
		return nil, err
	}
	manifest, err := message.Index(r)
	r.Close()
	if err != nil {
		return nil, err
	}
	if len(manifest.From) > 0 {
		h.SenderHint = manifest.From[0].Address
	}
	rand.Read(h.ID[:])
	sealer, err := envelope.NewSealer(h)
	if err != nil {
		return nil, usage("cli.seal.badorigin", "value", h.Origin)
	}
	s := &sealed{header: h, mh: sealer.MH(), hh: sealer.HH(), subject: manifest.Subject, data: spool.New(os.TempDir())}
	if err := s.fill(sealer, src, manifest); err != nil {
		s.data.Close()
		return nil, err
	}
	for _, addr := range to {
		slot, err := sealer.NewSlot(addr.ASCIIMasked())
		if err != nil {
			s.data.Close()
			return nil, err
		}
		part := envelope.KeyPart{E: slot.E}
		if pass != nil {
			part = pass.Mask(slot.ID, slot.E)
		}
		s.slots = append(s.slots, recipientSlot{Slot: slot, address: addr, part: part})
	}
	return s, nil
}

func (s *sealed) fill(sealer *envelope.Sealer, src *source, m *envelope.Manifest) error {
	r, err := src.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if s.payload, err = sealer.Seal(s.data, m, r); err != nil {
		return err
	}
	return s.data.Finish()
}

// sign seals without a server: with a key made for this message alone, which
// goes into the key file with the server's halves.
func (s *sealed) sign() (keyFile []byte, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	s.seal = envelope.Sign(private, s.hh, s.payload.Hash)
	k := envelope.KeyFile{SealKey: public}
	for _, slot := range s.slots {
		k.Slots = append(k.Slots, envelope.KeyFileSlot{Slot: slot.ID, Address: slot.address.Canonical(), S: slot.S})
	}
	text, err := json.Marshal(k)
	return append(text, '\n'), err
}

// writeSealed writes every envelope and the key file, or nothing.
func (a *app) writeSealed(s *sealed, paths []string, keyFile string, keys []byte) error {
	var out outputs
	defer out.abort()
	if keyFile != "" {
		f, err := out.create(keyFile, 0o600, false)
		if err != nil {
			return err
		}
		if _, err := f.Write(keys); err != nil {
			return err
		}
	}
	for i, path := range paths {
		f, err := out.create(path, 0o644, true)
		if err != nil {
			return err
		}
		if err := s.write(f, s.slots[i], a.p.Lang); err != nil {
			return err
		}
	}
	if err := out.commit(); err != nil {
		return err
	}
	if paths == nil {
		if err := s.write(a.stdout, s.slots[0], a.p.Lang); err != nil {
			if keyFile != "" {
				os.Remove(keyFile) // it opens nothing that anyone has
			}
			return err
		}
	}
	for i, path := range paths {
		a.tell("cli.seal.written", "file", path, "email", s.slots[i].address.String())
	}
	if keyFile != "" {
		a.tell("cli.seal.keywritten", "file", keyFile)
	}
	return nil
}

// write writes one recipient's envelope.
func (s *sealed) write(w io.Writer, slot recipientSlot, lang string) error {
	_, err := opener.Page{
		Lang: lang, Origin: s.header.Origin, Sender: s.header.SenderHint, Reference: slot.ref,
		Part: slot.part, Head: envelope.Head(s.mh, slot.RH, slot.Wrap, s.seal, s.payload.Size),
		Payload: s.data.Reader, PayloadSize: s.payload.Size,
	}.WriteTo(w)
	return err
}
