package account

import (
	"context"
	"strconv"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// BrandView is how an account looks, as its administrators see it.
type BrandView struct {
	brand.Brand
	Account  string // the account's own name
	Revision string // for If-Match
	Off      bool   // the operators let the account have none: nobody sees it
}

// BrandRevision names the state of an account's look.
func BrandRevision(number int64, b brand.Brand) string { return revision(number, b) }

func viewBrand(a store.Account, b brand.Brand) (BrandView, error) {
	settings, err := policy.ReadSettings(a.Settings)
	return BrandView{b, a.Name, BrandRevision(a.ID, b), !settings.Branding}, err
}

// Branding returns how an account looks to its recipients.
func (s *Service) Branding(ctx context.Context, actor Actor, number int64) (BrandView, error) {
	var out BrandView
	err := s.look(ctx, actor, settingsView, number, func(_ *store.Tx, a store.Account) (err error) {
		out, err = viewBrand(a, brand.Read(a.Brand))
		return err
	})
	return out, err
}

// TryBranding is SetBranding that changes nothing: for a preview. It gives the
// picture that mails carry as well, nil for none.
func (s *Service) TryBranding(ctx context.Context, actor Actor, number int64, changes []Setting) (out BrandView, picture []byte, err error) {
	err = s.look(ctx, actor, settingsView, number, func(tx *store.Tx, a store.Account) error {
		b, err := s.rebrand(tx, a, changes)
		if err == nil {
			out, err = viewBrand(a, b)
		}
		if err == nil && b.MailLogo() != "" {
			picture, err = tx.MailLogo(a.ID, b.Logo.Digest)
		}
		return err
	})
	return out, picture, err
}

// SetBranding changes some texts and the colour of an account's look, all or
// none; "" goes back to the standard of that one. Each that changes leaves a
// record. Faults: people.setting, b.problem, and those of If-Match.
func (s *Service) SetBranding(ctx context.Context, actor Actor, number int64, changes []Setting) (BrandView, error) {
	return s.brand(ctx, actor, brandSet, number, func(tx *store.Tx, a store.Account, was brand.Brand) (brand.Brand, error) {
		b, err := s.rebrand(tx, a, changes)
		if err != nil {
			return b, err
		}
		for _, name := range brand.Fields {
			if old, value := *was.Field(name), *b.Field(name); old != value {
				if err := record(tx, actor, brandSet, a.ID, strconv.FormatInt(a.ID, 10), "name", name, "value", value, "was", old); err != nil {
					return b, err
				}
			}
		}
		return b, nil
	})
}

// SetLogo gives an account a logo: a PNG, JPEG or SVG file of at most
// brand.MaxLogo bytes. Faults: b.logo.*, and those of If-Match.
func (s *Service) SetLogo(ctx context.Context, actor Actor, number int64, file []byte) (BrandView, error) {
	// Only who may have it looks at it here: a picture takes memory.
	if err := s.look(ctx, actor, brandLogo, number, func(*store.Tx, store.Account) error { return nil }); err != nil {
		return BrandView{}, err
	}
	s.pictures.Lock()
	p, err := brand.ReadLogo(file)
	s.pictures.Unlock()
	if err != nil {
		return BrandView{}, err
	}
	return s.brand(ctx, actor, brandLogo, number, func(tx *store.Tx, a store.Account, b brand.Brand) (brand.Brand, error) {
		was := b.Logo.Digest
		b.Logo = p.Logo
		if err := tx.SetLogo(a.ID, store.Logo{Digest: p.Digest, MediaType: p.Type, Body: p.Body, Mail: p.Mail}); err != nil {
			return b, err
		}
		return b, record(tx, actor, brandLogo, a.ID, strconv.FormatInt(a.ID, 10), "hash", p.Digest, "type", p.Type, "was", was)
	})
}

// RemoveLogo takes the logo away. Without one it changes nothing.
func (s *Service) RemoveLogo(ctx context.Context, actor Actor, number int64) (BrandView, error) {
	return s.brand(ctx, actor, brandUnlogo, number, func(tx *store.Tx, a store.Account, b brand.Brand) (brand.Brand, error) {
		was := b.Logo.Digest
		if was == "" {
			return b, nil
		}
		b.Logo = brand.Logo{}
		if err := tx.DeleteLogo(a.ID); err != nil {
			return b, err
		}
		return b, record(tx, actor, brandUnlogo, a.ID, strconv.FormatInt(a.ID, 10), "was", was)
	})
}

// ResetBranding goes back to the service's own look.
func (s *Service) ResetBranding(ctx context.Context, actor Actor, number int64) (BrandView, error) {
	return s.brand(ctx, actor, brandReset, number, func(tx *store.Tx, a store.Account, b brand.Brand) (brand.Brand, error) {
		if !b.Set() {
			return b, nil
		}
		if err := tx.DeleteLogo(a.ID); err != nil {
			return b, err
		}
		return brand.Brand{}, record(tx, actor, brandReset, a.ID, strconv.FormatInt(a.ID, 10), "was", a.Brand)
	})
}

// Logo returns the bytes of a logo by its hash. Anybody may have them: what
// recipients see is public, and a hash says nothing of whose it is.
func (s *Service) Logo(ctx context.Context, hash string) (store.Logo, error) {
	var out store.Logo
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.FindLogo(hash)
		return err
	})
	return out, orNotFound(err)
}

// brand does fn on an account's look, and keeps what it gives.
func (s *Service) brand(ctx context.Context, actor Actor, act action, number int64, fn func(*store.Tx, store.Account, brand.Brand) (brand.Brand, error)) (BrandView, error) {
	var out BrandView
	err := s.actWithin(ctx, actor, act, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		was := brand.Read(a.Brand)
		if err := r.unchanged(BrandRevision(a.ID, was)); err != nil {
			return err
		}
		b, err := fn(tx, a, was)
		if err != nil {
			return err
		}
		if out, err = viewBrand(a, b); err != nil {
			return err
		}
		if out.Off && (act == brandSet || act == brandLogo) {
			return &refusal{fault.New(fault.Denied, "off.branding"), a.ID, strconv.FormatInt(a.ID, 10)}
		}
		return tx.SetBrand(a.ID, b.Encode(), nameKey(b.Name))
	})
	return out, err
}

// rebrand is an account's look with some changes, if it may look so.
func (s *Service) rebrand(tx *store.Tx, a store.Account, changes []Setting) (brand.Brand, error) {
	b := brand.Read(a.Brand)
	for _, c := range changes {
		field := b.Field(c.Name)
		if field == nil {
			return b, fault.New(fault.Invalid, "people.setting").With("name", c.Name).With("value", c.Value)
		}
		*field = c.Value
	}
	return b, s.mayBeNamed(tx, a, &b)
}

// mayBeNamed puts a look into the form in which it is kept, and refuses one that
// recipients would take for somebody else's. Faults: b.problem.
func (s *Service) mayBeNamed(tx *store.Tx, a store.Account, b *brand.Brand) error {
	domains, err := tx.ListDomains(a.ID)
	if err != nil {
		return err
	}
	owner := brand.Owner{Site: s.c.SiteName}
	for _, d := range domains {
		owner.Domains = append(owner.Domains, d.Name)
	}
	if err := b.Check(owner); err != nil || b.Name == "" {
		return err
	}
	taken, err := tx.HasAccountNamed(nameKey(b.Name), a.ID)
	if err == nil && taken {
		err = fault.New(fault.Invalid, "b.problem").In("name", "b.bad.taken", nil)
	}
	return err
}
