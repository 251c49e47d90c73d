package main

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
)

// found is one mail that came.
type found struct {
	*arrival
	m  *shot
	to string
}

// verdict holds what came against what was taken, and forgets both.
func (s *stand) verdict() {
	s.t.Helper()
	var twice, again int
	var telling, others []found // sealed mails of messages that were disturbed; the rest
	s.hop.mu.Lock()
	got, strays := s.hop.got, s.hop.strays
	s.hop.got, s.hop.strays = map[delivery][]*arrival{}, nil
	s.hop.mu.Unlock()
	for _, m := range s.load.shots {
		if m.tries > 1 {
			again++
		}
		for _, to := range m.to {
			came := got[delivery{m.id, to}]
			delete(got, delivery{m.id, to})
			// RFC 5321, section 4.5.3.2.6: twice is right only where an answer was lost.
			may := 1 + m.unsure
			if m.queued {
				may += len(s.inDoubt[to])
			}
			for _, a := range came {
				if m.queued && a.cut {
					may++
				}
				if to, f := strings.HasSuffix(to, "@seal.test"), (found{a, m, to}); !to {
					if !strings.HasSuffix(a.raw, m.raw) {
						s.t.Errorf("%s came to %s as something else: %.300s", m.id, f.to, a.raw)
					}
				} else if a.armor == nil {
					s.t.Errorf("%s came to %s in clear", m.id, f.to)
				} else if m.tries > 1 || len(came) > 1 || a.cut || len(s.inDoubt[f.to]) > 0 {
					telling = append(telling, f)
				} else {
					others = append(others, f)
				}
			}
			switch {
			case len(came) == 0 && m.taken:
				s.t.Errorf("%s was taken, and never came to %s", m.id, to)
			case len(came) > may:
				s.t.Errorf("%s came %d times to %s, where %d could be: %+v", m.id, len(came), to, may, m)
			case len(came) > 1:
				twice++
			}
		}
	}
	for d := range got {
		s.t.Errorf("%s came to %s, and nobody sent it", d.id, d.to)
	}
	for _, x := range strays {
		if strings.Contains(x, "report") {
			s.t.Errorf("a report went out: %s", x)
		}
	}
	disturbed := len(telling)
	for i := 0; i < len(others); i += 1 + len(others)/100 {
		telling = append(telling, others[i])
	}
	if len(telling) < 50 {
		s.t.Errorf("only %d envelopes to open", len(telling))
	}
	s.open(telling)
	s.search()
	s.t.Logf("%d messages, %d of them brought again, %d replies 4xx, %d connections lost; %d mails came more than once; %d envelopes opened, %d of them of disturbed messages",
		len(s.load.shots), again, s.load.refused.Swap(0), s.load.lost.Swap(0), twice, len(telling), disturbed)
	s.load.shots, s.inDoubt = nil, map[string]map[string]bool{}
}

// open opens envelopes as their recipients do, through the running service. That
// they proved their addresses is written into the database behind its back.
func (s *stand) open(list []found) {
	s.t.Helper()
	tokens := make([]id.Token, len(list))
	s.data(func(db *store.DB, _ *outbox.Outbox) {
		err := db.Update(s.t.Context(), func(tx *store.Tx) error {
			for i, f := range list {
				tokens[i] = id.NewToken()
				if err := tx.InsertSession(store.Session{TokenHash: tokens[i].Hash(), Scope: store.ScopeVisitor, Address: f.to,
					Nonce: strings.Repeat("00", 32), Client: "test", ExpiresAt: tx.Now.Add(time.Hour)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	})
	for i, f := range list {
		c := &connection{origin: "http://" + s.site, token: tokens[i].Reveal(), lang: "en", http: http.DefaultClient}
		plain, err := openAs(s.t.Context(), c, f.arrival)
		switch {
		case err != nil:
			s.t.Errorf("%s does not open for %s: %v", f.m.id, f.to, err)
		case plain != f.m.raw:
			s.t.Errorf("%s opened for %s as something else: %.300s", f.m.id, f.to, plain)
		}
	}
}

func openAs(ctx context.Context, c *connection, a *arrival) (string, error) {
	e, err := envelope.Parse(bytes.NewReader(a.armor), maxPayload)
	if err != nil {
		return "", err
	}
	if _, err := c.prove(ctx, e.Slot, envelope.Pop(a.part.E, e.Slot, e.HH)); err != nil {
		return "", err
	}
	r, err := c.release(ctx, e.Slot)
	if err != nil {
		return "", err
	}
	content, err := e.Open(r.s, a.part.E, &envelope.Record{HH: r.hh, PH: r.ph})
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = content.WriteMessage(&out)
	return out.String(), err
}

// search looks for plain text in every file.
func (s *stand) search() {
	s.t.Helper()
	for _, dir := range s.searched {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return ignoreGone(err)
			}
			raw, err := os.ReadFile(path)
			if bytes.Contains(raw, []byte(secretWords)) {
				s.t.Errorf("plain text is in %s", path)
			}
			return ignoreGone(err)
		})
		if err != nil {
			s.t.Error(err)
		}
	}
}

// ignoreGone: a file of a running service may end while one looks at it.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
