package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/config"
)

const work = `
[[oidc]]
name = "work"
issuer = "https://login.example.org/realms/staff"
client_id = "pli"
client_secret_file = "oidc"
domains = ["Example.org", "bücher.example"]
`

func TestProviders(t *testing.T) {
	t.Parallel()
	text := config.Example() + work + strings.ReplaceAll(work, "work", "other") + "label = \"Other\"\n"
	text = strings.Replace(text, "login.example.org/realms/staff\"\nclient_id = \"pli\"\nclient_secret_file = \"oidc\"\ndomains = [\"Example.org\", \"bücher.example\"]\nlabel",
		"accounts.example\"\nclient_id = \"x\"\ndomains = [\"example.net\"]\nlabel", 1)
	c, err := config.Parse("/etc/pli/pli.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []config.OIDC{
		{Name: "work", Label: "work", Issuer: "https://login.example.org/realms/staff", ClientID: "pli", SecretFile: "/etc/pli/oidc",
			Domains: []string{"example.org", "xn--bcher-kva.example"}},
		{Name: "other", Label: "Other", Issuer: "https://accounts.example", ClientID: "x", Domains: []string{"example.net"}},
	}
	if d := cmp.Diff(want, c.OIDC); d != "" {
		t.Error(d)
	}
	var b strings.Builder
	if err := c.Show(&b); err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("/elsewhere/pli.toml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c.Values(), again.Values()); d != "" || len(c.Values()["oidc"].([]map[string]any)) != 2 {
		t.Error(d)
	}
}

func TestProviderProblems(t *testing.T) {
	t.Parallel()
	first := strings.Count(config.Example(), "\n") + 3 // the line of name
	for _, c := range []struct {
		from, to, key, text string
		line                int
	}{
		{`name = "work"`, `name = "Work!"`, "oidc.name", "config.oidcname", first},
		{`name = "work"`, ``, "oidc.name", "config.oidcname", first - 1},
		{`https://login`, `http://login`, "oidc.issuer", "config.oidcissuer", first + 1},
		{`realms/staff`, `realms?a=b`, "oidc.issuer", "config.oidcissuer", first + 1},
		{`client_id = "pli"`, ``, "oidc.client_id", "config.missing", first - 1},
		{`"Example.org", "bücher.example"`, ``, "oidc.domains", "config.missing", first + 4},
		{`"Example.org"`, `"@example"`, "oidc.domains", "config.domain", first + 4},
		{`client_id = "pli"`, "client_id = \"pli\"\nclient_secret = \"x\"", "oidc.client_secret", "config.unknownnear", first + 3},
		{`domains = [`, `domains = [5, `, "oidc.domains", "config.wantlist", first + 4},
		{`[[oidc]]`, `[oidc]`, "oidc", "config.oidc", first - 1},
		{`[[oidc]]`, work + `[[oidc]]`, "oidc.name", "config.oidcname", first + 7},
	} {
		_, err := config.Parse("pli.toml", []byte(config.Example()+strings.Replace(work, c.from, c.to, 1)))
		var ps *config.Problems
		if !errors.As(err, &ps) {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		found := false
		for _, p := range ps.List {
			found = found || p.Key == c.key && p.Text == c.text && p.Line == c.line
		}
		if !found {
			t.Errorf("%s: %v", c.to, ps)
		}
	}
}
