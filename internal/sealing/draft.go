package sealing

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/store"
)

// Limits of drafts.
const (
	DraftDays = 30  // that a draft is kept after its last change
	MaxDrafts = 100 // of one user
	Unsent    = 20  // beyond them, that were to be sent, and then could not
)

// Draft is a message that is being written. Only its user sees it.
type Draft struct {
	ID        string // "": not kept yet
	Version   int64  // counts the savings
	Fields    map[string]string
	Files     []DraftFile
	ChangedAt time.Time
}

// DraftFile is a file of a draft; it lies encrypted in the blob ID.
type DraftFile struct {
	ID   string
	Name string
	Type string
	Size int64 // bytes
	Key  []byte
}

// draftBox is what the box of a draft holds, as JSON.
type draftBox struct {
	Fields map[string]string
	Files  []DraftFile
}

// Saving is one saving of a draft.
type Saving struct {
	UserID    string
	AccountID int64
	ID        string // "": a new draft
	Version   int64  // that the form was made from
	Fields    map[string]string
	Keep      []string              // IDs of the files to keep
	Files     func() (*File, error) // to add, as in Request; nil for none
	ToSend    bool                  // nothing is in its way but the sending itself
}

// SaveDraft keeps a draft: its text sealed, its files as ciphertext, which are
// read once and never written in plain. Faults: err.stale where another saving,
// or a sending, came before; draft.many; reply.toobig, mail.seal.files as Seal.
func (s *Service) SaveDraft(ctx context.Context, in Saving) (_ Draft, err error) {
	d := Draft{ID: in.ID, Fields: in.Fields}
	var dropped []string
	if in.ID != "" {
		before, err := s.Draft(ctx, in.UserID, in.ID)
		if fault.Is(err, fault.NotFound) || err == nil && before.Version != in.Version {
			return Draft{}, stale()
		}
		if err != nil {
			return Draft{}, err
		}
		for _, f := range before.Files {
			if slices.Contains(in.Keep, f.ID) {
				d.Files = append(d.Files, f)
			} else {
				dropped = append(dropped, f.ID)
			}
		}
	}
	kept := len(d.Files)
	defer func() {
		if err != nil {
			for _, f := range d.Files[kept:] {
				s.discard(ctx, f.ID)
			}
		}
	}()
	if err := s.receiveDraft(ctx, &d, in.Files); err != nil {
		return Draft{}, err
	}
	if err := s.writeDraft(ctx, in, &d, d.Files[kept:], dropped); err != nil {
		return Draft{}, err
	}
	s.dropFiles(ctx, dropped)
	return d, nil
}

// dropFiles removes the files of a draft that no row names any more.
func (s *Service) dropFiles(ctx context.Context, names []string) {
	for _, name := range names {
		if err := s.cfg.Blobs.Delete(name); err != nil {
			s.cfg.Log.WarnContext(ctx, "a file of a draft stays until it is swept", "error", err)
		}
	}
}

func stale() *fault.Error { return fault.New(fault.Conflict, "err.stale") }

// receiveDraft reads new files, each into a blob of its own.
func (s *Service) receiveDraft(ctx context.Context, d *Draft, files func() (*File, error)) error {
	left := s.cfg.MaxFiles
	for _, f := range d.Files {
		left -= f.Size
	}
	return s.receive(files, len(d.Files), left, s.cfg.MaxFiles, func(a message.Attachment, in io.Reader) (int64, error) {
		f := DraftFile{Name: a.Name, Type: a.Type, Key: make([]byte, spool.KeySize)}
		rand.Read(f.Key) // never fails (crypto/rand)
		w, err := s.cfg.Blobs.Create(ctx)
		if err != nil {
			return 0, err
		}
		defer w.Abort()
		count := &counted{r: in}
		if err := spool.Encrypt(w, f.Key, count); err != nil {
			return 0, err
		}
		if f.Size = count.n; f.Size > left {
			return f.Size, nil // receive refuses it
		}
		left -= f.Size
		if f.ID, err = w.Commit(); err != nil {
			return 0, err
		}
		d.Files = append(d.Files, f)
		return f.Size, nil
	})
}

// counted counts the bytes that are read through it.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (s *Service) writeDraft(ctx context.Context, in Saving, d *Draft, added []DraftFile, dropped []string) error {
	plain, err := json.Marshal(draftBox{d.Fields, d.Files})
	if err != nil {
		return err
	}
	defer clear(plain)
	fresh := id.New()
	err = s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		row := store.Draft{ID: in.ID, UserID: in.UserID, AccountID: in.AccountID, Version: in.Version, KeptUntil: tx.Now.AddDate(0, 0, DraftDays)}
		if in.ID == "" {
			row.ID = fresh
			room := MaxDrafts
			if in.ToSend {
				room += Unsent
			}
			if n, err := tx.CountDrafts(in.UserID); err != nil {
				return err
			} else if n >= room {
				return fault.New(fault.TooMany, "draft.many").With("n", MaxDrafts)
			}
		}
		var err error
		if row.Epoch, row.Box, err = s.cfg.Keys.SealDraft(tx, row.AccountID, row.ID, row.KeptUntil, plain); err != nil {
			return err
		}
		if in.ID == "" {
			err = tx.InsertDraft(row)
		} else {
			var ours bool
			if ours, err = tx.ReplaceDraft(row); err == nil && !ours {
				return stale()
			}
		}
		if err != nil {
			return err
		}
		for _, f := range added {
			if err := tx.InsertDraftFile(row.ID, f.ID); err != nil {
				return err
			}
		}
		for _, name := range dropped {
			if err := tx.DeleteDraftFile(row.ID, name); err != nil {
				return err
			}
		}
		d.ID, d.Version, d.ChangedAt = row.ID, in.Version+1, tx.Now
		return nil
	})
	if err != nil {
		return fmt.Errorf("save draft: %w", err)
	}
	return nil
}

// Draft returns a user's draft. Faults: e404.h1, also for one that was sent.
func (s *Service) Draft(ctx context.Context, userID, draftID string) (d Draft, err error) {
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.FindDraft(userID, draftID)
		if err != nil {
			return err
		}
		d, err = s.openDraft(tx, row)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = fault.New(fault.NotFound, "e404.h1")
	}
	return d, err
}

func (s *Service) openDraft(tx *store.Tx, row store.Draft) (Draft, error) {
	plain, err := s.cfg.Keys.OpenDraft(tx, row)
	if err != nil {
		return Draft{}, err
	}
	var b draftBox
	if err := json.Unmarshal(plain, &b); err != nil {
		return Draft{}, fmt.Errorf("read draft %s: %w", row.ID, err)
	}
	return Draft{ID: row.ID, Version: row.Version, Fields: b.Fields, Files: b.Files, ChangedAt: row.ChangedAt}, nil
}

// Drafts returns a user's drafts, the latest change first.
func (s *Service) Drafts(ctx context.Context, userID string) (out []Draft, err error) {
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.ListDrafts(userID, MaxDrafts+Unsent)
		if err != nil {
			return err
		}
		for _, row := range rows {
			d, err := s.openDraft(tx, row)
			if fault.Is(err, fault.NotFound) { // its key is gone, and the sweep is on its way
				continue
			}
			if err != nil {
				return err
			}
			out = append(out, d)
		}
		return nil
	})
	return out, err
}

// DeleteDraft removes a user's draft with its files. Faults: e404.h1.
func (s *Service) DeleteDraft(ctx context.Context, userID, draftID string) error {
	var blobs []string
	err := s.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if _, err = tx.FindDraft(userID, draftID); err != nil {
			return err
		}
		blobs, err = tx.DeleteDraft(draftID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.NotFound, "e404.h1")
	}
	if err == nil {
		s.dropFiles(ctx, blobs)
	}
	return err
}

// UndoUntil is until when a user's message can be taken back; zero: it cannot.
func (s *Service) UndoUntil(ctx context.Context, userID, messageID string) (until time.Time, err error) {
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		d, err := tx.FindSentDraft(userID, messageID)
		if err == nil && d.UndoUntil.After(tx.Now) {
			until = d.UndoUntil
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return until, err
}

// draftFiles gives the files of a draft as Request.Files gives those of a form.
func (s *Service) draftFiles(d *Draft) (next func() (*File, error), done func()) {
	files := d.Files
	var open io.Closer
	done = func() {
		if open != nil {
			open.Close()
			open = nil
		}
	}
	next = func() (*File, error) {
		done()
		if len(files) == 0 {
			return nil, io.EOF
		}
		f := files[0]
		files = files[1:]
		in, _, err := s.cfg.Blobs.Open(f.ID)
		if errors.Is(err, blob.ErrNotFound) {
			return nil, stale().Because(err) // taken out in another window
		}
		if err != nil {
			return nil, err
		}
		open = in
		plain, err := spool.Decrypt(in, f.Key, f.Size)
		if err != nil {
			return nil, err
		}
		return &File{Name: f.Name, Type: f.Type, Reader: plain}, nil
	}
	return next, done
}

// sentFrom notes in the registering transaction that the draft has become this
// message: of two sendings of one version, one goes through.
func (j *job) sentFrom(tx *store.Tx, messageID string) error {
	d := j.r.Draft
	if d == nil {
		return nil
	}
	ours, err := tx.SendDraft(j.r.Sender.UserID, d.ID, d.Version, messageID, j.notBefore)
	if err == nil && !ours {
		return stale()
	}
	return err
}
