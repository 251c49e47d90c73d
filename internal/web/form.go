package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
)

// Field is one input of a form, for the partial "field".
type Field struct {
	i18n.Printer
	ID, Name, Type, Label, Hint, Value, Error string
	Autocomplete, Inputmode, Pattern, Class   string
	Required, Readonly, Checked, Autofocus    bool
	Max, Rows                                 int
	Options                                   []Option
}

// Option is one choice of a select or of radio buttons.
type Option struct {
	Value, Text string
	Selected    bool
}

// Field makes the input called name with the catalogue text labelKey as its
// label. Pairs say the rest:
//
//	"hint" key            text below the label      "hinttext" string  the same, already said
//	"type" string         text, email, password, date, checkbox, textarea, select, search
//	"value" string        unless something was typed; "checked" bool
//	"required", "readonly", "autofocus" bool        "max", "rows" int
//	"autocomplete", "inputmode", "pattern", "class" string
//	"options" []Option    of a select
//
// A label may end in * as the seed writes it; other required fields are marked by the style sheet.
func (b *Base) Field(name, labelKey string, pairs ...any) (Field, error) {
	f := Field{Printer: b.Printer, ID: "f-" + name, Name: name, Type: "text", Label: b.T(labelKey)}
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := f.set(b, fmt.Sprint(pairs[i]), pairs[i+1]); err != nil {
			return f, fmt.Errorf("field %s: %w", name, err)
		}
	}
	f.Required = f.Required || strings.HasSuffix(f.Label, "*")
	// What another form of the page sent says nothing of this field; a box that is not ticked is not sent.
	if b.Input != nil && f.Type != "password" && (b.Input.Has(name) || f.Type == "checkbox") {
		typed := b.Input.Get(name)
		f.Checked = f.Type == "checkbox" && typed != ""
		if f.Type != "checkbox" {
			f.Value = typed
		}
		if f.Options = slices.Clone(f.Options); f.Options != nil {
			for i := range f.Options {
				f.Options[i].Selected = f.Options[i].Value == typed
			}
		}
	}
	if f.Type == "password" {
		f.Value = ""
	}
	f.Error = b.FieldError(name)
	if _, err := time.Parse(time.DateOnly, f.Value); err != nil && f.Type == "date" && f.Error != "" {
		f.Type = "text" // an input for a day shows nothing that is none
	}
	return f, nil
}

func (f *Field) set(b *Base, what string, v any) error {
	text := func(p *string) error {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s is %T, not a text", what, v)
		}
		*p = s
		return nil
	}
	flag := func(p *bool) error {
		s, ok := v.(bool)
		if !ok {
			return fmt.Errorf("%s is %T, not a yes or no", what, v)
		}
		*p = s
		return nil
	}
	number := func(p *int) error {
		n, ok := v.(int)
		if !ok {
			return fmt.Errorf("%s is %T, not a number", what, v)
		}
		*p = n
		return nil
	}
	switch what {
	case "hint":
		err := text(&f.Hint)
		f.Hint = b.T(f.Hint)
		return err
	case "hinttext":
		return text(&f.Hint)
	case "type":
		return text(&f.Type)
	case "value":
		return text(&f.Value)
	case "autocomplete":
		return text(&f.Autocomplete)
	case "inputmode":
		return text(&f.Inputmode)
	case "pattern":
		return text(&f.Pattern)
	case "class":
		return text(&f.Class)
	case "required":
		return flag(&f.Required)
	case "readonly":
		return flag(&f.Readonly)
	case "checked":
		return flag(&f.Checked)
	case "autofocus":
		return flag(&f.Autofocus)
	case "max":
		return number(&f.Max)
	case "rows":
		return number(&f.Rows)
	case "options":
		o, ok := v.([]Option)
		if !ok {
			return fmt.Errorf("options is %T", v)
		}
		f.Options = o
		return nil
	}
	return fmt.Errorf("unknown attribute %q", what)
}

// Marked reports whether the label gets an asterisk. It is drawn by the style
// sheet: the label's words stay what the catalogue says, and the seed's own
// asterisk is not doubled.
func (f Field) Marked() bool { return f.Required && !strings.HasSuffix(f.Label, "*") }

// DescribedBy lists the ids of the texts that explain the input.
func (f Field) DescribedBy() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.ID+"-h")
	}
	if f.Error != "" {
		ids = append(ids, f.ID+"-e")
	}
	return strings.Join(ids, " ")
}

// FieldError is what is wrong with the input called name, "" if nothing.
func (b *Base) FieldError(name string) string {
	if b.Problem == nil {
		return ""
	}
	for _, f := range b.Problem.Fields {
		if f.Name == name {
			return Say(b.Printer, f.Key, f.Args)
		}
	}
	return ""
}

// proveAgain is the failure of an act that asks for a recent proof of who acts.
const proveAgain = "second.again"

// ProblemLine is one line of the error summary.
type ProblemLine struct {
	Href, Text string
	Apart      bool // the link opens another tab, so that what was typed stays
}

// ProblemLines are the wrong fields, each with a link to its input; where no
// field is to blame, the failure's own text.
func (b *Base) ProblemLines() []ProblemLine {
	if b.Problem == nil {
		return nil
	}
	var out []ProblemLine
	if b.Problem.Key == proveAgain {
		return []ProblemLine{{Href: "/second?next=" + url.QueryEscape(b.Self), Text: b.T("second.apart"), Apart: true}}
	}
	if len(b.Problem.Fields) == 0 {
		return []ProblemLine{{Text: Say(b.Printer, b.Problem.Key, b.Problem.Args)}}
	}
	for _, f := range b.Problem.Fields {
		out = append(out, ProblemLine{Href: "#f-" + f.Name, Text: Say(b.Printer, f.Key, f.Args)})
	}
	return out
}

// Say fills a failure's text. A placeholder {field} whose value is the
// catalogue key of a label becomes that label, without the seed's asterisk.
func Say(p i18n.Printer, key string, args fault.Args) string {
	filled := make(map[string]any, len(args))
	for name, v := range args {
		if s, ok := v.(string); ok && name == "field" {
			v = strings.TrimSuffix(p.T(s), "*")
		}
		filled[name] = v
	}
	return p.Say(key, filled)
}
