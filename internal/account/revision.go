package account

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// UserRevision names the state of a user that an act depends on: who saw it and
// acts on it is told if it has changed since.
func UserRevision(u store.User) string {
	return revision(u.ID, u.Address, u.FirstName, u.LastName, u.Language, u.State, u.Temporary, u.TemporaryUntil, u.Managed)
}

// GroupRevision is UserRevision of a group, without its members and rights.
func GroupRevision(g store.Group) string { return revision(g.ID, g.Name) }

// ProfileRevision is UserRevision of an account's name, language, time zone and contacts.
func ProfileRevision(a store.Account) string {
	return revision(a.ID, a.Name, a.Language, a.TimeZone, a.Contacts)
}

// rightsRevision is UserRevision of the rights of a group's members.
func rightsRevision(groupID string, grants []store.Grant) string {
	grants = slices.SortedFunc(slices.Values(grants), func(a, b store.Grant) int {
		return cmp.Or(strings.Compare(a.Right, b.Right), strings.Compare(a.Scope, b.Scope))
	})
	return revision(groupID, grants)
}

func revision(parts ...any) string {
	raw, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings, times and grants can be written
	}
	h := sha256.Sum256(raw)
	return hex.EncodeToString(h[:12])
}

// unchanged refuses an act on what is not as the actor last saw it, in the
// transaction that acts.
func (r reach) unchanged(now string) error { return r.actor.unchanged(now) }

func (a Actor) unchanged(now string) error {
	if a.IfMatch == "" || a.IfMatch == now {
		return nil
	}
	return fault.New(fault.Stale, "api.stale")
}
