package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/policy"
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
func nameKey(name string) string { return policy.GroupKey(name) }

// groupKey is the key of a group that is named, the built-in one in any language.
func groupKey(name string) string {
	key := nameKey(clean(name))
	for _, builtin := range builtinNames {
		if key == nameKey(builtin) {
			return nameKey(AdministratorsName)
		}
	}
	return key
}

// Groups lists groups whose name begins with query. Who has a right over some
// groups only sees these.
func (s *Service) Groups(ctx context.Context, actor Actor, number int64, query, after string, limit int) (GroupsPage, error) {
	limit = limited(limit)
	var out GroupsPage
	err := s.lookWithin(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = GroupsPage{}
		list := keyset.Of("groups", number)
		from, err := list.Key(after)
		if err != nil {
			return err
		}
		key := nameKey(clean(query))
		if !r.all {
			if out.Groups, err = r.own(tx, key); err != nil {
				return err
			}
			for i := range out.Groups {
				if err := countMembers(tx, &out.Groups[i]); err != nil {
					return err
				}
			}
			out.Total = len(out.Groups)
			return nil
		}
		rows, err := tx.ListGroupsCounted(a.ID, key, from, limit+1)
		if err != nil {
			return err
		}
		out.Groups, out.Next = keyset.Page(list, rows, limit, func(g store.Group) string { return g.NameKey })
		if out.Total, err = tx.CountGroups(a.ID, key); err != nil {
			return err
		}
		out.Total = min(out.Total+1, store.MaxCount+1)
		if after == "" {
			builtin, err := tx.FindBuiltinGroup(a.ID)
			if err != nil {
				return err
			}
			if err := countMembers(tx, &builtin); err != nil {
				return err
			}
			out.Groups = append([]store.Group{builtin}, out.Groups...)
		}
		return nil
	})
	return out, err
}

// GroupChoices lists groups to choose from: the first of an account by name, the
// built-in one before them, without how many members they have.
func (s *Service) GroupChoices(ctx context.Context, actor Actor, number int64, limit int) (out []store.Group, err error) {
	err = s.lookWithin(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account, r reach) error {
		if !r.all {
			out, err = r.own(tx, "")
			return err
		}
		builtin, err := tx.FindBuiltinGroup(a.ID)
		if err != nil {
			return err
		}
		rows, err := tx.ListGroups(a.ID, "", "", limit)
		out = append([]store.Group{builtin}, rows...)
		return err
	})
	return out, err
}

func countMembers(tx *store.Tx, g *store.Group) (err error) {
	g.Members, err = tx.CountMembers(g.ID)
	return err
}

// own lists the groups that the actor reaches, where these are not all.
func (r reach) own(tx *store.Tx, key string) ([]store.Group, error) {
	var out []store.Group
	for _, id := range r.groups {
		g, err := tx.FindGroup(r.number, id)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(g.NameKey, key) && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b store.Group) int { return strings.Compare(a.NameKey, b.NameKey) })
	return out, nil
}

// Group returns one group.
func (s *Service) Group(ctx context.Context, actor Actor, number int64, groupID string) (store.Group, error) {
	var out store.Group
	err := s.lookWithin(ctx, actor, groupView, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		out, err = r.countedGroup(tx, groupID)
		return err
	})
	return out, err
}

// GroupNamed returns the group of that name; the built-in one answers to its English name.
func (s *Service) GroupNamed(ctx context.Context, actor Actor, number int64, name string) (store.Group, error) {
	var out store.Group
	err := s.lookWithin(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if out, err = tx.FindGroupByName(a.ID, groupKey(name)); err == nil {
			out, err = r.countedGroup(tx, out.ID)
		}
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
	for _, builtin := range builtinNames {
		if skeleton(name) == skeleton(builtin) {
			return groupTaken(builtin, store.ErrTaken)
		}
	}
	if word := mixed(name); word != "" {
		p.add("name", "people.mixed", fault.Args{"word": word})
	}
	return p.err()
}

// builtinNames are what the built-in group is called in the languages of the pages (seed.admins):
// no other group is.
var builtinNames = []string{AdministratorsName, "Administrateurs de compte"}

// skeleton is what a name looks like at a glance: its letters and digits alone, without
// case and accents.
func skeleton(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'ı':
			return 'i'
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			return -1
		}
		return r
	}, norm.NFKD.String(nameKey(name)))
}

// mixed is the first word of a name that mixes letters of several scripts, "" for
// none: so would one group be taken for another (Unicode Technical Standard 39,
// section 5.1; those of Japanese go together).
func mixed(name string) string {
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) {
		seen := map[string]bool{}
		for _, c := range word {
			for script, table := range unicode.Scripts {
				if !unicode.Is(table, c) {
					continue
				}
				switch script {
				case "Common", "Inherited":
				case "Hiragana", "Katakana":
					seen["Han"] = true
				default:
					seen[script] = true
				}
			}
		}
		if len(seen) > 1 {
			return word
		}
	}
	return ""
}

// blank reports whether a character of a name shows nothing though it is no space:
// Hangul's fillers and the empty Braille cell.
func blank(r rune) bool {
	return r == '\u115F' || r == '\u1160' || r == '\u3164' || r == '\uFFA0' || r == '\u2800'
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

// plainGroup finds a group that the actor may rename and delete: not the
// built-in one, and none whose members have more than the actor.
func (r reach) plainGroup(tx *store.Tx, groupID string) (store.Group, error) {
	if err := r.whole(); err != nil {
		return store.Group{}, err
	}
	g, err := tx.FindGroup(r.number, groupID)
	if err == nil && g.Builtin {
		err = &refusal{fault.New(fault.Conflict, "g.nodelete"), r.number, g.Name}
	}
	if err == nil {
		err = r.mayChange(tx, g, time.Time{})
	}
	if err == nil {
		err = r.unchanged(GroupRevision(g))
	}
	if err == nil {
		err = countMembers(tx, &g)
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
	err := s.actWithin(ctx, actor, groupRename, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if g, err = r.plainGroup(tx, groupID); err != nil {
			return err
		}
		if nameKey(name) != g.NameKey {
			if err := unruled(tx, g); err != nil {
				return err
			}
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

// DeleteGroup deletes a group, and the rights that were confined to it; its
// members remain users. It returns what was deleted.
func (s *Service) DeleteGroup(ctx context.Context, actor Actor, number int64, groupID string) (store.Group, error) {
	var g store.Group
	err := s.actWithin(ctx, actor, groupDelete, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if g, err = r.plainGroup(tx, groupID); err != nil {
			return err
		}
		if err := unruled(tx, g); err != nil {
			return err
		}
		over, err := tx.ListGrantsOver(g.ID) // they end with the group
		if err != nil {
			return err
		}
		for _, x := range over {
			if !r.gives(x, time.Time{}) {
				return r.beyond(g.Name)
			}
		}
		if err := tx.DeleteGroup(g.ID); err != nil {
			return err
		}
		return record(tx, actor, groupDelete, a.ID, g.Name)
	})
	return g, err
}

// GroupName is how a group is called: the built-in one in the reader's language.
func GroupName(p i18n.Printer, g store.Group) string {
	if g.Builtin {
		return p.T("seed.admins")
	}
	return g.Name
}
