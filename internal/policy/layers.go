package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Layer is what one layer says: values by name. What is not in it, it does not say.
type Layer map[string]string

// From names a layer, or the default, which is what holds where none says anything.
type From string

// The layers, from above.
const (
	FromDefault From = "default"
	FromSite    From = "site"    // operators, for all accounts
	FromLimits  From = "limits"  // operators, for one account
	FromAccount From = "account" // its administrators
	FromGroup   From = "group"   // its administrators, for what members of a group send
)

// says is what a layer says of a setting, below f, which holds above it.
func (l Layer) says(x Setting, f Found) (string, bool) {
	if v, said := l[x.Name]; said {
		return v, true
	}
	asks, ok := FindSetting(delays[x.Name])
	if v, said := l[asks.Name]; ok && said && f.From == FromDefault && asks.Looser(asks.Default, v) {
		return x.Default, true
	}
	return "", false
}

// Found is a setting as it holds, and who says so.
type Found struct {
	Value string
	From  From
}

// Stack is all layers of an account; Groups those of the groups that somebody is in.
type Stack struct {
	Site, Limits, Account Layer
	Groups                []Layer
}

// Effective is what holds in the end. Of the site's, the account's limits and
// its own, the first that says something decides, and each below may only
// tighten; groups may only tighten what holds without them, in any order.
func Effective(site, limits, account Layer, groups ...Layer) Settings {
	return Stack{site, limits, account, groups}.Settings()
}

// Settings is Effective.
func (k Stack) Settings() Settings {
	var s Settings
	for _, x := range Table {
		x.put(&s, k.find(x).Value)
	}
	return s
}

// Find is one setting as it holds.
func (k Stack) Find(name string) Found {
	x, ok := FindSetting(name)
	if !ok {
		return Found{}
	}
	return k.find(x)
}

func (k Stack) find(x Setting) Found {
	f := k.alone(x)
	if above, ok := capped[x.Name]; ok {
		y, _ := FindSetting(above)
		if most := k.alone(y); x.Looser(f.Value, most.Value) {
			f = most
		}
	}
	return f
}

// alone is find without what caps it.
func (k Stack) alone(x Setting) Found {
	f := Found{x.Default, FromDefault}
	tighten := func(from From, l Layer) {
		v, said := l.says(x, f)
		if said && x.In(from) && (f.From == FromDefault && from != FromGroup || x.Looser(f.Value, v)) {
			f = Found{v, from}
		}
	}
	tighten(FromSite, k.Site)
	tighten(FromLimits, k.Limits)
	tighten(FromAccount, k.Account)
	for _, g := range k.Groups {
		tighten(FromGroup, g)
	}
	return f
}

// Above is the stack of the layers above one.
func (k Stack) Above(layer From) Stack {
	switch layer {
	case FromSite:
		return Stack{}
	case FromLimits:
		return Stack{Site: k.Site}
	case FromAccount:
		return Stack{Site: k.Site, Limits: k.Limits}
	}
	return Stack{Site: k.Site, Limits: k.Limits, Account: k.Account}
}

// Bound is the loosest value that a layer may say for a setting; From is
// FromDefault where it is free. What caps it by default binds nobody, and hides no
// bound: the layer may say another.
func (k Stack) Bound(name string, layer From) Found {
	x, ok := FindSetting(name)
	if !ok {
		return Found{}
	}
	above := k.Above(layer)
	f := above.alone(x)
	if y, ok := FindSetting(capped[name]); ok {
		if most := above.alone(y); most.From != FromDefault && x.Looser(f.Value, most.Value) {
			f = most
		}
	}
	if layer == FromGroup && f.From == FromDefault {
		f.From = FromAccount // who could have said otherwise, and did not
	}
	return f
}

// Layer is the one of that name; a group's is the first.
func (k Stack) Layer(from From) Layer {
	switch from {
	case FromSite:
		return k.Site
	case FromLimits:
		return k.Limits
	case FromAccount:
		return k.Account
	}
	if len(k.Groups) > 0 {
		return k.Groups[0]
	}
	return nil
}

// With is the stack with another layer of that name.
func (k Stack) With(from From, l Layer) Stack {
	switch from {
	case FromSite:
		k.Site = l
	case FromLimits:
		k.Limits = l
	case FromAccount:
		k.Account = l
	default:
		k.Groups = []Layer{l}
	}
	return k
}

// Conflict is why a layer cannot say something.
type Conflict struct {
	Name, Value string
	// Most is what the layer above, From, allows; "" where the value is none.
	Most string
	From From
}

// Check returns what is wrong with those of a layer's values that changed.
func (k Stack) Check(layer From, changed []string) []Conflict {
	var out []Conflict
	for _, name := range changed {
		v, said := k.Layer(layer)[name]
		x, known := FindSetting(name)
		_, is := x.looseness(v)
		switch bound := k.Bound(name, layer); {
		case known && !said:
		case !known || !x.In(layer) || !is:
			out = append(out, Conflict{Name: name, Value: v})
		case bound.From != FromDefault && x.Looser(v, bound.Value):
			out = append(out, Conflict{name, v, bound.Value, bound.From})
		case capped[name] != "":
			if most := k.Find(capped[name]); x.Looser(v, most.Value) {
				out = append(out, Conflict{name, v, most.Value, most.From})
			}
		}
	}
	return out
}

// ReadStack reads an account's layers as the store gives them: a list of the
// site's, its limits and its own, or its own alone.
func ReadStack(text string) (k Stack, err error) {
	if text == "" {
		return k, nil
	}
	if text[0] != '[' {
		k.Account, err = ReadLayer(text)
		return k, err
	}
	list := []*Layer{&k.Site, &k.Limits, &k.Account}
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 3 {
		return Stack{}, fmt.Errorf("read settings: %w", err)
	}
	return k, nil
}

// ReadSettings is what holds by an account's layers as the store gives them.
func ReadSettings(text string) (Settings, error) {
	k, err := ReadStack(text)
	return k.Settings(), err
}

// ReadLayer reads a layer as Encode writes it; "" says nothing.
func ReadLayer(text string) (l Layer, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return l, nil
}

// ReadLayers reads the layers of groups.
func ReadLayers(texts []string) ([]Layer, error) {
	out := make([]Layer, 0, len(texts))
	for _, text := range texts {
		l, err := ReadLayer(text)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// Encode writes a layer as ReadLayer reads it; what says nothing is "".
func (l Layer) Encode() string {
	if len(l) == 0 {
		return ""
	}
	return encode(map[string]string(l))
}

// UnmarshalJSON reads also what was written before there were layers: numbers and
// yes or no as such, and no_reply and no_online for what is forbidden.
func (l *Layer) UnmarshalJSON(text []byte) error {
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	if len(raw) == 0 {
		*l = nil
		return nil
	}
	out := make(Layer, len(raw))
	for name, v := range raw {
		value := fmt.Sprint(v)
		if n, ok := v.(float64); ok {
			value = strconv.FormatFloat(n, 'f', -1, 64)
		}
		switch name {
		case "no_reply", "no_online":
			name, value = name[len("no_"):], strconv.FormatBool(value != "true")
		}
		x, ok := FindSetting(name)
		if !ok {
			continue // of another version
		}
		if _, ok := x.looseness(value); !ok {
			return fmt.Errorf("setting %s is %q", name, value)
		}
		out[name] = value
	}
	*l = out
	return nil
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing in these types cannot be written
	}
	return string(b)
}
