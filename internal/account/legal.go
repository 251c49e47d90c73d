package account

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

const systemLegal action = "system.legal"

const (
	maxLegal = 20_000 // characters of a text
	legalAge = 5 * time.Second
)

// Legal is what the operators say on every page.
type Legal struct {
	Level   string            // of accessibility: full, partial, none; "": as configured
	URL     string            // of their own accessibility statement, "" = none
	Privacy map[string]string // by language: plain text, paragraphs apart by an empty line
}

// PrivacyIn is the privacy text in a language, or in another where there is none,
// and the language it is in.
func (l Legal) PrivacyIn(lang string) (text, in string) {
	for _, in := range []string{lang, "en", "fr"} {
		if text := l.Privacy[in]; text != "" {
			return text, in
		}
	}
	return "", ""
}

// legal is what was last read.
type legal struct {
	mu   sync.Mutex // guards the rest; held while reading, so that one does it for all
	last Legal
	at   time.Time
}

// Legal returns what the operators say, as it was some seconds ago at most. Where it
// cannot be read it is as before: no page fails for it.
func (s *Service) Legal(ctx context.Context) Legal {
	s.legal.mu.Lock()
	defer s.legal.mu.Unlock()
	if time.Since(s.legal.at) < legalAge {
		return s.legal.last
	}
	s.legal.at = time.Now()
	out := Legal{Privacy: map[string]string{}}
	if err := s.c.DB.View(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		texts, err := tx.ListSiteTexts()
		for _, t := range texts {
			switch t.Name {
			case "a11y":
				out.Level = t.Body
			case "a11y_url":
				out.URL = t.Body
			case "privacy":
				out.Privacy[t.Language] = t.Body
			}
		}
		return err
	}); err == nil {
		s.legal.last = out
	}
	return s.legal.last
}

// SetLegal keeps what an operator says. Faults: err.long, sl.badurl, sl.badlevel.
func (s *Service) SetLegal(ctx context.Context, actor Actor, l Legal) error {
	var p problems
	if l.Level != "" && !slices.Contains([]string{"full", "partial", "none"}, l.Level) {
		p.add("level", "sl.badlevel", nil)
	}
	l.URL = strings.TrimSpace(l.URL)
	if u, err := url.Parse(l.URL); l.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || len(l.URL) > 500) {
		p.add("url", "sl.badurl", nil)
	}
	texts := []store.SiteText{{Name: "a11y", Body: l.Level}, {Name: "a11y_url", Body: l.URL}}
	for _, lang := range []string{"en", "fr"} {
		text := strings.TrimSpace(strings.ReplaceAll(l.Privacy[lang], "\r\n", "\n"))
		if utf8.RuneCountInString(text) > maxLegal || !utf8.ValidString(text) {
			p.add("privacy_"+lang, "err.long", fault.Args{"field": "sl.privacy." + lang, "n": maxLegal})
		}
		texts = append(texts, store.SiteText{Name: "privacy", Language: lang, Body: text})
	}
	err := s.act(ctx, actor, systemLegal, 0, func(tx *store.Tx, _ store.Account) error {
		if err := p.err(); err != nil {
			return err
		}
		for _, t := range texts {
			t.SetBy = actor.String()
			if err := tx.KeepSiteText(t); err != nil {
				return err
			}
		}
		return record(tx, actor, systemLegal, 0, "site", "level", l.Level, "url", l.URL)
	})
	if err == nil {
		s.legal.mu.Lock()
		s.legal.at = time.Time{}
		s.legal.mu.Unlock()
	}
	return err
}

const systemTest action = "system.test"

// TestSystem records that an operator tries a way out of the service, such as mail, on what.
func (s *Service) TestSystem(ctx context.Context, actor Actor, what, target string) error {
	return s.act(ctx, actor, systemTest, 0, func(tx *store.Tx, _ store.Account) error {
		return record(tx, actor, systemTest, 0, target, "what", what)
	})
}
