package console

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// addRulePage is the form for the commonest rules.
type addRulePage struct {
	head
	Groups              groupField
	Files, Thens, Place []web.Option
}

// fileKinds are the patterns of the form's kinds of files.
var fileKinds = []struct {
	name     string
	patterns []string
}{
	{"none", nil}, {"any", []string{"*"}}, {"pdf", []string{"application/pdf", "*.pdf"}},
	{"office", []string{"*.doc", "*.docx", "*.xls", "*.xlsx", "*.ppt", "*.pptx", "*.odt", "*.ods", "*.odp"}},
	{"image", []string{"image/*"}}, {"archive", []string{"*.zip", "*.7z", "*.rar", "*.tar", "*.gz", "*.tgz"}},
	{"program", []string{"*.exe", "*.com", "*.scr", "*.bat", "*.cmd", "*.js", "*.jar", "*.vbs", "*.ps1", "*.msi"}},
}

func (c *Console) addRulePage(r *web.Request) (*addRulePage, store.RuleSet, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, store.RuleSet{}, err
	}
	if !a.Held.Has(store.RightSettings) {
		return nil, store.RuleSet{}, fault.New(fault.Denied, "err.forbidden")
	}
	set, err := c.accounts.Rules(r.Context(), r.Actor(), a.ID, 0)
	if err != nil {
		return nil, set, err
	}
	groups, err := c.accounts.GroupChoices(r.Context(), r.Actor(), a.ID, groupsShown)
	if err != nil {
		return nil, set, err
	}
	page := &addRulePage{head: headOf(r, a, r.T("rules.add"), rulesLink(r, a.ID))}
	if len(groups) <= groupsShown { // else it is named, which rules do anyway
		page.Groups.Options = []web.Option{{Text: r.T("rules.f.group.any")}}
		for _, g := range groups {
			page.Groups.Options = append(page.Groups.Options, web.Option{Value: g.Name, Text: account.GroupName(r.Printer, g)})
		}
	}
	for _, f := range fileKinds {
		page.Files = append(page.Files, web.Option{Value: f.name, Text: r.T("rules.f.file." + f.name)})
	}
	for _, t := range []policy.Action{policy.Seal, policy.Plain, policy.TLS, policy.Refuse} {
		page.Thens = append(page.Thens, web.Option{Value: string(t), Text: r.T("rules.f.then." + string(t))})
	}
	for _, p := range []string{"last", "first"} {
		page.Place = append(page.Place, web.Option{Value: p, Text: r.T("rules.f.place." + p)})
	}
	return page, set, nil
}

func (c *Console) newRule(r *web.Request) error {
	page, _, err := c.addRulePage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "rules-add", page)
}

func (c *Console) addRule(r *web.Request) error {
	page, set, err := c.addRulePage(r)
	if err != nil {
		return err
	}
	n, err := ruleTyped(r)
	if err == nil && n.Group != "" { // as it is stored, however it was named
		var g store.Group
		g, err = c.groupNamed(r, page.Number, n.Group)
		n.Group = g.Name
	}
	var text string
	if err == nil {
		text, err = policy.Add(set.Body, n, r.PostFormValue("place") == "first")
	}
	if err == nil {
		err = policy.Check([]byte(text))
	}
	if err == nil && r.PostFormValue("do") == "text" {
		edit, _, err := c.editPage(r)
		if err != nil {
			return err
		}
		edit.Text, edit.Draft = text, true
		return r.Render(c.pages, "rules-edit", edit)
	}
	if err == nil {
		if err = c.putRules(r, page.Number, set, text); err == nil {
			return r.Redirect(accountPath(page.Number) + "/rules")
		}
	}
	return r.Again(c.pages, "rules-add", page, inFields(r, err))
}

// ruleTyped reads the form.
func ruleTyped(r *web.Request) (policy.NewRule, error) {
	v := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	n := policy.NewRule{Name: v("name"), SubjectBegins: v("begins"), Recipients: commas(v("to")), Group: v("group"), HeaderName: v("header"), HeaderValue: v("value"),
		Text: v("words"), Then: policy.Action(v("then")), Reason: v("reason")}
	for _, f := range fileKinds {
		if f.name == v("file") {
			n.Attachment = f.patterns
		}
	}
	if n.HeaderValue != "" && n.HeaderName == "" {
		return n, fault.New(fault.Invalid, "rules.f.nofield").In("header", "rules.f.nofield", nil)
	}
	for _, to := range n.Recipients {
		if !policy.Recipient(to) {
			return n, fault.New(fault.Invalid, "rules.f.badto").In("to", "rules.f.badto", fault.Args{"value": to})
		}
	}
	if s := v("size"); s != "" {
		var err error
		if n.SizeMB, err = strconv.Atoi(s); err != nil || n.SizeMB < 1 || n.SizeMB > 100_000 {
			return n, fault.New(fault.Invalid, "rules.f.badsize").In("size", "rules.f.badsize", nil)
		}
	}
	if n.ForAll() {
		return n, fault.New(fault.Invalid, "rules.f.forall").In("group", "rules.f.forall", nil)
	}
	return n, nil
}

// inFields says what is wrong with the new rule at the fields of the form.
func inFields(r *web.Request, err error) error {
	var bad *policy.Problems
	if !errors.As(err, &bad) {
		return account.RulesFault(r.Printer, err)
	}
	fields := map[string]string{"name": "name", "sender": "group", "recipient": "to", "size_over": "size", "attachment": "file", "subject_matches": "begins",
		"text_matches": "words", "then": "then", "reason": "reason"}
	f := fault.New(fault.Invalid, "cli.rules.bad").With("n", len(bad.List)).Because(err)
	for _, p := range bad.List {
		field := cmp.Or(fields[p.Key], "value")
		switch {
		case p.Key == "header":
			field = "header"
		case p.Text == "policy.noname":
			f = f.In(field, "rules.f.noname", nil)
			continue
		case p.Text == "policy.twice":
			f = f.In(field, "rules.f.twice", nil)
			continue
		}
		f = f.In(field, "rules.f.bad", fault.Args{"text": r.Printer.Say(p.Text, p.Args)})
	}
	return f
}
