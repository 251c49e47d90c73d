package console

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// editPage is where rules are written as text, and tried before they are put in force.
type editPage struct {
	head
	Text     string
	Version  int64 // that the text was made from
	Draft    bool  // the text is not the one in force
	MayTry   bool
	Days     []web.Option
	InForce  int64
	Newer    string            // what another put in force meanwhile
	Diff     []policy.DiffLine // from that to the text
	Tried    *simulation
	Outcomes []tried // of one message
}

// simulation is what the text would have done with past messages.
type simulation struct {
	Of                     string
	Partly                 bool
	Messages               int
	Stays, Changes, Untold int
	Moves                  []string
	Rows                   []changedRow
	Next                   string
}

type changedRow struct {
	At                               time.Time
	Sender, To, Was, Why, Would, Who string
}

type tried struct {
	To, Why string
	Action  personStatus
}

var simulatedDays = []string{"1", "7", "30"}

func (c *Console) editPage(r *web.Request) (*editPage, store.RuleSet, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, store.RuleSet{}, err
	}
	set, err := c.accounts.Rules(r.Context(), r.Actor(), a.ID, 0)
	if err != nil {
		return nil, set, err
	}
	page := &editPage{head: headOf(r, a, r.T("rules.edit.h1"), rulesLink(r, a.ID)), Text: set.Body, Version: set.Version, InForce: set.Version,
		MayTry: a.Held.Has(store.RightMessages)}
	for _, d := range simulatedDays {
		page.Days = append(page.Days, web.Option{Value: d, Text: r.T("rules.days." + d)})
	}
	return page, set, nil
}

func (c *Console) editRules(r *web.Request) error {
	page, _, err := c.editPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "rules-edit", page)
}

const (
	maxTriedMail = 10 << 20 // octets of a message that rules are tried on, which is in memory
	maxTried     = 16 << 20 // of the form around it
	maxTriedTo   = 100      // recipients
)

// workOnRules puts a text in force, or tries it: on past messages or on one.
func (c *Console) workOnRules(r *web.Request) error {
	page, set, err := c.editPage(r)
	if err != nil {
		return err
	}
	form, mail, err := readWork(r)
	page.Input = form
	page.Text = strings.ReplaceAll(form.Get("text"), "\r\n", "\n")
	page.Draft = !sameRules(set.Body, page.Text)
	from, verr := versionIn(form.Get("version"))
	switch {
	case err != nil:
	case verr != nil:
		return verr
	case form.Get("do") == "save":
		if err = c.putRules(r, page.Number, store.RuleSet{Body: set.Body, Version: from}, page.Text); err == nil {
			return r.Redirect(accountPath(page.Number) + "/rules")
		}
		if from != set.Version && fault.Is(err, fault.Stale) {
			page.Newer, page.Diff = set.Body, policy.Diff(set.Body, page.Text)
		}
	case form.Get("do") == "message":
		page.Outcomes, err = c.tryMessage(r, page.Number, page.Text, form, mail)
	default:
		page.Tried, err = c.simulate(r, page.Number, page.Text, form)
	}
	if page.Newer == "" && verr == nil {
		page.Version = from // whoever mends or tries a text has not seen what is in force since
	}
	if err != nil {
		return r.Again(c.pages, "rules-edit", page, account.RulesFault(r.Printer, err))
	}
	return r.Render(c.pages, "rules-edit", page)
}

// readWork reads the fields of the form, and the message of its file. Nothing of
// it reaches the disk.
func readWork(r *web.Request) (url.Values, []byte, error) {
	form := url.Values{}
	parts, err := r.MultipartReader()
	if err != nil {
		return form, nil, fault.New(fault.Invalid, "rules.one.none").Because(err)
	}
	left := int64(maxTried)
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil, nil
		}
		if err != nil {
			return form, nil, tooLarge(err)
		}
		if p.FileName() != "" {
			b, err := readPart(p, maxTriedMail)
			return form, b, err
		}
		b, err := readPart(p, min(left, maxTriedMail))
		if err != nil {
			return form, nil, err
		}
		left -= int64(len(b))
		form.Add(p.FormName(), string(b))
	}
}

func readPart(p *multipart.Part, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(p, most+1))
	if err == nil && int64(len(b)) > most {
		err = &http.MaxBytesError{Limit: most}
	}
	return b, tooLarge(err)
}

func tooLarge(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return fault.New(fault.TooLarge, "rules.one.large").In("file", "rules.one.large", nil).Because(err)
	}
	return err
}

func (c *Console) simulate(r *web.Request, number int64, text string, form url.Values) (*simulation, error) {
	days := form.Get("days")
	if !slices.Contains(simulatedDays, days) {
		days = simulatedDays[0]
	}
	n, err := strconv.Atoi(days)
	if err != nil {
		return nil, err
	}
	s, err := c.accounts.SimulateRules(r.Context(), r.Actor(), number, text, time.Now().AddDate(0, 0, -n), form.Get("more"), pageSize)
	if err != nil {
		return nil, err
	}
	out := &simulation{Of: r.T("rules.sim.of", "n", s.Messages, "since", r.T("rules.days."+days)), Partly: s.Partly, Messages: s.Messages,
		Stays: s.Counts[policy.Stays], Changes: s.Counts[policy.Changes], Untold: s.Counts[policy.Untold], Next: s.Next}
	moves := slices.SortedFunc(maps.Keys(s.Moves), func(a, b [2]policy.Action) int {
		return cmp.Or(s.Moves[b]-s.Moves[a], cmp.Compare(a[0]+" "+a[1], b[0]+" "+b[1]))
	})
	for _, m := range moves {
		after := []policy.Action{m[1]}
		if m[1] == "" {
			after = nil
		}
		out.Moves = append(out.Moves, r.T("rules.sim.move", "from", actionText(r, m[0]), "to", wouldText(r, m[0], after), "n", s.Moves[m]))
	}
	for _, x := range s.Changed {
		row := changedRow{At: x.At, Sender: cmp.Or(x.Sender, r.T("rules.sim.null")), To: x.Recipient, Was: actionText(r, x.Before), Why: x.Was.Say(r.Printer),
			Would: wouldText(r, x.Before, x.After), Who: r.T("rules.sim.bynone")}
		if x.Number > 0 {
			row.Who = r.T("rules.sim.byrule", "n", strconv.Itoa(x.Number), "name", x.Rule)
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

func actionText(r *web.Request, a policy.Action) string { return r.T("rules.act." + string(a)) }

// wouldText is what would become of a message that changes.
func wouldText(r *web.Request, before policy.Action, after []policy.Action) string {
	switch {
	case len(after) == 1 && after[0] == before:
		return r.T("rules.act.otherwise")
	case len(after) == 0:
		return r.T("rules.act.untold")
	}
	out := make([]string, len(after))
	for i, a := range after {
		out[i] = actionText(r, a)
	}
	return strings.Join(out, r.T("rules.or"))
}

// tryMessage says what each recipient of a message would get.
func (c *Console) tryMessage(r *web.Request, number int64, text string, form url.Values, mail []byte) ([]tried, error) {
	bad := fault.New(fault.Invalid, "cli.rules.who")
	var from mailaddr.Address
	var to []mailaddr.Address
	fields := 0
	wrong := func(field, key string, args fault.Args) { bad, fields = bad.In(field, key, args), fields+1 }
	if s := strings.TrimSpace(form.Get("from")); s != "<>" {
		var err error
		if from, err = mailaddr.Parse(s); err != nil {
			wrong("from", "rules.one.address", fault.Args{"value": s})
		}
	}
	list := commas(form.Get("to"))
	for _, s := range list {
		a, err := mailaddr.Parse(s)
		if err != nil {
			wrong("to", "rules.one.address", fault.Args{"value": s})
			break
		}
		to = append(to, a)
	}
	if len(list) == 0 {
		wrong("to", "rules.one.address", fault.Args{"value": ""})
	} else if len(list) > maxTriedTo {
		wrong("to", "rules.one.many", nil)
	}
	if len(mail) == 0 {
		mail = []byte(form.Get("message"))
	}
	if len(bytes.TrimSpace(mail)) == 0 {
		wrong("message", "rules.one.none", nil)
	}
	if fields > 0 {
		return nil, bad
	}
	outcomes, err := c.accounts.TryRules(r.Context(), r.Actor(), number, text, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(mail)), nil }, from, to)
	if err != nil {
		return nil, err
	}
	out := make([]tried, len(outcomes))
	for i, o := range outcomes {
		class := map[policy.Action]string{policy.Seal: "ok", policy.Refuse: "bad", policy.TLS: "info"}[o.Action]
		out[i] = tried{o.Recipient, o.Say(r.Printer), personStatus{class, actionText(r, o.Action)}}
	}
	return out, nil
}

// commas splits what somebody typed into a list.
func commas(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ';' || c == ' ' || c == '\n' || c == '\r' || c == '\t' })
}
