package demo

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// Account is the number of the sample account.
const Account = 100042

// User is somebody of the sample account, who can sign in.
type User struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Role     string `json:"role"` // administrator, user

	first, last string
}

// Users are the people of the sample account. Their passwords are in the
// program for everyone to read, which is why a demonstration listens on the
// loopback interface only.
func Users() []User {
	return []User{
		{"ana@example.org", "copper-lantern-42-orchard", "administrator", "Ana", "Silva"},
		{"claire.roux@example.org", "velvet-harbour-73-meadow", "user", "Claire", "Roux"},
		{"tom.becker@example.org", "quiet-walnut-58-ribbon", "user", "Tom", "Becker"},
	}
}

// seed makes the sample account, unless an earlier demonstration did. Most of
// its time is password hashing, so that is done for all at once.
func seed(ctx context.Context, accounts *account.Service) error {
	actor := account.Operator("demo")
	_, err := accounts.CreateAccount(ctx, actor, account.NewAccount{Number: Account, Name: "Example Health", Language: "en", TimeZone: "Europe/Paris", ExpiryDays: 30, KeepDays: 14})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	if err == nil {
		_, _, err = accounts.AddDomain(ctx, actor, Account, "example.org")
	}
	if err == nil {
		_, err = accounts.AddUpstream(ctx, actor, Account, account.NewUpstream{Name: "this-machine", Networks: []string{"127.0.0.1"}})
	}
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(Users()))
	for i, u := range Users() {
		wg.Go(func() {
			n := account.NewUser{Address: u.Email, FirstName: u.first, LastName: u.last, Password: u.Password, Confirm: u.Password, Own: true}
			user, err := add(ctx, accounts, actor, u.Role, n)
			if err == nil { // they have been here for long: no new-account page
				err = accounts.Welcome(ctx, &account.Session{UserID: user.ID, User: &user, Scope: store.ScopeFull})
			}
			errs[i] = err
		})
	}
	wg.Wait()
	debug.FreeOSMemory() // the hashes took 64 MiB each
	return errors.Join(errs...)
}

func add(ctx context.Context, accounts *account.Service, actor account.Actor, role string, n account.NewUser) (store.User, error) {
	if role == "administrator" {
		added, err := accounts.AddAdministrator(ctx, actor, Account, n, false)
		return added.User, err
	}
	added, err := accounts.AddUser(ctx, actor, Account, n)
	return added.User, err
}
