package store

// Logo is the picture of an account.
type Logo struct {
	Digest    string // SHA-256 in hex, of Body
	MediaType string
	Body      []byte
	Mail      []byte // PNG, nil where mails carry none
}

// SetBrand replaces how an account looks; key is the folded name in it, "" for none.
func (tx *Tx) SetBrand(number int64, brand, key string) error {
	n, err := tx.exec(`UPDATE accounts SET brand = $1, brand_key = $2 WHERE id = $3`, brand, key, number)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// HasAccountNamed reports whether another account than number has that folded
// name, or looks as if it had.
func (tx *Tx) HasAccountNamed(key string, number int64) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM accounts WHERE id <> $1 AND (name_key = $2 OR brand_key = $2)`, number, key).Scan(&n)
	return n > 0, err
}

// SetLogo gives an account another logo.
func (tx *Tx) SetLogo(number int64, l Logo) error {
	_, err := tx.exec(`INSERT INTO logos (account_id, hash, media_type, body, mail) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, media_type = excluded.media_type, body = excluded.body, mail = excluded.mail`,
		number, l.Digest, l.MediaType, l.Body, l.Mail)
	return err
}

// DeleteLogo removes an account's logo, if it has one.
func (tx *Tx) DeleteLogo(number int64) error {
	_, err := tx.exec(`DELETE FROM logos WHERE account_id = $1`, number)
	return err
}

// FindLogo returns a logo by its hash, whoever has it.
func (tx *Tx) FindLogo(hash string) (l Logo, err error) {
	err = tx.row(`SELECT hash, media_type, body FROM logos WHERE hash = $1 LIMIT 1`, hash).Scan(&l.Digest, &l.MediaType, &l.Body)
	return l, found(err)
}

// MailLogo returns the picture that an account's mails carry with the logo of
// that hash, nil for none.
func (tx *Tx) MailLogo(number int64, hash string) (picture []byte, err error) {
	err = tx.row(`SELECT mail FROM logos WHERE account_id = $1 AND hash = $2`, number, hash).Scan(&picture)
	if found(err) == ErrNotFound {
		return nil, nil
	}
	return picture, err
}
