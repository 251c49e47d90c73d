package people

import (
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

const furtherAddresses = "/profile/addresses"

// addressesPage is the part of the profile with a person's further addresses,
// and with the devices that are remembered for them.
type addressesPage struct {
	web.Base
	Tabs    []web.Link
	Managed bool // codes are asked for nevertheless
	Aliases []account.Alias
	Devices []knownDevice
	Sent    string // the address that a code was mailed to; "" before

	Merge     *account.Merge // what an administrator says of them and another user; nil: nothing
	Stays     bool           // they are the one who stays
	MergeSent bool           // codes were mailed for it
}

// Code is the input of the code that one of two addresses was mailed.
func (p *addressesPage) Code(name, address string) (web.Field, error) {
	f, err := p.Field(name, "me.codelabel", "autocomplete", "one-time-code", "inputmode", "numeric", "required", true, "max", 16, "class", "code")
	f.Label = p.T("merge.code1", "email", address)
	return f, err
}

type knownDevice struct {
	Name, Address string
	Since, Seen   time.Time
}

func (p *People) addressesPage(r *web.Request) (*addressesPage, error) {
	page := &addressesPage{Base: r.Base(r.T("alias.h1"), r.T("pr.h1")), Tabs: tabs(r), Managed: r.User().Managed}
	var err error
	if page.Aliases, err = p.accounts.Aliases(r.Context(), r.Session); err != nil {
		return nil, err
	}
	if page.Merge, page.Stays, err = p.accounts.OwnMerge(r.Context(), r.Session); err != nil {
		return nil, err
	}
	list, err := p.accounts.KnownDevices(r.Context(), r.Session)
	for _, d := range list {
		page.Devices = append(page.Devices, knownDevice{deviceName(r.Printer, d.Client), d.Address, d.Since, d.SeenAt})
	}
	return page, err
}

func (p *People) addresses(r *web.Request) error {
	page, err := p.addressesPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "addresses", page)
}

func (p *People) changeAddresses(r *web.Request) error {
	page, err := p.addressesPage(r)
	if err != nil {
		return err
	}
	switch r.PostFormValue("do") {
	case "send":
		address, err := addressOf(r)
		if err == nil {
			err = p.accounts.SendAliasCode(r.Context(), r.Session, address)
		}
		if asksAgain(err) {
			return again(r, err, furtherAddresses)
		}
		if err != nil {
			return r.Again(p.pages, "addresses", page, err)
		}
		page.Sent = address
		return r.Render(p.pages, "addresses", page)
	case "confirm":
		address, err := p.accounts.AddAlias(r.Context(), r.Session, r.PostFormValue("code"))
		if asksAgain(err) {
			return again(r, err, furtherAddresses)
		}
		if err != nil {
			if !fault.Is(err, fault.Conflict) { // then another address may be typed
				page.Sent = r.PostFormValue("email")
			}
			return r.Again(p.pages, "addresses", page, err)
		}
		r.Flash("ok", "alias.added", "address", address)
	case "remove":
		address := r.PostFormValue("address")
		if err := p.accounts.RemoveAlias(r.Context(), r.Session, address); err != nil {
			return again(r, err, furtherAddresses)
		}
		r.Flash("ok", "alias.removed", "address", address)
	case "merge-send":
		if err := p.accounts.SendMergeCodes(r.Context(), r.Session); asksAgain(err) {
			return again(r, err, furtherAddresses)
		} else if err != nil {
			return r.Again(p.pages, "addresses", page, err)
		}
		page.MergeSent = true
		return r.Render(p.pages, "addresses", page)
	case "merge":
		address, err := p.accounts.ConfirmMerge(r.Context(), r.Session, r.PostFormValue("code"), r.PostFormValue("code2"))
		if asksAgain(err) {
			return again(r, err, furtherAddresses)
		}
		if err != nil {
			page.MergeSent = page.Merge != nil
			return r.Again(p.pages, "addresses", page, err)
		}
		r.Flash("ok", "merge.done", "email", address)
	case "merge-decline":
		if err := p.accounts.DeclineMerge(r.Context(), r.Session); err != nil {
			return err
		}
		r.Flash("ok", "merge.cancelled")
	case "forget":
		if err := p.accounts.ForgetDevices(r.Context(), r.Session); err != nil {
			return err
		}
		r.Flash("ok", "alias.forgotten")
	}
	return r.Redirect(furtherAddresses)
}
