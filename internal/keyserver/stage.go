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
	stagePost   = 30 * time.Minute // in which its bytes must have come
	stagesHour  = 120              // from one network
	stageWindow = time.Hour
)

// stageLimits bound what is staged at once: the bytes are on the disk before
// anybody has proved anything. One network alone reaches none of the service's.
type stageLimits struct{ all, network, forwarded store.Staged }

var staged = stageLimits{
	all: store.Staged{Count: 1000, Bytes: 2 << 30}, network: store.Staged{Count: 60, Bytes: 300 << 20},
	forwarded: store.Staged{Count: 500, Bytes: 1 << 30}}

func over(have, most store.Staged, size int64) bool {
	return have.Count >= most.Count || have.Bytes+size > most.Bytes
}

// Stage keeps the bytes of one envelope, unarmored, for ten minutes and one
// reading. Their head must be well-formed and their payload of at most limit
// bytes. It returns the id for the page's address and the token for a cookie;
// TakeStage wants both. origin is the network address that posts it. Faults:
// stage.form, stage.size, e429.p.
func (s *Service) Stage(ctx context.Context, origin string, r io.Reader, limit int64) (stage string, token id.Token, err error) {
	network := store.Network(origin)
	if err := s.admitStage(ctx, network); err != nil {
		return "", id.Token{}, err
	}
	stage, token = id.New(), id.NewToken()
	row := store.Stage{ID: stageID(stage), TokenHash: token.Hash(), Network: network}
	name, err := s.writeStage(ctx, r, limit, row, func(*envelope.Envelope) error { return nil })
	if err != nil {
		return "", id.Token{}, unavailable(err)
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.FillStage(row.ID, name, tx.Now.Add(stageLife)) })
	if err != nil {
		return "", id.Token{}, unavailable(errors.Join(err, s.dropStage(ctx, row), s.c.Blobs.Delete(name)))
	}
	return stage, token, nil
}

func (s *Service) admitStage(ctx context.Context, network string) error {
	var refused *fault.Error
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		refused = nil
		allowed, wait, err := tx.Hit("stage:"+network, stageWindow, stagesHour)
		if !allowed {
			refused = fault.Wait("e429.p", wait)
		}
		return err
	})
	if err == nil && refused != nil {
		return refused
	}
	return unavailable(err)
}

// reserveStage counts a stage before its bytes come, so that many at once are
// not more than the limits allow.
func (s *Service) reserveStage(ctx context.Context, row store.Stage) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockThrottle("stages"); err != nil { // two at once see each other
			return err
		}
		all, ours, err := tx.CountStages(row.Network)
		if err != nil {
			return err
		}
		most := s.staged.network
		if row.Network == forwardedNetwork {
			most = s.staged.forwarded
		}
		if over(all, s.staged.all, row.Size) || over(ours, most, row.Size) {
			return fault.Wait("e429.p", stageLife)
		}
		row.ExpiresAt = tx.Now.Add(stagePost)
		return tx.InsertStage(row)
	})
}

// dropStage ends a reservation, also for a browser that went away meanwhile.
func (s *Service) dropStage(ctx context.Context, row store.Stage) error {
	return s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.DeleteStage(row.ID) })
}

// writeStage lets through envelopes only, and not a byte more than one says it
// has. What it says is reserved before the payload is read, if check lets it.
func (s *Service) writeStage(ctx context.Context, r io.Reader, limit int64, row store.Stage, check func(*envelope.Envelope) error) (name string, err error) {
	w, err := s.c.Blobs.Create(ctx)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	var head counter
	e, err := envelope.Parse(io.TeeReader(r, io.MultiWriter(w, &head)), limit)
	if err != nil {
		return "", stageFault(err)
	}
	if err := check(e); err != nil {
		return "", err
	}
	row.Size = int64(head) + e.PayloadSize
	if err := s.reserveStage(ctx, row); err != nil {
		return "", err
	}
	defer func() {
		if err == nil {
			return
		}
		if gone := s.dropStage(ctx, row); gone != nil { // it ends by time
			s.c.Log.WarnContext(ctx, "a stage that was not filled stays reserved", "error", gone)
		}
	}()
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

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
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
	f, size, err := s.openStage(name, err)
	if err != nil {
		return nil, 0, err
	}
	return taken{f, s.c.Blobs, name}, size, nil
}

// ReadStage is TakeStage that leaves it there, for who may need it again before
// it ends. Faults: e404.h1.
func (s *Service) ReadStage(ctx context.Context, stage string, token id.Token) (io.ReadCloser, int64, error) {
	return s.readStage(ctx, stage, token.Hash())
}

func (s *Service) readStage(ctx context.Context, stage, tokenHash string) (io.ReadCloser, int64, error) {
	var name string
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		name, err = tx.FindStage(stageID(stage), tokenHash)
		return err
	})
	f, size, err := s.openStage(name, err)
	if err != nil {
		return nil, 0, err
	}
	return f, size, nil
}

// openStage opens the blob of a stage whose name was looked for with err.
func (s *Service) openStage(name string, err error) (f io.ReadSeekCloser, size int64, _ error) {
	if err == nil {
		f, size, err = s.c.Blobs.Open(name)
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, blob.ErrNotFound) {
		return nil, 0, notFound().Because(err)
	}
	return f, size, unavailable(err)
}

// taken deletes the blob that it read.
type taken struct {
	io.ReadSeekCloser
	blobs *blob.Store
	name  string
}

func (t taken) Close() error { return errors.Join(t.ReadSeekCloser.Close(), t.blobs.Delete(t.name)) }
