package account

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

const (
	claimLimit     = 30 * 24 * time.Hour // a claim that DNS does not show is forgotten
	claimEvery     = 10 * time.Minute    // it is looked for
	domainEvery    = 24 * time.Hour      // a domain's records are looked at
	dkimKeep       = 7 * 24 * time.Hour  // a retired key's record is needed: mail under way is still checked
	dnsBatch       = 20
	maxIncludes    = 10 // lookups of one SPF record (RFC 7208, section 4.6.4)
	dkimBits       = 2048
	maxWaitingKeys = 1
	maxClimb       = 8   // names that are asked for a DMARC record
	checksPerHour  = 120 // that one account's people ask for
)

// DNS answers for texts at a name (mx.Resolver).
type DNS interface {
	TXT(ctx context.Context, name string) ([]string, error)
}

// DNSExpected are the records that a domain should have. Empty ones are not needed.
type DNSExpected struct {
	Proof DNSRecord
	SPF   DNSRecord
	DKIM  []DNSRecord // one for each key that does not retire
	DMARC DNSRecord
}

// DNSRecord is one TXT record.
type DNSRecord struct{ Name, Value string }

func proofOf(domain, token string) DNSRecord {
	return DNSRecord{"_pli." + domain, "pli-domain=" + token}
}

func (s *Service) expected(d DomainView) (out DNSExpected) {
	if d.Proof != "" {
		out.Proof = proofOf(d.Name, d.Proof)
	}
	if s.c.SPF != "" {
		out.SPF = DNSRecord{d.Name, s.spfWith(d.Checks.SPF)}
	}
	for _, k := range d.Keys {
		if k.State != store.KeyRetired {
			out.DKIM = append(out.DKIM, DNSRecord{k.Selector + "._domainkey." + d.Name, k.Record})
		}
	}
	out.DMARC = DNSRecord{"_dmarc." + d.Name, dmarcAfter(d.Name, d.Checks.DMARC)}
	return out
}

// spfWith is the SPF record that a domain should have beside what it has: whoever
// sends for it today may send tomorrow. One that was too long to be kept is not repeated.
func (s *Service) spfWith(have store.DNSCheck) string {
	rest := ""
	if isSPF(have.Found) {
		rest = have.Found[len("v=spf1"):]
	}
	switch {
	case !isSPF(have.Found) || strings.HasSuffix(have.Found, "…"):
		return "v=spf1 mx " + s.c.SPF + " ~all"
	case have.State == store.CheckOK:
		return have.Found
	}
	return "v=spf1 " + s.c.SPF + rest
}

// isSPF reports whether a text is an SPF record (RFC 7208, section 4.5).
func isSPF(text string) bool {
	version, _, _ := strings.Cut(text, " ")
	return strings.EqualFold(version, "v=spf1")
}

// ofPolicy is the policy of a DMARC record that only asks for reports.
var ofPolicy = regexp.MustCompile(`(?i)(^|;)(\s*p\s*=\s*)none\b`)

// dmarcAfter is the DMARC record that comes after the one that there is: reports
// first, then a policy. That of a domain above, or one too long to be kept, is not repeated.
func dmarcAfter(domain string, have store.DNSCheck) string {
	own := strings.HasPrefix(strings.ToLower(plain(have.Found)), "v=dmarc1") && !strings.HasSuffix(have.Found, "…")
	switch {
	case own && have.State == store.CheckOK:
		return have.Found
	case own && ofPolicy.MatchString(have.Found):
		return ofPolicy.ReplaceAllString(have.Found, "${1}${2}quarantine")
	case own:
		return strings.TrimRight(have.Found, "; ") + "; p=quarantine"
	case have.State == store.CheckOK: // of a domain above: this one would be no stricter
		return "v=DMARC1; p=quarantine; rua=mailto:postmaster@" + domain
	}
	return "v=DMARC1; p=none; rua=mailto:postmaster@" + domain
}

// KeyCheck is what the last look found of one of the records that are expected
// of the domain's keys: nothing yet where the key is younger.
func (v DomainView) KeyCheck(r DNSRecord) store.DNSCheck {
	selector, _, _ := strings.Cut(r.Name, "._domainkey.")
	for _, k := range v.Keys {
		if k.Selector == selector && k.ChangedAt.After(v.CheckedAt) {
			return store.DNSCheck{}
		}
	}
	if v.Checks.Keys == nil {
		return v.Checks.DKIM
	}
	return v.Checks.Keys[selector]
}

// lookAt asks DNS about a domain or claim. An error is DNS's, and says nothing of the domain.
func (s *Service) lookAt(ctx context.Context, d DomainView) (out store.DomainChecks, err error) {
	if s.c.DNS == nil {
		return out, fault.New(fault.Invalid, "dom.nodns")
	}
	want := s.expected(d)
	if out.Proof, err = s.lookFor(ctx, want.Proof, ""); err != nil || d.Claimed {
		return out, err
	}
	if out.SPF, err = s.lookSPF(ctx, d.Name); err != nil {
		return out, err
	}
	out.Keys = make(map[string]store.DNSCheck)
	out.DKIM.State = store.CheckNone
	for i, k := range slices.DeleteFunc(slices.Clone(d.Keys), func(k DomainKey) bool { return k.State == store.KeyRetired }) {
		c, err := s.lookFor(ctx, want.DKIM[i], "v=DKIM1")
		if err != nil {
			return out, err
		}
		out.Keys[k.Selector] = c
		if i == 0 || c.State != store.CheckOK {
			out.DKIM = c
		}
	}
	out.DMARC, err = s.lookDMARC(ctx, d.Name)
	return out, err
}

// lookFor looks for one record; what begins like it, or anything if begin is "", and is not it is wrong.
func (s *Service) lookFor(ctx context.Context, r DNSRecord, begin string) (store.DNSCheck, error) {
	if r.Name == "" {
		return store.DNSCheck{State: store.CheckNone}, nil
	}
	texts, err := s.c.DNS.TXT(ctx, r.Name)
	if err != nil {
		return store.DNSCheck{}, err
	}
	for _, t := range texts {
		if plain(t) == plain(r.Value) {
			return store.DNSCheck{State: store.CheckOK, Found: brief(t)}, nil
		}
	}
	for _, t := range texts {
		if strings.HasPrefix(t, begin) {
			return store.DNSCheck{State: store.CheckWrong, Found: brief(t)}, nil
		}
	}
	return store.DNSCheck{State: store.CheckMissing}, nil
}

// plain is a record without the spaces that editors of zones put between tags.
func plain(s string) string { return strings.TrimSuffix(strings.Join(strings.Fields(s), ""), ";") }

// brief keeps what people can read of a stranger's record.
func brief(s string) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s), "")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}

// lookSPF reports whether the domain's SPF record lets the service's servers
// send: whether the configured mechanism is in it, or in one that it includes
// (RFC 7208). Where none is configured, that there is a record.
func (s *Service) lookSPF(ctx context.Context, domain string) (store.DNSCheck, error) {
	asked := 0
	var walk func(name string) (text string, has bool, err error)
	walk = func(name string) (string, bool, error) {
		if asked++; asked > maxIncludes {
			return "", false, nil
		}
		texts, err := s.c.DNS.TXT(ctx, name)
		if err != nil {
			return "", false, err
		}
		i := slices.IndexFunc(texts, isSPF)
		if i < 0 {
			return "", false, nil
		}
		terms := strings.Fields(strings.ToLower(texts[i]))
		if slices.Contains(terms, strings.ToLower(s.c.SPF)) || slices.Contains(terms, "+"+strings.ToLower(s.c.SPF)) {
			return texts[i], true, nil
		}
		for _, t := range terms {
			for _, prefix := range []string{"include:", "+include:", "redirect="} {
				if next, ok := strings.CutPrefix(t, prefix); ok && next != "" && !strings.Contains(next, "%") {
					if _, has, err := walk(next); has || err != nil {
						return texts[i], has, err
					}
				}
			}
		}
		return texts[i], false, nil
	}
	text, has, err := walk(domain)
	switch {
	case err != nil:
		return store.DNSCheck{}, err
	case text == "":
		return store.DNSCheck{State: store.CheckMissing}, nil
	case has || s.c.SPF == "":
		return store.DNSCheck{State: store.CheckOK, Found: brief(text)}, nil
	}
	return store.DNSCheck{State: store.CheckWrong, Found: brief(text)}, nil
}

// lookDMARC looks at the domain's own record, then at those above (RFC 7489,
// section 6.6.3), of a name of many labels at the last ones: nobody has the
// service ask a hundred times with one name.
func (s *Service) lookDMARC(ctx context.Context, domain string) (store.DNSCheck, error) {
	climbed := strings.Split(domain, ".")
	climbed = climbed[1+max(0, len(climbed)-maxClimb):]
	for name := domain; strings.Contains(name, "."); name, climbed = strings.Join(climbed, "."), climbed[min(1, len(climbed)):] {
		texts, err := s.c.DNS.TXT(ctx, "_dmarc."+name)
		if err != nil {
			return store.DNSCheck{}, err
		}
		for _, t := range texts {
			if !strings.HasPrefix(strings.ToLower(plain(t)), "v=dmarc1") {
				continue
			}
			found := brief(t)
			if name != domain {
				found = "_dmarc." + name + ": " + found
			}
			for tag := range strings.SplitSeq(strings.ToLower(t), ";") {
				if k, v, _ := strings.Cut(tag, "="); strings.TrimSpace(k) == "p" && strings.TrimSpace(v) != "none" {
					return store.DNSCheck{State: store.CheckOK, Found: found}, nil
				}
			}
			return store.DNSCheck{State: store.CheckWeak, Found: found}, nil
		}
	}
	return store.DNSCheck{State: store.CheckMissing}, nil
}

// CheckDomain looks at DNS now: a claim becomes the account's domain, a key that
// is shown signs from now on.
func (s *Service) CheckDomain(ctx context.Context, actor Actor, number int64, name string) (DomainView, error) {
	var d DomainView
	domain := canonicalDomain(name)
	if err := s.act(ctx, actor, domainCheck, number, func(tx *store.Tx, a store.Account) (err error) { // before DNS is asked for whoever asks
		if d, err = s.domainOf(tx, a.ID, domain); err != nil {
			return err
		}
		ok, wait, err := tx.Hit("dns:"+accountName(a.ID), time.Hour, checksPerHour)
		if err == nil && !ok {
			err = fault.Wait("e429.p", wait)
		}
		return err
	}); err != nil {
		return d, err
	}
	var err error
	if d, err = s.checkOnce(ctx, actor, d); err == nil && !d.Claimed && d.CheckedAt.IsZero() { // proved just now
		d, err = s.checkOnce(ctx, actor, d)
	}
	return d, err
}

func (s *Service) checkOnce(ctx context.Context, actor Actor, d DomainView) (DomainView, error) {
	found, err := s.lookAt(ctx, d)
	if err != nil {
		return d, asDNSFault(err)
	}
	err = s.act(ctx, actor, domainCheck, d.AccountID, func(tx *store.Tx, a store.Account) error {
		if err := s.keep(tx, actor, d, found); err != nil {
			return err
		}
		d, err = s.domainOf(tx, a.ID, d.Name)
		return err
	})
	if errors.Is(err, store.ErrTaken) {
		err = domainTaken(d.Name).Because(err)
	}
	return d, err
}

func asDNSFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Invalid, "dom.dnsfailed").Because(err)
}

// keep writes what a look at DNS found, if d is still as it was then.
func (s *Service) keep(tx *store.Tx, actor Actor, d DomainView, found store.DomainChecks) error {
	now, err := s.domainOf(tx, d.AccountID, d.Name)
	if err != nil || now.Claimed != d.Claimed || now.Proof != d.Proof {
		return orNotFound(errors.Join(err, store.ErrNotFound))
	}
	if d.Claimed {
		if found.Proof.State != store.CheckOK {
			return tx.SetClaimFound(d.AccountID, d.Name, found.Proof.Found)
		}
		if other, err := tx.FindDomain(d.Name); err == nil && other.AccountID != d.AccountID {
			return domainTaken(d.Name)
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := tx.InsertDomain(store.Domain{Name: d.Name, AccountID: d.AccountID, Proof: d.Proof}); err != nil {
			return err
		}
		if _, err := tx.DeleteClaim(d.AccountID, d.Name); err != nil {
			return err
		}
		return record(tx, actor, domainVerify, d.AccountID, d.Name)
	}
	if err := tx.SetDomainChecks(d.Name, found); err != nil {
		return err
	}
	return s.activate(tx, actor, now, found.Keys)
}

// activate lets the newest key that DNS shows sign, and retires the one before.
func (s *Service) activate(tx *store.Tx, actor Actor, d DomainView, shown map[string]store.DNSCheck) error {
	i := slices.IndexFunc(d.Keys, func(k DomainKey) bool { return k.State == store.KeyWaiting && shown[k.Selector].State == store.CheckOK })
	if i < 0 {
		return nil
	}
	for _, k := range d.Keys {
		if k.State == store.KeyActive {
			if err := tx.SetDKIMState(d.Name, k.Selector, store.KeyRetired); err != nil {
				return err
			}
		}
	}
	if err := tx.SetDKIMState(d.Name, d.Keys[i].Selector, store.KeyActive); err != nil {
		return err
	}
	return record(tx, actor, dkimActivate, d.AccountID, d.Name, "selector", d.Keys[i].Selector)
}

// MakeDKIMKey makes a key for a domain (RSA, 2048 bits, which every receiver
// checks). It signs once DNS shows its record; until then the one before does.
func (s *Service) MakeDKIMKey(ctx context.Context, actor Actor, number int64, name string) (DomainView, error) {
	domain := canonicalDomain(name)
	var out DomainView
	if err := s.look(ctx, actor, dkimMake, number, func(tx *store.Tx, a store.Account) (err error) { // before a key is made for whoever asks
		out, err = s.domainOf(tx, a.ID, domain)
		return err
	}); err != nil {
		return out, err
	}
	key, err := rsa.GenerateKey(rand.Reader, dkimBits)
	if err != nil {
		return DomainView{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return DomainView{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return DomainView{}, err
	}
	err = s.act(ctx, actor, dkimMake, number, func(tx *store.Tx, a store.Account) error {
		d, err := s.seenDomain(tx, actor, a.ID, domain)
		if err != nil {
			return err
		}
		if d.Claimed {
			return fault.New(fault.Conflict, "dom.provefirst").With("domain", domain)
		}
		waiting := 0
		for _, k := range d.Keys {
			if k.State == store.KeyWaiting {
				waiting++
			}
		}
		if waiting >= maxWaitingKeys {
			return fault.New(fault.Conflict, "dom.keywaits").With("domain", domain)
		}
		k := store.DKIMKey{Domain: domain, Selector: selector(d.Keys, tx.Now), State: store.KeyWaiting,
			Record: "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}
		if k.Box, err = s.c.Root.Seal(dkimPurpose(k), private); err != nil {
			return err
		}
		if err := tx.InsertDKIMKey(k); err != nil {
			return err
		}
		if err := record(tx, actor, dkimMake, a.ID, domain, "selector", k.Selector); err != nil {
			return err
		}
		out, err = s.domainOf(tx, a.ID, domain)
		return err
	})
	return out, err
}

func dkimPurpose(k store.DKIMKey) string { return "dkim " + k.Selector + "._domainkey." + k.Domain }

// selector is a name that the domain has not used: pli-202611, pli-202611b …
func selector(keys []DomainKey, now time.Time) string {
	base := "pli-" + now.UTC().Format("200601")
	name := base
	for c := 'b'; slices.ContainsFunc(keys, func(k DomainKey) bool { return k.Selector == name }); c++ {
		name = base + string(c)
	}
	return name
}

// RemoveDKIMKey destroys a key. Mail of its domain goes unsigned, if it was the one that signed.
func (s *Service) RemoveDKIMKey(ctx context.Context, actor Actor, number int64, name, selector string) error {
	domain := canonicalDomain(name)
	return s.act(ctx, actor, dkimRemove, number, func(tx *store.Tx, a store.Account) error {
		d, err := s.seenDomain(tx, actor, a.ID, domain)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(d.Keys, func(k DomainKey) bool { return k.Selector == selector }) {
			return notFound()
		}
		if err := tx.DeleteDKIMKey(domain, selector); err != nil {
			return err
		}
		return record(tx, actor, dkimRemove, a.ID, domain, "selector", selector)
	})
}

// SigningKey signs a domain's mail.
type SigningKey struct {
	Domain, Selector string
	Key              crypto.Signer
}

// SigningKeys are the keys that sign now, of all domains.
func (s *Service) SigningKeys(ctx context.Context) (out []SigningKey, err error) {
	var rows []store.DKIMKey
	if err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.ListActiveDKIMKeys()
		return err
	}); err != nil {
		return nil, err
	}
	for _, k := range rows {
		raw, err := s.c.Root.Open(dkimPurpose(k), k.Box)
		if err != nil {
			return nil, fmt.Errorf("open DKIM key of %s: %w", k.Domain, err)
		}
		key, err := x509.ParsePKCS8PrivateKey(raw)
		if err != nil {
			return nil, fmt.Errorf("read DKIM key of %s: %w", k.Domain, err)
		}
		out = append(out, SigningKey{k.Domain, k.Selector, key.(crypto.Signer)})
	}
	return out, nil
}

// SweepDomains looks at DNS for what waits for it and for what was not looked at for
// a day, and forgets claims and retired keys that are over. To be called every
// minute or so; of two nodes one may repeat what the other did, which changes nothing.
func (s *Service) SweepDomains(ctx context.Context) error {
	var due []DomainView
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		due = nil
		if _, err := tx.DeleteOldClaims(tx.Now.Add(-claimLimit)); err != nil {
			return err
		}
		if _, err := tx.DeleteRetiredDKIMKeys(tx.Now.Add(-dkimKeep)); err != nil {
			return err
		}
		claims, err := tx.ListClaimsToCheck(tx.Now.Add(-claimEvery), dnsBatch)
		if err != nil {
			return err
		}
		domains, err := tx.ListDomainsToCheck(tx.Now.Add(-domainEvery), tx.Now.Add(-claimEvery), dnsBatch)
		if err != nil {
			return err
		}
		for _, c := range claims {
			domains = append(domains, store.Domain{Name: c.Name, AccountID: c.AccountID})
		}
		for _, d := range domains {
			v, err := s.domainOf(tx, d.AccountID, d.Name)
			if err != nil {
				return err
			}
			due = append(due, v)
		}
		return nil
	})
	if err != nil || s.c.DNS == nil {
		return err
	}
	var errs []error
	for _, d := range due {
		if ctx.Err() != nil {
			break
		}
		found, err := s.lookAt(ctx, d)
		if err == nil {
			err = s.c.DB.Update(ctx, func(tx *store.Tx) error { return s.keep(tx, Actor{Kind: KindSystem}, d, found) })
		} else { // DNS said nothing: not again at once
			err = errors.Join(err, s.c.DB.Update(ctx, func(tx *store.Tx) error {
				if d.Claimed {
					return tx.SetClaimFound(d.AccountID, d.Name, d.Found)
				}
				return tx.SetDomainChecks(d.Name, d.Checks)
			}))
		}
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
			errs = append(errs, fmt.Errorf("%s: %w", d.Name, err))
		}
	}
	return errors.Join(errs...)
}
