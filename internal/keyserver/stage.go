package keyserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// A stage holds what a browser without script posted until its page fetches it.
const (
	stageLife   = 10 * time.Minute
	stagesMost  = 1000 // at once, on the whole service
	stagesHour  = 120  // from one network address
	stageWindow = time.Hour
)

// Stage keeps the bytes of one envelope, unarmored, for ten minutes and one
// reading. Their head must be well-formed and their payload of at most limit
// bytes. It returns the id for the page's address and the token for a cookie;
// TakeStage wants both. origin is the network address that posts it. Faults:
// stage.form, stage.size, e429.p.
func (s *Service) Stage(ctx context.Context, origin string, r io.Reader, limit int64) (stage string, token id.Token, err error) {
	if err := s.admitStage(ctx, origin); err != nil {
		return "", id.Token{}, err
	}
	name, err := s.writeStage(ctx, r, limit)
	if err != nil {
		return "", id.Token{}, unavailable(err)
	}
	stage, token = id.New(), id.NewToken()
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertStage(store.Stage{ID: stageID(stage), TokenHash: token.Hash(), Blob: name, ExpiresAt: tx.Now.Add(stageLife)})
	})
	if err != nil {
		return "", id.Token{}, unavailable(errors.Join(err, s.c.Blobs.Delete(name)))
	}
	return stage, token, nil
}

func (s *Service) admitStage(ctx context.Context, origin string) error {
	var refused *fault.Error
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		refused = nil
		allowed, wait, err := tx.Hit("stage:"+origin, stageWindow, stagesHour)
		if err != nil {
			return err
		}
		n, err := tx.CountStages()
		if !allowed {
			refused = fault.New(fault.TooMany, "e429.p").With("n", minutes(wait))
		} else if n >= stagesMost {
			refused = fault.New(fault.TooMany, "e429.p").With("n", minutes(stageLife))
		}
		return err
	})
	if err == nil && refused != nil {
		return refused
	}
	return unavailable(err)
}

// writeStage lets through envelopes only, and not a byte more than one says it has.
func (s *Service) writeStage(ctx context.Context, r io.Reader, limit int64) (name string, err error) {
	w, err := s.c.Blobs.Create(ctx)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	e, err := envelope.Parse(io.TeeReader(r, w), limit)
	if err != nil {
		return "", stageFault(err)
	}
	// One byte more than there should be shows that there is more.
	n, err := io.Copy(w, io.LimitReader(r, e.PayloadSize+1))
	if err != nil {
		return "", stageFault(err)
	}
	if n != e.PayloadSize {
		return "", fault.New(fault.Invalid, "stage.form")
	}
	return w.Commit()
}

// stageFault tells a wrong file from a disk that fails. What the caller's reader
// says (the armor) is about the file too.
func stageFault(err error) error {
	switch {
	case errors.Is(err, envelope.ErrTooLarge):
		return fault.New(fault.TooLarge, "stage.size").Because(err)
	case errors.Is(err, envelope.ErrFormat), errors.Is(err, envelope.ErrVersion), errors.Is(err, envelope.ErrAltered),
		errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "stage.form").Because(err)
	}
	return err
}

// stageID is how the id in the address is stored: the database names no stage
// that can be fetched.
func stageID(stage string) string {
	h := sha256.Sum256([]byte(stage))
	return hex.EncodeToString(h[:])
}

// TakeStage returns what was staged and its size in bytes, once, to who holds
// the token. The caller must close it. Faults: e404.h1, whatever the reason
// (AT-23).
func (s *Service) TakeStage(ctx context.Context, stage string, token id.Token) (io.ReadCloser, int64, error) {
	var name string
	err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		name, err = tx.TakeStage(stageID(stage), token.Hash())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, notFound()
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	f, size, err := s.c.Blobs.Open(name)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, 0, notFound().Because(err)
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	return taken{f, s.c.Blobs, name}, size, nil
}

// taken deletes the blob that it read.
type taken struct {
	io.ReadSeekCloser
	blobs *blob.Store
	name  string
}

func (t taken) Close() error { return errors.Join(t.ReadSeekCloser.Close(), t.blobs.Delete(t.name)) }
