package store

import "time"

// usageParts is of how many rows an account's usage is the sum.
const usageParts = 16

// Usage is what an account uses of its quotas, or what an act adds to that.
type Usage struct {
	Users     int64
	Bytes     int64 // of kept ciphertext, and of large files as announced
	Envelopes int64 // of the day
}

// usageDay is a time's day in UTC.
func usageDay(t time.Time) int64 { return t.Unix() / 86400 }

// AddUsage counts what an act adds; what it takes away is negative. With exact,
// other acts that are exact wait until the transaction ends, so that Usage then is.
func (tx *Tx) AddUsage(account int64, u Usage, exact bool) error {
	return tx.addUsage(account, u, usageDay(tx.Now), exact)
}

func (tx *Tx) addUsage(account int64, u Usage, day int64, exact bool) error {
	part := int64(0)
	if !exact && tx.dialect.forUpdate != "" { // else one writes at a time, and nobody waits
		part = tx.Now.UnixMilli() % usageParts
	}
	_, err := tx.exec(`INSERT INTO account_usage (account_id, part, users, bytes, day, envelopes) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account_id, part) DO UPDATE SET users = account_usage.users + $3, bytes = account_usage.bytes + $4,
			envelopes = CASE WHEN account_usage.day = $5 THEN account_usage.envelopes + $6 WHEN account_usage.day < $5 THEN $6 ELSE account_usage.envelopes END,
			day = CASE WHEN account_usage.day < $5 THEN $5 ELSE account_usage.day END`,
		account, part, u.Users, u.Bytes, day, u.Envelopes)
	return err
}

// Usage returns what an account uses.
func (tx *Tx) Usage(account int64) (u Usage, err error) {
	err = tx.row(`SELECT COALESCE(SUM(users), 0), COALESCE(SUM(bytes), 0), COALESCE(SUM(CASE WHEN day = $2 THEN envelopes ELSE 0 END), 0)
		FROM account_usage WHERE account_id = $1`, account, usageDay(tx.Now)).Scan(&u.Users, &u.Bytes, &u.Envelopes)
	return u, err
}
