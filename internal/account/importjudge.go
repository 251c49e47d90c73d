package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

// judge decides rows. It remembers, from batch to batch, which addresses came before.
type judge struct {
	how    Import
	seen   map[string]int    // line of the first row with an address
	groups map[string]filled // by name key; "#" is the one for everybody
}

func (g *judge) remember(row roster.Row) {
	if _, ok := g.seen[row.Address.Canonical()]; !ok {
		g.seen[row.Address.Canonical()] = row.Line
	}
}

func (g *judge) verdicts(tx *store.Tx, r reach, rows []roster.Row) ([]store.JobRow, error) {
	var addresses []string
	for _, row := range rows {
		if row.Problem == nil {
			addresses = append(addresses, row.Address.Canonical())
		}
	}
	users, err := tx.FindUsersByAddress(addresses)
	if err != nil {
		return nil, err
	}
	here := map[string]int{} // lines of this batch; a batch may be judged more than once
	out := make([]store.JobRow, len(rows))
	for i, row := range rows {
		v := ImportRow{Address: row.Address.String(), FirstName: clean(row.FirstName), LastName: clean(row.LastName), Language: row.Language, Named: row.Groups}
		if row.Address.IsZero() {
			v.Address = row.Typed
		}
		if err := g.decide(tx, r, &v, row, users, here); err != nil {
			return nil, err
		}
		if v.Verdict == store.RowError {
			v.Cells = row.Cells
		}
		if v.Verdict != store.RowCreate && v.Verdict != store.RowUpdate {
			v.Named = ""
		}
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		out[i] = store.JobRow{Line: row.Line, Verdict: v.Verdict, Data: string(data)}
	}
	return out, nil
}

func (v *ImportRow) wrong(key string, pairs ...string) {
	v.Verdict, v.Key, v.Args = store.RowError, key, map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Args[pairs[i]] = pairs[i+1]
	}
}

func (g *judge) decide(tx *store.Tx, r reach, v *ImportRow, row roster.Row, users map[string]store.User, here map[string]int) error {
	if p := row.Problem; p != nil {
		var pairs []string
		for k, x := range p.Args {
			pairs = append(pairs, k, fmt.Sprint(x))
		}
		v.wrong(p.Key, pairs...)
		return nil
	}
	canonical := row.Address.Canonical()
	first, before := g.seen[canonical]
	if !before {
		first, before = here[canonical], here[canonical] > 0
	}
	if before {
		v.wrong("ic.dup", "n", fmt.Sprint(first))
		return nil
	}
	here[canonical] = row.Line
	var p problems
	checkPerson(&p, v.FirstName, v.LastName)
	if err := p.err(); err != nil {
		f := fault.Of(err)
		v.wrong(f.Fields[0].Key)
		for k, x := range f.Fields[0].Args {
			v.Args[k] = fmt.Sprint(x)
		}
		return nil
	}
	u, exists := users[canonical]
	if exists && u.AccountID != r.number {
		// A look at a file does not tell who has a user elsewhere: the run does, and leaves a record
		// of it; an invitation works for them too.
		u, exists = store.User{}, false
	}
	if exists && !g.how.Update {
		v.Verdict = store.RowExists
		return nil
	}
	if ok, err := g.addGroups(tx, r, v, row, u); !ok || err != nil {
		return err
	}
	if !exists {
		v.Verdict = store.RowCreate
		return nil
	}
	v.Changes = changes(u, *v)
	v.Verdict = store.RowUpdate
	if len(v.Changes)+len(v.Groups) == 0 {
		v.Verdict = store.RowSame
	} else if err := r.below(tx, u); err != nil {
		v.wrong("rt.above", "name", u.Name())
	} else if len(v.Groups) > 0 && u.State != store.UserActive {
		v.wrong("people.blocked", "email", row.Address.String())
	} else if g, err := r.unpulled(tx, v.Groups, u); err != nil {
		return err
	} else if g != "" {
		v.wrong("im.nopull")
	}
	return nil
}

// changes are the names of what a row changes of a user. Who enrolled on their
// own says themself what they are called.
func changes(u store.User, v ImportRow) (out []string) {
	if !u.Managed {
		return nil
	}
	for _, c := range []struct{ key, was, is string }{
		{"seed.first_name", u.FirstName, v.FirstName}, {"seed.last_name", u.LastName, v.LastName}, {"adm.language", u.Language, v.Language},
	} {
		if c.is != "" && c.is != c.was {
			out = append(out, c.key)
		}
	}
	return out
}

// addGroups finds the groups that a row names and the person is not in, all of
// which the actor must be able to fill.
func (g *judge) addGroups(tx *store.Tx, r reach, v *ImportRow, row roster.Row, u store.User) (ok bool, err error) {
	ids := []string{}
	add := func(name, key string, find func() (store.Group, error)) (bool, error) {
		found, known := g.groups[key]
		if !known {
			if found, err = target(tx, r, find); err != nil {
				return false, err
			}
			g.groups[key] = found
		}
		switch {
		case found.beyond:
			v.wrong("ic.beyond", "name", name)
		case found.id == "":
			v.wrong("ic.nogroup", "name", name)
		case !slices.Contains(ids, found.id):
			ids = append(ids, found.id)
		}
		return found.id != "" && !found.beyond, nil
	}
	if g.how.GroupID != "" {
		ok, err := add("", "#", func() (store.Group, error) { return tx.FindGroup(r.number, g.how.GroupID) })
		if !ok || err != nil {
			return false, err
		}
	}
	for _, name := range roster.GroupNames(row.Groups) {
		key := groupKey(name)
		ok, err := add(name, key, func() (store.Group, error) { return tx.FindGroupByName(r.number, key) })
		if !ok || err != nil {
			return false, err
		}
	}
	if u.ID != "" && len(ids) > 0 {
		in, err := tx.ListGroupsOf(u.ID)
		if err != nil {
			return false, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			return slices.ContainsFunc(in, func(x store.Group) bool { return x.ID == id })
		})
	}
	v.Groups = ids
	return true, nil
}

// filled is a group that rows name: beyond what the actor may fill, or not there (id "").
type filled struct {
	id     string
	beyond bool
}

func target(tx *store.Tx, r reach, find func() (store.Group, error)) (filled, error) {
	g, err := find()
	if errors.Is(err, store.ErrNotFound) {
		return filled{}, nil
	} else if err != nil {
		return filled{}, err
	}
	may, err := r.may(tx, g, time.Time{})
	return filled{g.ID, !may}, err
}

// unpulled is the name of the first of some groups that the actor may not pull a
// user of the account into, "" for none.
func (r reach) unpulled(tx *store.Tx, groups []string, u store.User) (string, error) {
	for _, id := range groups {
		g, err := tx.FindGroup(r.number, id)
		if err != nil {
			return "", err
		}
		var no *refusal
		if err := r.mayPull(tx, g, u); errors.As(err, &no) {
			return g.Name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", nil
}
