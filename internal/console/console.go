// Package console is the administration pages: accounts, their groups, the
// people in them, what was done and who asks for access. What an administrator
// may do is decided by account, in the transaction that does it; these pages
// only show it and ask for it.
package console

import (
	"embed"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

//go:embed pages/*.html shared/*.html
var files embed.FS

// pageSize is how many rows a list shows at once.
const pageSize = 50

// Console answers the addresses under /admin.
type Console struct {
	pages     *web.Pages
	accounts  *account.Service
	keys      *keyserver.Service
	words     *notice.Writer // for previews
	origin    string
	catalogue *i18n.Catalogue
	host      Host
}

// New registers the administration pages on kit; host tells operators how the
// service is. The sign-in page of
// administrators is with the other sign-in pages, in people.
func New(kit *web.Kit, accounts *account.Service, keys *keyserver.Service, host Host) error {
	pages, err := kit.Parse(files)
	if err != nil {
		return err
	}
	words, err := notice.New(kit.Catalogue(), kit.Origin())
	if err != nil {
		return err
	}
	c := &Console{pages, accounts, keys, words, kit.Origin(), kit.Catalogue(), host}

	kit.Handle("GET /admin", c.home, web.Admin)
	kit.Handle("GET /admin/{$}", c.home, web.Admin)
	kit.Handle("GET /admin/request", c.request, web.SignedIn)
	kit.Handle("POST /admin/request", c.ask, web.SignedIn)
	kit.Handle("GET /admin/accounts", c.list, web.Admin)
	kit.Handle("GET /admin/accounts/new", c.newAccount, web.Admin)
	kit.Handle("POST /admin/accounts/new", c.openAccount, web.Admin)
	kit.Handle("GET /admin/audit", c.siteAudit, web.Admin)
	kit.Handle("GET /admin/audit/chains", c.chains, web.Admin)
	kit.Handle("POST /admin/audit/export", c.exportSiteAudit, web.Admin)
	kit.Handle("GET /admin/audit/{event}", c.siteEvent, web.Admin)
	kit.Handle("GET /admin/system", c.system, web.Admin)
	kit.Handle("GET /admin/system/mail", c.systemMail, web.Admin)
	kit.Handle("POST /admin/system/mail", c.testMail, web.Admin)
	kit.Handle("GET /admin/system/signin", c.systemSignIn, web.Admin)
	kit.Handle("POST /admin/system/signin", c.testSignIn, web.Admin)
	kit.Handle("GET /admin/system/legal", c.legal, web.Admin)
	kit.Handle("POST /admin/system/legal", c.setLegal, web.Admin)
	kit.Handle("GET /admin/support", c.support, web.Admin)
	kit.Handle("POST /admin/support", c.lookUp, web.Admin)
	kit.Handle("GET /admin/jobs", c.jobs, web.Admin)
	kit.Handle("GET /admin/jobs/{id}", c.anyJob, web.Admin)
	kit.Handle("POST /admin/jobs/{id}/cancel", c.cancelJob, web.Admin)
	kit.Handle("GET /admin/system/settings", c.siteSettings, web.Admin)
	kit.Handle("POST /admin/system/settings", c.setSiteSettings, web.Admin)

	const account = "/admin/accounts/{n}"
	kit.Handle("GET "+account, c.overview, web.Admin)
	for _, act := range []string{"/suspend", "/resume"} {
		kit.Handle("GET "+account+act, c.confirmState, web.Admin)
		kit.Handle("POST "+account+act, c.setState, web.Admin)
	}
	c.life(kit, account)
	kit.Handle("GET "+account+"/suggest", c.suggest, web.Admin)
	kit.Handle("GET "+account+"/audit", c.audit, web.Admin)
	kit.Handle("GET "+account+"/audit/{event}", c.auditEvent, web.Admin)
	kit.Handle("POST "+account+"/audit/export", c.exportAudit, web.Admin)
	kit.Handle("GET "+account+"/messages", c.messages, web.Admin)
	kit.Handle("POST "+account+"/messages", c.actOnMessages, web.Admin)
	kit.Handle("POST "+account+"/messages/export", c.exportMessages, web.Admin)
	kit.Handle("GET "+account+"/messages/{message}", c.message, web.Admin)
	kit.Handle("POST "+account+"/messages/{message}", c.actOnMessage, web.Admin)
	kit.Handle("GET "+account+"/reports", c.report, web.Admin)
	kit.Handle("GET "+account+"/reports/{by}", c.exportReport, web.Admin)
	kit.Handle("GET "+account+"/requests", c.requests, web.Admin)
	kit.Handle("POST "+account+"/requests", c.decide, web.Admin)

	kit.Handle("GET "+account+"/groups", c.groups, web.Admin)
	kit.Handle("POST "+account+"/groups", c.addGroup, web.Admin)
	kit.Handle("GET "+account+"/groups/{group}", c.group, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}", c.renameGroup, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/rights", c.setRights, web.Admin)
	kit.Handle("GET "+account+"/groups/{group}/delete", c.confirmDeleteGroup, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/delete", c.deleteGroup, web.Admin)
	kit.Handle("GET "+account+"/groups/{group}/members", c.members, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/members", c.addMembers, web.Admin, web.Body(maxMembers))
	kit.Handle("GET "+account+"/groups/{group}/members/remove", c.confirmRemoveMembers, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/members/remove", c.removeMembers, web.Admin)
	kit.Handle("GET "+account+"/groups/{group}/members/{user}/end", c.memberEnd, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/members/{user}/end", c.setMemberEnd, web.Admin)
	kit.Handle("GET "+account+"/groups/{group}/members/{user}/remove", c.confirmRemoveMember, web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/members/{user}/remove", c.removeMember, web.Admin)

	kit.Handle("POST "+account+"/invitations/{invitation}/resend", c.resendInvitation, web.Admin)
	kit.Handle("GET "+account+"/invitations/{invitation}/revoke", c.confirmRevokeInvitation, web.Admin)
	kit.Handle("POST "+account+"/invitations/{invitation}/revoke", c.revokeInvitation, web.Admin)

	kit.Handle("GET "+account+"/domains", c.domains, web.Admin)
	kit.Handle("POST "+account+"/domains", c.claimDomain, web.Admin)
	kit.Handle("GET "+account+"/domains/{domain}", c.domain, web.Admin)
	kit.Handle("POST "+account+"/domains/{domain}/check", c.checkDomain, web.Admin)
	kit.Handle("POST "+account+"/domains/{domain}/senders", c.setDomainSenders, web.Admin)
	kit.Handle("POST "+account+"/domains/{domain}/keys", c.makeKey, web.Admin)
	kit.Handle("GET "+account+"/domains/{domain}/keys/{selector}/remove", c.confirmRemoveKey, web.Admin)
	kit.Handle("POST "+account+"/domains/{domain}/keys/{selector}/remove", c.removeKey, web.Admin)
	kit.Handle("GET "+account+"/domains/{domain}/remove", c.confirmRemoveDomain, web.Admin)
	kit.Handle("POST "+account+"/domains/{domain}/remove", c.removeDomain, web.Admin)

	kit.Handle("GET "+account+"/rules", c.rules, web.Admin)
	kit.Handle("POST "+account+"/rules", c.changeRules, web.Admin)
	kit.Handle("GET "+account+"/rules/edit", c.editRules, web.Admin)
	kit.Handle("POST "+account+"/rules/edit", c.workOnRules, web.Admin, web.Body(maxTried))
	kit.Handle("GET "+account+"/rules/add", c.newRule, web.Admin)
	kit.Handle("POST "+account+"/rules/add", c.addRule, web.Admin)
	kit.Handle("GET "+account+"/rules/compare", c.compareRules, web.Admin)
	kit.Handle("GET "+account+"/rules/versions/{version}", c.rulesVersion, web.Admin)
	kit.Handle("POST "+account+"/rules/versions/{version}/undo", c.undoRules, web.Admin)

	kit.Handle("GET "+account+"/branding", c.branding, web.Admin)
	kit.Handle("POST "+account+"/branding", c.setBranding, web.Admin)
	kit.Handle("GET "+account+"/branding/contrast", c.brandContrast, web.Admin)
	kit.Handle("GET "+account+"/branding/preview", c.previewBranding, web.Admin)
	kit.Handle("POST "+account+"/branding/logo", c.setLogo, web.Admin, web.Body(brand.MaxLogo+64<<10))
	kit.Handle("POST "+account+"/branding/logo/remove", c.removeLogo, web.Admin)
	kit.Handle("POST "+account+"/branding/reset", c.resetBranding, web.Admin)
	kit.Handle("GET "+account+"/policies", c.settings(policiesOf), web.Admin)
	kit.Handle("POST "+account+"/policies", c.setSettings(policiesOf), web.Admin)
	kit.Handle("GET "+account+"/limits", c.settings(limitsOf), web.Admin)
	kit.Handle("POST "+account+"/limits", c.setSettings(limitsOf), web.Admin)
	kit.Handle("GET "+account+"/groups/{group}/policies", c.settings(policiesOfGroup), web.Admin)
	kit.Handle("POST "+account+"/groups/{group}/policies", c.setSettings(policiesOfGroup), web.Admin)

	kit.Handle("GET "+account+"/integrations", c.integrations, web.Admin)
	kit.Handle("POST "+account+"/integrations", c.makeToken, web.Admin)
	const hook = account + "/integrations/webhooks/{hook}"
	kit.Handle("GET "+account+"/integrations/webhooks/new", c.newWebhook, web.Admin)
	kit.Handle("POST "+account+"/integrations/webhooks/new", c.makeWebhook, web.Admin)
	kit.Handle("GET "+hook, c.webhook, web.Admin)
	kit.Handle("POST "+hook, c.changeWebhook, web.Admin)
	kit.Handle("POST "+hook+"/test", c.testWebhook, web.Admin)
	kit.Handle("POST "+hook+"/pause", c.pauseWebhook, web.Admin)
	kit.Handle("POST "+hook+"/resume", c.resumeWebhook, web.Admin)
	kit.Handle("POST "+hook+"/resend", c.redeliver, web.Admin)
	kit.Handle("GET "+hook+"/rotate", c.confirmWebhook, web.Admin)
	kit.Handle("POST "+hook+"/rotate", c.rotateWebhook, web.Admin)
	kit.Handle("GET "+hook+"/delete", c.confirmWebhook, web.Admin)
	kit.Handle("POST "+hook+"/delete", c.removeWebhook, web.Admin)
	kit.Handle("GET "+account+"/integrations/tokens/{token}/revoke", c.confirmRevokeToken, web.Admin)
	kit.Handle("POST "+account+"/integrations/tokens/{token}/revoke", c.revokeToken, web.Admin)

	kit.Handle("GET "+account+"/users", c.users, web.Admin)
	kit.Handle("GET "+account+"/users/new", c.newUser, web.Admin)
	kit.Handle("POST "+account+"/users/new", c.addUser, web.Admin)
	kit.Handle("GET "+account+"/users/invite", c.newInvitation, web.Admin)
	kit.Handle("POST "+account+"/users/invite", c.invite, web.Admin)
	kit.Handle("POST "+account+"/users/export", c.exportUsers, web.Admin)
	kit.Handle("GET "+account+"/users/import", c.newImport, web.Admin)
	kit.Handle("POST "+account+"/users/import", c.checkImport, web.Admin, web.Body(maxImport))
	kit.Handle("GET "+account+"/imports", c.imports, web.Admin)
	kit.Handle("GET "+account+"/imports/template", c.importTemplate, web.Admin)
	kit.Handle("GET "+account+"/imports/{job}", c.job, web.Admin)
	kit.Handle("GET "+account+"/imports/{job}/rejected", c.rejected, web.Admin)
	kit.Handle("POST "+account+"/imports/{job}/start", c.startImport, web.Admin)
	kit.Handle("POST "+account+"/imports/{job}/cancel", c.cancelImport, web.Admin)
	kit.Handle("POST "+account+"/users/bulk", c.actOnUsers, web.Admin)
	kit.Handle("GET "+account+"/bulk/{job}", c.bulk, web.Admin)
	kit.Handle("POST "+account+"/bulk/{job}/stop", c.stopBulk, web.Admin)
	kit.Handle("GET "+account+"/users/{user}", c.user, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/second", c.requireSecond, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/merge", c.mergeUser, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/groups", c.addUserToGroup, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/edit", c.editUser, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/sessions", c.endSessions, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/tokens", c.endTokens, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/block", c.blockUser, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/unblock", c.unblockUser, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/lift", c.decideLift, web.Admin)
	kit.Handle("GET "+account+"/users/{user}/reset", c.confirmReset, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/reset", c.resetPassword, web.Admin)
	kit.Handle("GET "+account+"/users/{user}/delete", c.confirmDeleteUser, web.Admin)
	kit.Handle("POST "+account+"/users/{user}/delete", c.deleteUser, web.Admin)
	return nil
}

func (c *Console) home(r *web.Request) error { return r.Redirect("/admin/accounts") }

// numberOf is the account's number in the address. What is no number is no account.
func numberOf(r *web.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != r.PathValue("n") {
		return 0, fault.New(fault.NotFound, "e404.p")
	}
	return n, nil
}

// head is what the pages of one account share: where they stand, and its tabs.
type head struct {
	web.Base
	Crumbs       []web.Link
	Tabs         []web.Link
	Number       int64
	Organisation string
	Path         string // of the page, without its query
	Manages      bool   // the reader has the right over people, over the whole account
	Settles      bool   // the reader has the right over the settings
}

// headOf begins a page of an account: its title is page, then the account. The
// breadcrumb leads over the links in between. Tabs are those that the reader can use.
func headOf(r *web.Request, a account.AccountHead, page string, between ...web.Link) head {
	root := accountPath(a.ID)
	name := r.T("adm.account", "number", a.ID)
	h := head{Number: a.ID, Organisation: a.Name, Path: r.URL.Path, Manages: a.Held.Has(store.RightUsers), Settles: a.Held.Has(store.RightSettings)}
	h.Crumbs = append([]web.Link{{URL: "/admin/accounts", Text: r.T("seed.accounts")}, {URL: root, Text: name}}, between...)
	titles := []string{page}
	if page == "" {
		titles = nil
		h.Crumbs = h.Crumbs[:2]
		h.Crumbs[1].Current = true
	} else {
		h.Crumbs = append(h.Crumbs, web.Link{Text: page, Current: true})
	}
	h.Base = r.Base(append(titles, name, a.Name)...)
	people := a.Held.HasSome(store.RightUsers) || a.Held.HasSome(store.RightAudit)
	for _, t := range []struct {
		at, key string
		may     bool
	}{
		{"", "ov.tab", true}, {"/groups", "seed.groups", people}, {"/users", "seed.users", people},
		{"/messages", "msg.h1", a.Held.HasSome(store.RightMessages) && (!r.Operates() || slices.Contains(r.Session.AdminOf, a.ID))}, // operators see none but as one of the account
		{"/domains", "d.h1", a.Held.Has(store.RightSettings) || a.Held.Has(store.RightAudit)},
		{"/rules", "rules.tab", a.Held.Has(store.RightSettings) || a.Held.Has(store.RightAudit)},
		{"/branding", "b.h1", !a.Unbranded && (a.Held.Has(store.RightSettings) || a.Held.Has(store.RightAudit))},
		{"/policies", "po.h1", a.Held.Has(store.RightSettings) || a.Held.Has(store.RightAudit)},
		{"/limits", "po.limits.h1", r.Operates()},
		{"/integrations", "it.h1", a.Held.Has(store.RightIntegrations)}, {"/reports", "rp.h1", a.Held.Has(store.RightReports)}, {"/requests", "adm.requests", h.Manages}, {"/audit", "au.h1", a.Held.Has(store.RightAudit)},
		{"/settings", "life.settings", h.Settles || a.Held.Has(store.RightAudit)},
	} {
		if !t.may {
			continue
		}
		below := t.at != "" && strings.HasPrefix(r.URL.Path, root+t.at+"/") || t.at == "/users" && (strings.HasPrefix(r.URL.Path, root+"/imports") || strings.HasPrefix(r.URL.Path, root+"/bulk")) ||
			t.at == "/settings" && slices.ContainsFunc([]string{"/delete", "/export"}, func(at string) bool { return strings.HasPrefix(r.URL.Path, root+at) })
		h.Tabs = append(h.Tabs, web.Link{URL: root + t.at, Text: r.T(t.key), Current: below || r.URL.Path == root+t.at, Below: below})
	}
	return h
}

func accountPath(number int64) string { return "/admin/accounts/" + strconv.FormatInt(number, 10) }

func groupsLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/groups", Text: r.T("seed.groups")}
}

func usersLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/users", Text: r.T("seed.users")}
}

// asSeen is who acts on what a form of theirs showed: what has changed since then
// is not overwritten.
func asSeen(r *web.Request) account.Actor {
	actor := r.Actor()
	actor.IfMatch = r.PostFormValue("revision")
	return actor
}

// personStatus is a coloured word; the word says it all.
type personStatus struct{ Class, Text string }

func statusOf(p i18n.Printer, u store.User) personStatus {
	switch {
	case u.State == store.UserLocked:
		return personStatus{"bad", p.T("st.blocked")}
	case u.Temporary:
		return personStatus{"warn", p.T("st.pwchange")}
	}
	return personStatus{"ok", p.T("st.active")}
}

// nameOf is a person's name, or their address where no name is known.
func nameOf(u store.User) string {
	if n := strings.TrimSpace(u.Name()); n != "" {
		return n
	}
	return u.DisplayAddress
}

// with is the page's own address with some values of its query set; "" drops one.
func with(r *web.Request, pairs ...string) string {
	q := url.Values{}
	for _, keep := range []string{"q", "status"} {
		if v := r.URL.Query().Get(keep); v != "" {
			q.Set(keep, v)
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	if len(q) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + q.Encode()
}

// proveFirst leads to where the visitor proves who they are once more, and back:
// for a button. A form is shown again, with what was typed, and leads there itself.
func proveFirst(r *web.Request, back string) error {
	return r.Redirect("/second?next=" + url.QueryEscape(back))
}

// pager leads to the next page of a list by name, and back to its beginning:
// keyset paging knows no page numbers.
func pager(r *web.Request, next string) web.Pager {
	p := web.Pager{Printer: r.Printer}
	if next != "" {
		p.Next = with(r, "after", next)
	}
	if r.URL.Query().Get("after") != "" {
		p.Prev = with(r)
	}
	return p
}
