package store

import (
	"database/sql"
	"time"
)

// SiteText is what the operators say on the pages.
type SiteText struct {
	Name     string // privacy, a11y, a11y_url
	Language string // "" = all
	Body     string
	SetBy    string
	SetAt    time.Time
}

// ListSiteTexts returns all of them.
func (tx *Tx) ListSiteTexts() ([]SiteText, error) {
	rows, err := tx.rows(`SELECT name, language, body, set_by, set_at FROM site_texts ORDER BY name, language`)
	return list(rows, err, func(r *sql.Rows) (t SiteText, err error) {
		var at int64
		err = r.Scan(&t.Name, &t.Language, &t.Body, &t.SetBy, &at)
		t.SetAt = fromMs(at)
		return t, err
	})
}

// KeepSiteText writes t in place of what was there, at the transaction's time. One
// without a body is removed.
func (tx *Tx) KeepSiteText(t SiteText) error {
	if t.Body == "" {
		_, err := tx.exec(`DELETE FROM site_texts WHERE name = $1 AND language = $2`, t.Name, t.Language)
		return err
	}
	_, err := tx.exec(`INSERT INTO site_texts (name, language, body, set_by, set_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name, language) DO UPDATE SET body = EXCLUDED.body, set_by = EXCLUDED.set_by, set_at = EXCLUDED.set_at`, t.Name, t.Language, t.Body, t.SetBy, ms(tx.Now))
	return err
}
