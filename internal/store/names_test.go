package store

import (
	"context"
	"fmt"
	"testing"
)

// Users of a database from before are found once it was opened, also more than
// one transaction names.
func TestNameUsers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := "sqlite:" + t.TempDir() + "/pli.db"
	open := func() *DB {
		db, err := Open(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	found := func(db *DB, query string) (n int) {
		if err := db.View(ctx, func(tx *Tx) (err error) { n, err = tx.CountUsers(1, query, ""); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	db := open()
	if err := db.Update(ctx, func(tx *Tx) error {
		if err := tx.InsertAccount(Account{ID: 1, Name: "A", State: AccountActive, Language: "en", TimeZone: "UTC"}); err != nil {
			return err
		}
		users := make([]User, nameStep+10)
		for i := range users {
			users[i] = User{ID: fmt.Sprint(i), AccountID: 1, Address: fmt.Sprintf("p%d@example.org", i), LastName: "Éluard", State: UserActive}
		}
		_, err := tx.InsertUsers(users)
		if err != nil {
			return err
		}
		_, err = tx.exec(`UPDATE users SET named = 0, name_key = '', last_name_key = ''`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := found(db, "eluard"); n != 0 {
		t.Fatalf("%d found before", n)
	}
	db.Close()
	db = open()
	defer db.Close()
	if n := found(db, "eluard"); n != nameStep+10 {
		t.Errorf("%d found", n)
	}
	if n := found(db, "p509@"); n != 1 {
		t.Errorf("%d found by the address", n)
	}
}
