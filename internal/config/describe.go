package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Example is the file with every key, its explanation and a value: what etc/pli.toml is.
func Example() string {
	var b strings.Builder
	b.WriteString("# Configuration of Pli. Check it with: pli config check --config FILE\n")
	b.WriteString("# Keys that begin with # have the value that they have when they are left out, or an example.\n")
	b.WriteString("# Relative paths are relative to this file. Secrets are never written here, only the names of their files.\n")
	for _, t := range tables {
		b.WriteByte('\n')
		comment(&b, t.doc)
		if t.name != "" {
			off := "# "
			if hasRequired(t.name) {
				off = ""
			}
			fmt.Fprintf(&b, "%s%s\n", off, heading(t.name))
		}
		for _, k := range inTable(t.name) {
			b.WriteByte('\n')
			comment(&b, k.doc)
			off := "# "
			if k.required {
				off = ""
			}
			fmt.Fprintf(&b, "%s%s = %s\n", off, k.name[len(prefix(t.name)):], k.sample())
		}
	}
	return b.String()
}

// Reference is the manual's page, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\nGenerated from the program; `go test ./internal/config -run TestReference -update` writes it again.\n\n")
	b.WriteString("The file is TOML. `pli serve`, `pli admin` and the other commands read the one named by `--config`, else by the\nenvironment variable `PLI_CONFIG`, else `/etc/pli/pli.toml`. An unknown key is an error, and all errors are told at once\n(`pli config check`). Relative paths are relative to the file. A secret is never a value: a key names the file that holds it.\n`pli config show` prints what is in force. An example with every key is `etc/pli.toml`.\n")
	for _, t := range tables {
		title := "General"
		if t.name != "" {
			title = "`" + heading(t.name) + "`"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n", title, t.doc)
		for _, k := range inTable(t.name) {
			def := "`" + literal(k.def) + "`"
			switch {
			case k.required:
				def = "required"
			case k.def == nil:
				def = "none"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.kind(), def, strings.ReplaceAll(k.doc, "|", "\\|"))
		}
	}
	return b.String()
}

// Show writes what is in force as TOML. There is no secret in it.
func (c *Config) Show(w io.Writer) error {
	var b strings.Builder
	for _, t := range tables {
		if listed(t.name) {
			continue
		}
		if t.name != "" {
			fmt.Fprintf(&b, "\n%s\n", heading(t.name))
		}
		for _, k := range inTable(t.name) {
			fmt.Fprintf(&b, "%s = %s\n", k.name[len(prefix(t.name)):], literal(k.field(c)))
		}
	}
	for _, o := range c.OIDC {
		fmt.Fprintf(&b, "\n%s\n", heading("oidc"))
		for _, k := range inTable("oidc") {
			fmt.Fprintf(&b, "%s = %s\n", k.name[len(prefix("oidc")):], literal(k.field(&Config{oidc: o})))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Values is what is in force, by key.
func (c *Config) Values() map[string]any {
	out := make(map[string]any, len(keys))
	for _, k := range keys {
		if !k.inList() {
			k.value(c, k.name, out)
		}
	}
	providers := []map[string]any{}
	for _, o := range c.OIDC {
		one := map[string]any{}
		for _, k := range inTable("oidc") {
			k.value(&Config{oidc: o}, k.name[len(prefix("oidc")):], one)
		}
		providers = append(providers, one)
	}
	out["oidc"] = providers
	return out
}

// value puts what is in force for a key into out.
func (k *key) value(c *Config, name string, out map[string]any) {
	switch f := k.field(c).(type) {
	case *string:
		out[name] = *f
	case *[]string:
		out[name] = append([]string{}, *f...)
	case *int64:
		out[name] = *f
	}
}

// Quote is s as a TOML string.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// literal is a value, or a pointer to one, in TOML.
func literal(v any) string {
	switch v := v.(type) {
	case *string:
		return Quote(*v)
	case *[]string:
		return literal(*v)
	case *int64:
		return literal(*v)
	case string:
		return Quote(v)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return `""`
}

func (k *key) sample() string {
	if k.example != "" {
		return k.example
	}
	if k.def == nil {
		return literal(k.field(&Config{}))
	}
	return literal(k.def)
}

func (k *key) kind() string {
	switch k.field(&Config{}).(type) {
	case *[]string:
		return "list of strings"
	case *int64:
		return "number"
	}
	switch {
	case len(k.choices) > 0:
		return "`" + strings.Join(k.choices, "`, `") + "`"
	case k.path:
		return "path"
	}
	return "string"
}

func prefix(table string) string {
	if table == "" {
		return ""
	}
	return table + "."
}

func inTable(table string) []*key {
	var out []*key
	for i := range keys {
		rest, ok := strings.CutPrefix(keys[i].name, prefix(table))
		if ok && !strings.Contains(rest, ".") {
			out = append(out, &keys[i])
		}
	}
	return out
}

func hasRequired(table string) bool {
	for _, k := range inTable(table) {
		if k.required {
			return true
		}
	}
	return false
}

// comment writes s as comment lines of at most 100 characters.
func comment(b *strings.Builder, s string) {
	line := "#"
	for _, word := range strings.Fields(s) {
		if len(line)+1+len(word) > 100 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
