package account

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/store"
)

// KindArchive is the kind of a job that makes an archive of all that an account has.
const KindArchive = "account.export"

const (
	ArchiveLimit   = 7 * 24 * time.Hour // an archive can be fetched so long
	archivePage    = 500                // rows that are read at once
	archiveTick    = time.Second        // how often the job says how far it is
	archivePurpose = "export/"
)

// Acts on archives beside asking for one.
const (
	archiveStop  action = "account.export_stop"
	archiveFetch action = "account.export_fetch"
)

// ArchiveView is an archive, or the job that makes it.
type ArchiveView struct {
	store.Job
	Size   int64     // bytes, 0 while there is nothing to fetch
	Sum    string    // SHA-256, hex
	EndsAt time.Time // until then it can be fetched
}

// Ready reports whether there is something to fetch.
func (v ArchiveView) Ready() bool { return v.State == store.JobDone && v.Size > 0 }

// Running reports whether it is being made.
func (v ArchiveView) Running() bool { return v.State == store.JobRunning }

func archiveOf(tx *store.Tx, j store.Job) (ArchiveView, error) {
	v := ArchiveView{Job: j}
	if j.Kind != KindArchive {
		return v, store.ErrNotFound
	}
	e, err := tx.FindExport(j.AccountID, j.ID)
	if errors.Is(err, store.ErrNotFound) {
		return v, nil
	}
	v.Size, v.Sum, v.EndsAt = e.Size, e.Sum, e.EndsAt
	return v, err
}

// StartArchive begins a job that writes all that an account has, but for what
// was sealed and what proves who somebody is, into one archive. One runs at a time. Faults: second.again,
// life.running.
func (s *Service) StartArchive(ctx context.Context, actor Actor, number int64) (out ArchiveView, err error) {
	err = s.act(ctx, actor, accountExport, number, func(tx *store.Tx, a store.Account) error {
		if err := provedNow(tx, actor); err != nil {
			return err
		}
		if a.State == store.AccountDeleted {
			return notFound()
		}
		jobs, err := tx.ListJobs(a.ID, KindArchive, time.Time{}, "", 1)
		if err != nil {
			return err
		}
		if len(jobs) > 0 && jobs[0].State == store.JobRunning {
			return fault.New(fault.Conflict, "life.running")
		}
		out.Job = store.Job{ID: id.New(), AccountID: a.ID, Kind: KindArchive, State: store.JobRunning, ActorID: actor.UserID, Actor: actor.String(),
			ActorName: actor.Name, Origin: actor.Origin, Language: actor.Language, Params: "{}", CreatedAt: tx.Now}
		if err := tx.InsertJob(out.Job); err != nil {
			return err
		}
		return record(tx, actor, accountExport, a.ID, accountName(a.ID), "job", out.ID)
	})
	return out, err
}

// Archives lists an account's archives of the last 30 days, at most 20, the newest first.
func (s *Service) Archives(ctx context.Context, actor Actor, number int64) (out []ArchiveView, err error) {
	err = s.look(ctx, actor, accountExport, number, func(tx *store.Tx, a store.Account) error {
		jobs, err := tx.ListJobs(a.ID, KindArchive, time.Time{}, "", 20)
		out = nil
		for _, j := range jobs {
			v, err := archiveOf(tx, j)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return err
	})
	return out, err
}

// Archive returns one of an account's archives.
func (s *Service) Archive(ctx context.Context, actor Actor, number int64, jobID string) (out ArchiveView, err error) {
	err = s.look(ctx, actor, accountExport, number, func(tx *store.Tx, a store.Account) error {
		j, err := tx.FindJob(a.ID, jobID)
		if err == nil {
			out, err = archiveOf(tx, j)
		}
		return err
	})
	return out, err
}

// StopArchive ends a job that makes an archive, and removes one that is made. One that is over stays so.
func (s *Service) StopArchive(ctx context.Context, actor Actor, number int64, jobID string) error {
	return s.act(ctx, actor, accountExport, number, func(tx *store.Tx, a store.Account) error {
		j, err := tx.LockJob(a.ID, jobID)
		if err != nil {
			return err
		}
		if j.Kind != KindArchive {
			return store.ErrNotFound
		}
		if j.State != store.JobRunning {
			return nil
		}
		j.State, j.Reason = store.JobStopped, "life.stopped"
		if err := tx.SetJob(j, time.Time{}); err != nil {
			return err
		}
		return record(tx, actor, archiveStop, a.ID, accountName(a.ID), "job", j.ID)
	})
}

// FetchArchive returns an archive in clear, and its size in bytes, which is
// recorded. Whoever fetches it has proved who they are not long ago. Faults: second.again.
func (s *Service) FetchArchive(ctx context.Context, actor Actor, number int64, jobID string) (_ io.ReadCloser, size int64, err error) {
	var e store.Export
	err = s.act(ctx, actor, accountExport, number, func(tx *store.Tx, a store.Account) (err error) {
		if err := provedNow(tx, actor); err != nil {
			return err
		}
		if e, err = tx.FindExport(a.ID, jobID); err != nil {
			return err
		}
		return record(tx, actor, archiveFetch, a.ID, accountName(a.ID), "job", jobID, "sha256", e.Sum)
	})
	if err != nil {
		return nil, 0, err
	}
	key, err := s.c.Root.Open(archivePurpose+e.JobID, e.Key)
	if err != nil {
		return nil, 0, err
	}
	sealed, _, err := s.c.Blobs.Open(e.Blob)
	if errors.Is(err, blob.ErrNotFound) { // archives are in no backup
		return nil, 0, notFound().Because(err)
	} else if err != nil {
		return nil, 0, err
	}
	plain, err := spool.Decrypt(sealed, key, e.Size)
	if err != nil {
		return nil, 0, errors.Join(err, sealed.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{plain, sealed}, e.Size, nil
}

// SweepArchives removes archives whose time is over.
func (s *Service) SweepArchives(ctx context.Context) error {
	for {
		var blobs []string
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) { blobs, err = tx.DeleteOldExports(100); return err })
		for _, name := range blobs {
			err = errors.Join(err, s.c.Blobs.Delete(name))
		}
		if err != nil || len(blobs) < 100 {
			return err
		}
	}
}

// errStopped ends the making of an archive whose job somebody stopped.
var errStopped = errors.New("the job was stopped")

// runArchive makes the archive of a job: from the beginning, whoever began it before.
// It reads a page at a time and writes as it reads, so that an account of any
// size takes the same memory; on the disk there is ciphertext only.
func (s *Service) runArchive(ctx context.Context, j store.Job) error {
	a := &archive{s: s, job: j, actor: actorOf(j), said: time.Now()}
	out, err := s.c.Blobs.Create(ctx)
	if err != nil {
		return err
	}
	defer out.Abort()
	key := make([]byte, spool.KeySize)
	rand.Read(key) // never fails (crypto/rand)
	sum, count := sha256.New(), int64(0)
	from, to := io.Pipe()
	go func() { to.CloseWithError(a.write(ctx, to)) }()
	err = spool.Encrypt(out, key, io.TeeReader(from, counted{sum, &count}))
	from.Close()
	switch {
	case errors.Is(err, errStopped):
		return nil
	case fault.Is(err, fault.Denied), fault.Is(err, fault.NotFound): // who began it may no more
		return s.stop(ctx, j, "life.norights")
	case err != nil:
		return err
	}
	e := store.Export{JobID: j.ID, AccountID: j.AccountID, Size: count, Sum: hex.EncodeToString(sum.Sum(nil))}
	if e.Key, err = s.c.Root.Seal(archivePurpose+j.ID, key); err != nil {
		return err
	}
	if e.Blob, err = out.Commit(); err != nil {
		return err
	}
	kept := false
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.LockJob(j.AccountID, j.ID)
		if kept = err == nil && now.State == store.JobRunning; !kept {
			return err
		}
		e.EndsAt = tx.Now.Add(ArchiveLimit)
		if err := tx.InsertExport(e); err != nil {
			return err
		}
		now.State, now.Done, now.Total, now.Reason = store.JobDone, a.done, a.done, ""
		return tx.SetJob(now, time.Time{})
	})
	if err != nil { // also a lost answer to a commit: whether a row names the file only the sweep can tell
		return err
	}
	if !kept {
		return s.c.Blobs.Delete(e.Blob)
	}
	return nil
}

// counted hashes and counts what is written to it.
type counted struct {
	hash.Hash
	n *int64
}

func (t counted) Write(b []byte) (int, error) {
	*t.n += int64(len(b))
	return t.Hash.Write(b)
}

// archive is one that is being written.
type archive struct {
	s           *Service
	job         store.Job
	actor       Actor
	zip         *zip.Writer
	sums        strings.Builder // the manifest, as sha256sum reads it
	total, done int
	said        time.Time
}

func (a *archive) look(ctx context.Context, fn func(tx *store.Tx) error) error {
	return a.s.look(ctx, a.actor, accountExport, a.job.AccountID, func(tx *store.Tx, _ store.Account) error { return fn(tx) })
}

// tick says how far the job is, and learns whether somebody stopped it.
func (a *archive) tick(ctx context.Context, rows int) error {
	a.done += rows
	if time.Since(a.said) < archiveTick {
		return nil
	}
	a.said = time.Now()
	return a.s.c.DB.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.LockJob(a.job.AccountID, a.job.ID)
		if err != nil {
			return err
		}
		if now.State != store.JobRunning {
			return errStopped
		}
		now.Done, now.Total = a.done, max(a.total, a.done)
		return tx.SetJob(now, tx.Now.Add(jobClaim))
	})
}

// entry writes one file of the archive.
func (a *archive) entry(name string, at time.Time, fill func(io.Writer) error) error {
	w, err := a.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at})
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := fill(io.MultiWriter(w, sum)); err != nil {
		return err
	}
	fmt.Fprintf(&a.sums, "%x  %s\n", sum.Sum(nil), name)
	return nil
}

func (a *archive) write(ctx context.Context, to io.Writer) error {
	a.zip = zip.NewWriter(to)
	var head store.AuditHead
	var at time.Time
	var acc store.Account
	var logo store.Logo
	err := a.s.look(ctx, a.actor, accountExport, a.job.AccountID, func(tx *store.Tx, account store.Account) error {
		at, acc = tx.Now.UTC(), account
		users, messages, err := tx.CountOwn(a.job.AccountID)
		if err != nil {
			return err
		}
		if head, err = tx.FindAuditHead(a.job.AccountID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if b := brand.Read(account.Brand); b.Logo.Digest != "" {
			if logo, err = tx.FindLogo(b.Logo.Digest); err != nil {
				return err
			}
		}
		a.total = 2 * (users + messages + int(head.Seq))
		return nil
	})
	if err != nil {
		return err
	}
	for _, lang := range i18n.Languages {
		p := a.s.c.Catalogue.Printer(lang, time.UTC)
		text := p.T("life.readme", "number", acc.ID, "org", acc.Name, "at", p.Time(at))
		if err := a.entry("README."+lang+".txt", at, func(w io.Writer) error { _, err := io.WriteString(w, text+"\n"); return err }); err != nil {
			return err
		}
	}
	if logo.Body != nil {
		name := "logo.png"
		if logo.MediaType == brand.TypeSVG {
			name = "logo.svg"
		}
		if err := a.entry(name, at, func(w io.Writer) error { _, err := w.Write(logo.Body); return err }); err != nil {
			return err
		}
	}
	for _, e := range store.Extracts {
		for _, form := range []string{"jsonl", "csv"} {
			if err := a.entry(e.Name+"."+form, at, func(w io.Writer) error { return a.extract(ctx, e, form, w) }); err != nil {
				return err
			}
		}
	}
	for _, form := range []string{"jsonl", "csv"} {
		if err := a.entry("audit."+form, at, func(w io.Writer) error { return a.log(ctx, head, form, w) }); err != nil {
			return err
		}
	}
	w, err := a.zip.CreateHeader(&zip.FileHeader{Name: "MANIFEST.sha256", Method: zip.Deflate, Modified: at})
	if err == nil {
		_, err = io.WriteString(w, a.sums.String())
	}
	return errors.Join(err, a.zip.Close())
}

// extract writes rows of one kind, as JSON lines or for a spreadsheet.
func (a *archive) extract(ctx context.Context, e store.Extract, form string, w io.Writer) error {
	var table *csv.Writer
	if form == "csv" {
		if _, err := io.WriteString(w, "\ufeff"); err != nil { // by which a spreadsheet knows UTF-8
			return err
		}
		table = csv.NewWriter(w)
		table.UseCRLF = true
		if err := table.Write(e.Columns); err != nil {
			return err
		}
	}
	counts := e.Name == "users" || e.Name == "messages"
	for after := (*store.ExtractRow)(nil); ; {
		var rows []store.ExtractRow
		if err := a.look(ctx, func(tx *store.Tx) (err error) {
			rows, err = tx.ListExtract(e, a.job.AccountID, after, archivePage)
			return err
		}); err != nil {
			return err
		}
		for _, row := range rows {
			if err := writeExtract(w, table, e.Columns, row.Values); err != nil {
				return err
			}
		}
		n := 0
		if counts {
			n = len(rows)
		}
		if err := a.tick(ctx, n); err != nil {
			return err
		}
		if len(rows) < archivePage {
			break
		}
		after = &rows[len(rows)-1]
	}
	if table == nil {
		return nil
	}
	table.Flush()
	return table.Error()
}

func writeExtract(w io.Writer, table *csv.Writer, columns []string, values []any) error {
	if table != nil {
		cells := make([]string, len(values))
		for i, v := range values {
			switch v := v.(type) {
			case string:
				cells[i] = roster.Inert(v)
			case time.Time:
				cells[i] = stamp(v)
			default:
				cells[i] = fmt.Sprint(v)
			}
		}
		return table.Write(cells)
	}
	line := []byte{'{'}
	for i, v := range values {
		if t, ok := v.(time.Time); ok {
			v = stamp(t)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(append(line, strconv.Quote(columns[i])...), ':'), raw...)
	}
	_, err := w.Write(append(line, '}', '\n'))
	return err
}

// stamp is a time for programs, "" for never.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// log writes the audit log as far as its chain was signed when the archive was
// begun, in the form that pli audit verify takes.
func (a *archive) log(ctx context.Context, head store.AuditHead, form string, w io.Writer) error {
	p := a.s.c.Catalogue.Printer(language(a.job.Language), time.UTC)
	out, err := audit.NewWriter(w, form, "", func(r store.AuditRow) string { return Sentence(p, r) })
	if err != nil {
		return err
	}
	for last := int64(0); last < head.Seq; {
		var rows []store.AuditRow
		err := a.look(ctx, func(tx *store.Tx) (err error) {
			rows, err = tx.ListChain(a.job.AccountID, last, int(min(archivePage, head.Seq-last)))
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := out.Write(rows); err != nil {
			return err
		}
		last = rows[len(rows)-1].Seq
		if err := a.tick(ctx, len(rows)); err != nil {
			return err
		}
	}
	return out.End(audit.HeadOf(head))
}
