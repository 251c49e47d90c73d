package account

import (
	"context"
	"errors"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// GroupsPage is a page of an account's groups by name. The built-in one stands
// first on the first page.
type GroupsPage struct {
	Groups []store.Group
	Next   string // cursor, "" on the last page
	Total  int    // on all pages
}

// nameKey is what of a name must be unique: neither case nor form counts.
func nameKey(name string) string { return cases.Fold().String(norm.NFKC.String(name)) }

// Groups lists groups whose name begins with query.
func (s *Service) Groups(ctx context.Context, actor Actor, number int64, query, after string, limit int) (GroupsPage, error) {
	limit = limited(limit)
	var out GroupsPage
	err := s.look(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account) error {
		out = GroupsPage{}
		from, err := position(after)
		if err != nil {
			return err
		}
		key := nameKey(clean(query))
		rows, err := tx.ListGroups(a.ID, key, from, limit+1)
		if err != nil {
			return err
		}
		out.Groups, out.Next = page(rows, limit, func(g store.Group) string { return g.NameKey })
		if out.Total, err = tx.CountGroups(a.ID, key); err != nil {
			return err
		}
		builtin, err := tx.FindBuiltinGroup(a.ID)
		if err != nil {
			return err
		}
		out.Total++
		if after == "" {
			out.Groups = append([]store.Group{builtin}, out.Groups...)
		}
		return nil
	})
	return out, err
}

// Group returns one group.
func (s *Service) Group(ctx context.Context, actor Actor, number int64, groupID string) (store.Group, error) {
	var out store.Group
	err := s.look(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = tx.FindGroup(a.ID, groupID)
		return err
	})
	return out, err
}

// GroupNamed returns the group of that name; the built-in one answers to its English name.
func (s *Service) GroupNamed(ctx context.Context, actor Actor, number int64, name string) (store.Group, error) {
	var out store.Group
	err := s.look(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = tx.FindGroupByName(a.ID, nameKey(clean(name)))
		return err
	})
	return out, err
}

func checkGroupName(name string) error {
	var p problems
	if name == "" {
		p.add("name", "people.nogroupname", nil)
	}
	if utf8.RuneCountInString(name) > maxName {
		p.add("name", "people.namelong", fault.Args{"n": maxName})
	}
	return p.err()
}

func groupTaken(name string, err error) error {
	if errors.Is(err, store.ErrTaken) {
		args := fault.Args{"name": name}
		return fault.New(fault.Conflict, "g.dup").With("name", name).In("name", "g.dup", args).Because(err)
	}
	return err
}

// AddGroup makes a group without members or rights.
func (s *Service) AddGroup(ctx context.Context, actor Actor, number int64, name string) (store.Group, error) {
	g := store.Group{ID: id.New(), AccountID: number, Name: clean(name)}
	g.NameKey = nameKey(g.Name)
	if err := checkGroupName(g.Name); err != nil {
		return store.Group{}, err
	}
	err := s.act(ctx, actor, groupAdd, number, func(tx *store.Tx, a store.Account) error {
		g.CreatedAt = tx.Now
		if err := tx.InsertGroup(g); err != nil {
			return err
		}
		return record(tx, actor, groupAdd, a.ID, g.Name)
	})
	return g, groupTaken(g.Name, err)
}

// plainGroup finds a group that may be renamed and deleted.
func plainGroup(tx *store.Tx, number int64, groupID string) (store.Group, error) {
	g, err := tx.FindGroup(number, groupID)
	if err == nil && g.Builtin {
		err = &refusal{fault.New(fault.Conflict, "g.nodelete"), number, g.Name}
	}
	return g, err
}

// RenameGroup gives a group another name. The built-in one keeps its own.
func (s *Service) RenameGroup(ctx context.Context, actor Actor, number int64, groupID, name string) (store.Group, error) {
	var g store.Group
	name = clean(name)
	if err := checkGroupName(name); err != nil {
		return g, err
	}
	err := s.act(ctx, actor, groupRename, number, func(tx *store.Tx, a store.Account) (err error) {
		if g, err = plainGroup(tx, a.ID, groupID); err != nil {
			return err
		}
		was := g.Name
		g.Name, g.NameKey = name, nameKey(name)
		if err := tx.RenameGroup(g.ID, g.Name, g.NameKey); err != nil {
			return err
		}
		return record(tx, actor, groupRename, a.ID, g.Name, "was", was)
	})
	return g, groupTaken(name, err)
}

// DeleteGroup deletes a group; its members remain users. It returns what was deleted.
func (s *Service) DeleteGroup(ctx context.Context, actor Actor, number int64, groupID string) (store.Group, error) {
	var g store.Group
	err := s.act(ctx, actor, groupDelete, number, func(tx *store.Tx, a store.Account) (err error) {
		if g, err = plainGroup(tx, a.ID, groupID); err != nil {
			return err
		}
		if err := tx.DeleteGroup(g.ID); err != nil {
			return err
		}
		return record(tx, actor, groupDelete, a.ID, g.Name)
	})
	return g, err
}
