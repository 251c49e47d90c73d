package store

import (
	"net/netip"
	"time"
)

// Throttle is one counter. What it counts is in its name.
type Throttle struct {
	Name  string
	Count int
	Since time.Time // of the first count, or of the last, as its keeper likes
	Until time.Time // refused before this time
}

// Hit counts one event under name in a window of fixed length that begins with
// its first event. It reports whether that is within limit, and if not, how
// long until the window ends. It counts only if the transaction commits: a
// caller that refuses must do so after the commit.
func (tx *Tx) Hit(name string, window time.Duration, limit int) (allowed bool, retryAfter time.Duration, err error) {
	now, start := ms(tx.Now), ms(tx.Now.Add(-window))
	var count int
	var since int64
	err = tx.row(`INSERT INTO throttles (name, count, since, until) VALUES ($1, 1, $2, 0)
		ON CONFLICT (name) DO UPDATE SET
			count = CASE WHEN throttles.since <= $3 THEN 1 ELSE throttles.count + 1 END,
			since = CASE WHEN throttles.since <= $3 THEN $2 ELSE throttles.since END
		RETURNING count, since`, name, now, start).Scan(&count, &since)
	if err != nil {
		return false, 0, err
	}
	if count <= limit {
		return true, 0, nil
	}
	return false, fromMs(since).Add(window).Sub(tx.Now), nil
}

// LockThrottle returns the counter under name, held until the transaction ends;
// one that was never written is zero, and is written first so that there is a row to hold.
func (tx *Tx) LockThrottle(name string) (Throttle, error) {
	if _, err := tx.exec(`INSERT INTO throttles (name, count, since, until) VALUES ($1, 0, $2, 0)
		ON CONFLICT (name) DO NOTHING`, name, ms(tx.Now)); err != nil {
		return Throttle{}, err
	}
	t := Throttle{Name: name}
	var since, until int64
	err := tx.row(`SELECT count, since, until FROM throttles WHERE name = $1`+tx.dialect.forUpdate, name).Scan(&t.Count, &since, &until)
	t.Since, t.Until = fromMs(since), fromMs(until)
	return t, found(err)
}

// FindThrottle returns the counter under name, zero when there is none.
func (tx *Tx) FindThrottle(name string) (Throttle, error) {
	t := Throttle{Name: name}
	var since, until int64
	err := found(tx.row(`SELECT count, since, until FROM throttles WHERE name = $1`, name).Scan(&t.Count, &since, &until))
	if err == ErrNotFound {
		return t, nil
	}
	t.Since, t.Until = fromMs(since), fromMs(until)
	return t, err
}

// PutThrottle writes a counter.
func (tx *Tx) PutThrottle(t Throttle) error {
	_, err := tx.exec(`INSERT INTO throttles (name, count, since, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET count = $2, since = $3, until = $4`, t.Name, t.Count, ms(t.Since), ms(t.Until))
	return err
}

// DeleteThrottle forgets the counter under name.
func (tx *Tx) DeleteThrottle(name string) error {
	_, err := tx.exec(`DELETE FROM throttles WHERE name = $1`, name)
	return err
}

// DeleteOldThrottles forgets counters that began before t and hold nobody back now.
func (tx *Tx) DeleteOldThrottles(t time.Time) (int64, error) {
	return tx.exec(`DELETE FROM throttles WHERE since < $1 AND until <= $2`, ms(t), ms(tx.Now))
}

// Network is the part of a network address that belongs to one subscriber, /24
// or /64, as counters name it. What is no address ("terminal") is its own network.
func Network(origin string) string {
	if ap, err := netip.ParseAddrPort(origin); err == nil {
		origin = ap.Addr().String()
	}
	a, err := netip.ParseAddr(origin)
	if err != nil {
		return origin
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return origin
	}
	return p.String()
}
