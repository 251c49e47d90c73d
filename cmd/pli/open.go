package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/id"
)

// maxPayload is the largest payload that is opened: memory does not grow with it.
const maxPayload = 1 << 40

// openFlags are what pli open is asked for.
type openFlags struct {
	keyFile  string
	output   string
	server   string
	linkFile string
	code     bool   // read the mailed code from standard input
	files    string // directory for the files beside the message
	secret   bool   // read the passphrase from standard input, before the code
}

func (a *app) openCommand() *cobra.Command {
	var f openFlags
	c := a.command("open [-o FILE] ENVELOPE.html|ENVELOPE.pli|-", "open",
		"  pli open out.html > back.eml\n  pli open -o back.eml --files . out.html\n  pli open --key-file keys.json -o back.eml out.html",
		a.exactly("ENVELOPE.html"), func(cmd *cobra.Command, args []string) error { return a.open(cmd.Context(), f, args[0]) })
	c.Flags().StringVarP(&f.output, "output", "o", "", a.t("cli.open.output"))
	c.Flags().StringVar(&f.files, "files", "", a.t("cli.open.files"))
	c.Flags().StringVar(&f.keyFile, "key-file", "", a.t("cli.open.keyfile"))
	c.Flags().StringVar(&f.server, "server", "", a.t("cli.open.server"))
	c.Flags().StringVar(&f.linkFile, "link-file", "", a.t("cli.open.linkfile"))
	c.Flags().BoolVar(&f.code, "code-stdin", false, a.t("cli.open.codestdin"))
	c.Flags().BoolVar(&f.secret, "passphrase-stdin", false, a.t("cli.open.passphrasestdin"))
	return c
}

func (a *app) open(ctx context.Context, f openFlags, name string) error {
	if f.keyFile != "" && (f.server != "" || f.code) {
		return usage("cli.usage.notboth", "a", "--key-file", "b", "--server, --code-stdin")
	}
	if f.files != "" {
		if f.keyFile != "" { // no server, no files of it
			return usage("cli.usage.notboth", "a", "--key-file", "b", "--files")
		}
		if err := folderOf(filepath.Join(f.files, "x")); err != nil {
			return err
		}
	}
	if f.code || f.secret {
		if err := a.takeInput("--code-stdin, --passphrase-stdin"); err != nil {
			return err
		}
	}
	if f.output != "" {
		if err := folderOf(f.output); err != nil {
			return err
		}
	}
	src, err := a.source(name)
	if err != nil {
		return err
	}
	defer src.Close()
	// One pass to learn whose it is; nothing is decrypted yet.
	e, part, done, err := readEnvelope(src)
	if err != nil {
		return err
	}
	done()
	if part == nil {
		if part, err = a.readPart(f.linkFile); err != nil {
			return err
		}
	}
	o := opening{src: src}
	if o.part, err = a.unmask(*part, e.Slot, f.secret); err != nil {
		return err
	}
	if f.keyFile != "" {
		err = o.useKeyFile(f.keyFile, e)
	} else {
		err = a.askServer(ctx, f, e, &o)
	}
	if err == nil {
		// Verify all of it before the first byte goes out, because the reason to
		// refuse can be in the last.
		err = o.write(io.Discard)
	}
	if err != nil {
		return wrongPassphrase(*part, err)
	}
	if err := a.writeOpened(&o, f.output); err != nil || len(o.larges) == 0 {
		return err
	}
	if f.files == "" {
		for _, l := range o.larges {
			a.tell("cli.open.beside", "file", safeFile(l.Name), "size", a.p.Bytes(l.Size))
		}
		return nil
	}
	for _, l := range o.larges {
		if err := a.fetch(ctx, o.client, e.Slot, l, f.files); err != nil {
			return err
		}
	}
	return nil
}

// writeOpened writes the message to a file, which is there when it is whole, or to standard output.
func (a *app) writeOpened(o *opening, output string) error {
	if output == "" {
		return o.write(a.stdout)
	}
	var out outputs
	defer out.abort()
	w, err := out.create(output, 0o600, true)
	if err != nil {
		return err
	}
	if err := o.write(w); err != nil {
		return err
	}
	return out.commit()
}

// readEnvelope reads the head of the envelope in src. done ends the reading.
func readEnvelope(src *source) (e *envelope.Envelope, part *envelope.KeyPart, done func(), err error) {
	r, err := src.Open()
	if err != nil {
		return nil, nil, nil, err
	}
	payload, part, err := envelope.FindArmor(r)
	if err == nil {
		e, err = envelope.Parse(bufio.NewReaderSize(payload, 64<<10), maxPayload)
	}
	if err != nil {
		r.Close()
		return nil, nil, nil, notOpened(err)
	}
	return e, part, func() { r.Close() }, nil
}

// opening is everything that opens one envelope.
type opening struct {
	src  *source
	part envelope.Secret // E
	s    envelope.Secret
	want *envelope.Record                              // the server's record, or nil
	seal func(e *envelope.Envelope, ph [32]byte) error // the check that takes its place

	client *connection      // of the server that was asked, or nil
	larges []envelope.Large // the files beside the message, once it has been read
}

// useKeyFile takes the server's half from a key file.
func (o *opening) useKeyFile(path string, e *envelope.Envelope) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return notFound(err, path)
	}
	var keys envelope.KeyFile
	if err := json.Unmarshal(text, &keys); err != nil {
		return failed("cli.open.badkeyfile", "file", path)
	}
	slot, ok := keys.Find(e.Slot)
	if !ok {
		f := failed("cli.open.noslot", "file", path)
		f.code = exitNotFound
		return f
	}
	o.s = slot.S
	o.seal = func(e *envelope.Envelope, ph [32]byte) error {
		if !envelope.VerifySeal(keys.SealKey, e.HH, ph, e.Seal) {
			return failed("cli.open.badseal")
		}
		return nil
	}
	return nil
}

// write decrypts the message to w and checks everything that can be checked.
func (o *opening) write(w io.Writer) error {
	e, _, done, err := readEnvelope(o.src)
	if err != nil {
		return err
	}
	defer done()
	content, err := e.Open(o.s, o.part, o.want)
	if err != nil {
		return notOpened(err)
	}
	out := &writeErrors{w: w}
	found := descriptors{parts: content.Manifest.Parts}
	if err := content.WriteMessage(io.MultiWriter(out, &found)); err != nil {
		if out.err != nil {
			return out.err
		}
		return notOpened(err)
	}
	o.larges = found.larges()
	if o.seal != nil {
		return o.seal(e, content.PH())
	}
	return nil
}

// writeErrors remembers that it was the writer that failed, not the envelope.
type writeErrors struct {
	w   io.Writer
	err error
}

func (w *writeErrors) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}

// notOpened says for people what is wrong with an envelope. The sentence is all
// of it: the format's own words for the same are for programmers, in English.
func notOpened(err error) error {
	keys := []struct {
		is  error
		key string
	}{
		{envelope.ErrWrongKey, "cli.open.wrongkey"},
		{envelope.ErrVersion, "cli.open.version"},
		{envelope.ErrTooLarge, "cli.open.toolarge"},
		{envelope.ErrAltered, "cli.open.altered"},
		{envelope.ErrFormat, "cli.open.format"},
	}
	for _, k := range keys {
		if errors.Is(err, k.is) {
			return failed(k.key)
		}
	}
	return err
}

// readPart reads E, for a bare .pli file, from the link of the mail: secrets
// are not taken from flags.
func (a *app) readPart(file string) (*envelope.KeyPart, error) {
	var text string
	switch {
	case file != "":
		s, err := config.ReadSecret(file)
		if err != nil {
			return nil, notFound(err, file)
		}
		text = s
	case isTerminal(a.stdin) && a.inputUsed == "":
		fmt.Fprint(a.stderr, a.t("cli.open.asklink")+" ")
		line, err := a.readLine("link")
		if err != nil {
			return nil, err
		}
		text = line
	default:
		return nil, usage("cli.open.nopart")
	}
	text = text[strings.LastIndexByte(text, '#')+1:]
	part, err := envelope.ParseKeyPart(strings.TrimPrefix(text, "e="))
	if err != nil {
		return nil, failed("cli.open.badlink")
	}
	return &part, nil
}

// unmask gives E, asking for the passphrase where it takes one.
func (a *app) unmask(part envelope.KeyPart, slot envelope.SlotID, fromStdin bool) (envelope.Secret, error) {
	if !part.Masked() {
		return part.E, nil
	}
	if part.Hint != "" && !fromStdin {
		a.tell("cli.open.hint", "hint", part.Hint)
	}
	var text string
	var err error
	switch f, ok := a.stdin.(*os.File); {
	case fromStdin:
		text, err = a.readLine("")
	case ok && isTerminal(f):
		text, err = a.readPassword("cli.open.askpassphrase", false)
	default:
		return envelope.Secret{}, usage("cli.open.nopassphrase")
	}
	if err == nil && text == "" {
		err = usage("cli.open.nopassphrase")
	}
	if err != nil {
		return envelope.Secret{}, err
	}
	return part.Unmask(text, slot), nil
}

// wrongPassphrase says what a half that does not fit means where it was unmasked.
func wrongPassphrase(part envelope.KeyPart, err error) error {
	var f *failure
	if part.Masked() && errors.As(err, &f) && (f.said == "possession.failed" || f.key == "cli.open.wrongkey") {
		return failed("cli.open.wrongpassphrase")
	}
	return err
}

// askServer gets the server's half, from the server that the envelope names.
func (a *app) askServer(ctx context.Context, f openFlags, e *envelope.Envelope, o *opening) error {
	if f.server != "" && strings.TrimSuffix(f.server, "/") != e.Header.Origin {
		return failed("cli.open.otherserver", "envelope", e.Header.Origin, "asked", f.server) // AT-12
	}
	c, err := a.connect(ctx, e.Header.Origin)
	if err != nil {
		return err
	}
	pop := envelope.Pop(o.part, e.Slot, e.HH)
	release, err := c.open(ctx, e.Slot, pop, codeReader{
		ready: func() error {
			if !f.code && !isTerminal(a.stdin) {
				return usage("cli.open.nocode")
			}
			return nil
		},
		read: func(address, ref string) (string, error) {
			a.tell("cli.open.codesent", "masked", address, "ref", id.ShowReference(ref))
			return a.readCode(f.code)
		},
	})
	if err != nil {
		return err
	}
	o.client = c
	o.s, o.want = release.s, &envelope.Record{HH: release.hh, PH: release.ph}
	a.tell("cli.open.from", "sender", release.sender, "server", c.origin)
	return nil
}

func (a *app) readCode(fromStdin bool) (string, error) {
	if !fromStdin {
		fmt.Fprint(a.stderr, a.t("cli.open.askcode")+" ")
	}
	line, err := a.readLine("")
	if err == nil && line == "" {
		err = usage("cli.open.nocode")
	}
	return strings.ReplaceAll(line, " ", ""), err
}

// readLine reads one line of standard input and nothing behind it.
func (a *app) readLine(use string) (string, error) {
	if use != "" {
		if err := a.takeInput(use); err != nil {
			return "", err
		}
	}
	var line []byte
	one := make([]byte, 1)
	for len(line) < 4096 {
		n, err := a.stdin.Read(one)
		if n == 1 && one[0] == '\n' {
			break
		}
		line = append(line, one[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return strings.TrimSpace(string(line)), nil
}
