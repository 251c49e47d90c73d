package console_test

import (
	"compress/gzip"
	"fmt"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// size is how much an account holds.
type size struct{ users, groups, members int }

// A million, and what it is compared with. Group 0 has a hundredth of all users
// in it, a thousand at least, so that a search in it fills a page of either; the others share the rest of the memberships.
var sizes = [2]size{{1000, 100, 6000}, {1_000_000, 100_000, 5_000_000}}

// Twenty names of six letters each.
const (
	firsts = "aminaabjoernclairedilaraelenaafelixxgretaahannesinesssjonassklaraalucienmarieenilsssolgaaapaulaarosaaastefantanjaayannis"
	lasts  = "bakkerbonnetduboisfabergfischegarciaheinzejansenkoehlekowalslambermartinmeyersnowakkpetitsrossiischulzsilvaawagnerweberr"
)

// filled is an account of that size, and its administrator's browser.
type filled struct {
	size
	*webtest.Browser
	at string // its path in the console
}

func hex(n string) string { return `'0000000000000000000000' || (1000000000 + ` + n + `)` } // an identifier

// fill makes an account of that size with SQL alone, as a service that has run for years would have it.
func fill(b *testing.B, engine string, db *store.DB, s size) filled {
	b.Helper()
	h := furnished(b, webtest.On(b, db))
	before, octets := "", func(text string) string { return "CAST(" + text + " AS BLOB)" }
	if engine == "postgres" {
		before = "SET session_replication_role = replica; " // or each of ten million references is looked up
		octets = func(text string) string { return "convert_to(" + text + ", 'UTF8')" }
	}
	count := func(n int) string {
		return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) ", n)
	}
	word := func(words, n string) string { // one of twenty of six letters
		return "substr('" + words + "', 1 + 6 * CAST(" + n + " % 20 AS INTEGER), 6)"
	}
	many := max(s.users/100, 1000)
	per := (s.members-many)/(s.groups-1) + 1
	for _, statement := range []string{
		count(s.users) + `INSERT INTO users (id, account_id, managed, address, display_address, first_name, last_name, language, time_zone, theme, notify_opened,
			password_hash, temporary, temporary_until, state, welcomed_at, last_sign_in_at, created_at, name_key, last_name_key, named)
			SELECT ` + hex("i") + fmt.Sprintf(`, %d, 1, f || '.' || l || i || '@example.org', f || '.' || l || i || '@example.org', f, l, 'en', 'Europe/Paris', 'auto', 0,
			'', 0, 0, CASE WHEN i %% 16 = 7 THEN 'locked' ELSE 'active' END, 1, 1, 1, %s, %s, 1 FROM (SELECT i, `, webtest.Account, octets("f || ' ' || l"), octets("l")) +
			word(firsts, "(i * 7)") + ` AS f, ` + word(lasts, "(i / 20 * 11)") + ` AS l FROM n) AS people`,
		count(s.groups) + `INSERT INTO user_groups (id, account_id, name, name_key, builtin, created_at)
			SELECT ` + hex("i") + fmt.Sprintf(`, %d, 'Group ' || (1000000 + i), 'group ' || (1000000 + i), 0, 1 FROM n`, webtest.Account),
		count(many) + `INSERT INTO memberships (group_id, user_id, address, added_at) SELECT ` + hex("0") + fmt.Sprintf(`, u.id, u.address, 1
			FROM n JOIN users u ON u.id = `+hex("n.i * 7919 %% %d"), s.users),
		count(s.members-many) + fmt.Sprintf(`INSERT INTO memberships (group_id, user_id, address, added_at) SELECT m.g, u.id, u.address, 1 FROM
			(SELECT `+hex("(1 + i / %d)")+` AS g, `+hex("((i / %d) * 7919 + (i %% %d) * 104729) %% %d")+` AS u FROM n) AS m JOIN users u ON u.id = m.u
			WHERE true ON CONFLICT DO NOTHING`, per, per, per, s.users),
		`ANALYZE`,
	} {
		storetest.Exec(b, db, before+statement)
	}
	browser := h.Browser(b)
	browser.SignIn(b, webtest.Admin)
	return filled{s, browser, fmt.Sprintf("/admin/accounts/%d", webtest.Account)}
}

// group is the path of one of the groups.
func (f filled) group(i int) string {
	return fmt.Sprintf("%s/groups/0000000000000000000000%d", f.at, 1000000000+i%f.groups)
}

// address is that of one of the users.
func (f filled) address(i int) string {
	i %= f.users
	name := func(names string, n int) string { return names[n%20*6:][:6] }
	return fmt.Sprintf("%s.%s%d@example.org", name(firsts, i*7), name(lasts, i/20*11), i)
}

// person is the identifier of one of the users.
func (f filled) person(i int) string {
	return fmt.Sprintf("0000000000000000000000%d", 1000000000+i*7919%f.users)
}

// BenchmarkConsole asks for pages of an account of a million users, and of one of a thousand in turn; the
// goal is at most 1.5 times as long at the 99th percentile (performance.md, P9).
func BenchmarkConsole(b *testing.B) {
	small, large := storetest.Engines(b), storetest.Engines(b)
	for engine := range small {
		b.Run(engine, func(b *testing.B) {
			both := []filled{fill(b, engine, small[engine], sizes[0]), fill(b, engine, large[engine], sizes[1])}
			get := func(path func(f filled, i int) string) func(*testing.B, filled, int) webtest.Answer {
				return func(b *testing.B, f filled, i int) webtest.Answer { return f.Get(b, path(f, i)) }
			}
			for _, op := range []struct {
				name   string
				do     func(*testing.B, filled, int) webtest.Answer
				status int
			}{
				{"overview", get(func(f filled, _ int) string { return f.at }), 200},
				{"users", get(func(f filled, _ int) string { return f.at + "/users" }), 200},
				{"users-last", get(func(f filled, _ int) string {
					return f.at + "/users?after=" + keyset.Of("users", path.Base(f.at)).Cursor("tanjaa")
				}), 200},
				{"users-address", get(func(f filled, i int) string {
					return fmt.Sprintf("%s/users?q=aminaa.bakker%d", f.at, i*400%f.users)
				}), 200},
				{"users-name", get(func(f filled, _ int) string { return f.at + "/users?q=mar" }), 200},
				{"users-blocked", get(func(f filled, _ int) string { return f.at + "/users?status=blocked" }), 200},
				{"groups", get(func(f filled, _ int) string { return f.at + "/groups" }), 200},
				{"groups-last", get(func(f filled, _ int) string {
					return f.at + "/groups?after=" + keyset.Of("groups", path.Base(f.at)).Cursor(fmt.Sprint("group ", 1000000+f.groups-52))
				}), 200},
				{"groups-name", get(func(f filled, i int) string {
					return fmt.Sprintf("%s/groups?q=group+%d", f.at, 1000000+i*37%f.groups)
				}), 200},
				{"members", get(func(f filled, i int) string { return f.group(i*37) + "/members" }), 200},
				{"members-many", get(func(f filled, _ int) string { return f.group(0) + "/members" }), 200},
				{"members-find", get(func(f filled, i int) string {
					return fmt.Sprintf("%s/members?q=aminaa.bakker%d", f.group(0), i*400%f.users)
				}), 200},
				{"members-name", get(func(f filled, i int) string { return f.group(0) + "/members?q=mar" }), 200},
				{"rights", get(func(f filled, i int) string { return f.at + "/users/" + f.person(i) }), 200},
				{"add", func(b *testing.B, f filled, i int) webtest.Answer { // each time another, who is not in it
					return f.Post(b, f.group(i*41+1)+"/members", "user", f.address(i*16)) // none of these is blocked
				}, 303},
			} {
				b.Run(op.name, func(b *testing.B) {
					var took [2][]time.Duration
					packed := 0
					i := 0
					for b.Loop() {
						for k := range both {
							which := (k + i) % 2 // neither is always the first
							begun := time.Now()
							a := op.do(b, both[which], i)
							took[which] = append(took[which], time.Since(begun))
							if a.Status != op.status {
								b.Fatalf("%d users: %d %s", both[which].users, a.Status, a.Body)
							}
							if which == 1 && i == 0 {
								packed = zipped(a.Body)
							}
						}
						i++
					}
					var p99, p50 [2]float64
					for k := range both {
						slices.Sort(took[k])
						p50[k] = float64(took[k][len(took[k])/2].Microseconds()) / 1000
						p99[k] = float64(took[k][len(took[k])*99/100].Microseconds()) / 1000
						b.ReportMetric(p50[k], fmt.Sprintf("p50-ms/%d", both[k].users))
						b.ReportMetric(p99[k], fmt.Sprintf("p99-ms/%d", both[k].users))
					}
					b.ReportMetric(p50[1]/p50[0], "p50-ratio")
					b.ReportMetric(p99[1]/p99[0], "p99-ratio")
					b.ReportMetric(float64(packed)/1000, "kB-gzip")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}

// zipped is how many octets a page has on its way.
func zipped(body string) int {
	var n counter
	z := gzip.NewWriter(&n)
	fmt.Fprint(z, body)
	z.Close()
	return int(n)
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
