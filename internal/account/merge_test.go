package account_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// mergeCodes are the codes that were mailed last to two addresses.
func (w *world) mergeCodes(s *account.Session) (keep, gone string) {
	w.Helper()
	w.ok(w.SendMergeCodes(w.Context(), s))
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	for _, x := range w.mail.letters {
		switch l, _ := x.(account.CodeLetter); l.Purpose {
		case store.CodeKeep:
			keep = l.Code
		case store.CodeGone:
			gone = l.Code
		}
	}
	return keep, gone
}

// Two users of one person become one, when the person has proved both mailboxes:
// groups, what was sent and addresses follow, and what proved who the other was ends.
func TestMerge(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea, old := w.user(100042, "lea@example.org"), w.user(100042, "lea.old@example.org")
		team, staff := w.group(ada, "Team"), w.group(ada, "Staff", store.RightAudit)
		soon := w.db.Now().Add(time.Hour)
		get[account.AddResult](w)(w.AddMembers(ctx, ada.Actor(here), 100042, team.ID, "lea@example.org", soon))
		w.into(ada, team, "lea.old@example.org") // for good
		w.into(ada, staff, "lea.old@example.org")
		message := id.New()
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.InsertAlias(store.Alias{Address: "lea@example.net", DisplayAddress: "lea@example.net", UserID: old.ID}); err != nil {
				return err
			}
			return tx.InsertMessage(store.Message{ID: message, AccountID: 100042, SenderID: old.ID, SenderAddress: old.Address, SealedAt: tx.Now, Carrier: "mail",
				Card: []byte{}, MH: []byte{}, HH: []byte{}, PH: []byte{}, Seal: []byte{}})
		}))
		theirs := w.signIn("lea.old@example.org", better)

		for address, key := range map[string]string{"lea@example.org": "merge.self", "nobody@example.org": "merge.nouser"} {
			if _, err := w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, address); !fault.HasKey(err, key) {
				w.Errorf("%s: %v", address, err)
			}
		}
		m := get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "Lea.Old@example.org"))
		if m.Keep.ID != lea.ID || m.Gone.ID != old.ID || m.By != "Ada Min" {
			w.Fatalf("%+v", m)
		}
		if _, n := last[account.FactorLetter](w.mail); n != 2 {
			w.Errorf("%d letters", n)
		}
		_, err := w.ProposeMerge(ctx, ada.Actor(here), 100042, old.ID, "lea@example.org") // the other way round
		w.fails(err, fault.Conflict, "merge.there")

		// An administrator alone merges nobody, nor does the one who is to go.
		w.fails(w.SendMergeCodes(ctx, ada), fault.NotFound, "merge.none")
		w.fails(w.SendMergeCodes(ctx, theirs), fault.NotFound, "merge.none")
		s := w.signIn("lea@example.org", better)
		keep, gone := w.mergeCodes(s)
		for _, codes := range [][2]string{{keep, "000000"}, {"000000", gone}, {keep, keep}, {gone, keep}, {"", ""}} {
			if _, err := w.ConfirmMerge(ctx, s, codes[0], codes[1]); !fault.HasKey(err, "code.wrong") {
				w.Errorf("%v: %v", codes, err)
			}
		}
		_, err = w.ConfirmMerge(ctx, ada, keep, gone)
		w.fails(err, fault.NotFound, "merge.none")
		keep, gone = w.mergeCodes(s)
		if address := get[string](w)(w.ConfirmMerge(ctx, s, keep, gone)); address != "lea.old@example.org" {
			w.Errorf("merged %s", address)
		}
		w.dead(theirs)
		_, err = w.SignIn(ctx, w.visit(), "lea.old@example.org", better, here, "")
		w.fails(err, fault.Unauthenticated, "si.bad")
		v := get[account.UserView](w)(w.User(ctx, w.root, 100042, lea.ID))
		if len(v.Groups) != 2 || len(v.Rights) != 1 || v.Rights[0].Right != store.RightAudit || v.Merge != nil {
			w.Errorf("%+v", v)
		}
		for _, g := range v.Groups {
			if !g.Until.IsZero() {
				w.Errorf("%s ends %s", g.Name, g.Until)
			}
		}
		var aliases []string
		for _, a := range get[[]account.Alias](w)(w.Aliases(ctx, s)) {
			aliases = append(aliases, a.Address)
		}
		if !slices.Equal(aliases, []string{"lea.old@example.org", "lea@example.net"}) {
			w.Errorf("addresses %v", aliases)
		}
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			msg, err := tx.FindMessage(message)
			if err == nil && msg.SenderID != lea.ID {
				w.Errorf("the message is %s's", msg.SenderID)
			}
			return err
		}))
		if n := w.audit(100042, "user.merged", store.Done); n != 1 {
			w.Errorf("%d records", n)
		}
		found := get[account.UsersPage](w)(w.Users(ctx, w.root, 100042, "lea", "", "", 10))
		if found.Total != 1 {
			w.Errorf("found %d", found.Total)
		}
	})
}

// What a merge gives is given only by who may give it when it is confirmed; the
// last administrator stays one; a second factor is not got around.
func TestMergeGivesNothing(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		dora, lea, old := w.user(100042, "dora@example.org"), w.user(100042, "lea@example.org"), w.user(100042, "lea.old@example.org")
		desk := w.group(ada, "Helpdesk", store.RightUsers)
		w.into(ada, desk, "dora@example.org")
		by := w.signIn("dora@example.org", better)

		// Not across accounts, nor above.
		_, err := w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "bo@example.com")
		w.fails(err, fault.Invalid, "merge.nouser")
		_, err = w.ProposeMerge(ctx, by.Actor(here), 100042, lea.ID, "ada@example.org")
		w.fails(err, fault.Denied, "rt.above")
		_, err = w.ProposeMerge(ctx, by.Actor(here), 100042, ada.UserID, "lea@example.org")
		w.fails(err, fault.Denied, "rt.above")
		_, err = w.ProposeMerge(ctx, w.signIn("lea@example.org", better).Actor(here), 100042, lea.ID, "lea.old@example.org")
		w.fails(err, fault.Denied, "err.forbidden")

		// One of them became more than dora is since: it does not happen.
		get[account.Merge](w)(w.ProposeMerge(ctx, by.Actor(here), 100042, lea.ID, "lea.old@example.org"))
		s := w.signIn("lea@example.org", better)
		keep, gone := w.mergeCodes(s)
		w.into(ada, w.admins(100042), "lea.old@example.org")
		_, err = w.ConfirmMerge(ctx, s, keep, gone)
		w.fails(err, fault.Conflict, "merge.stale")
		if v := get[account.UserView](w)(w.User(ctx, w.root, 100042, lea.ID)); len(v.Rights) != 0 {
			w.Fatalf("lea may %+v", v.Rights)
		}
		get[store.User](w)(w.CancelMerge(ctx, ada.Actor(here), 100042, lea.ID))

		// An administrator may; but whoever reads old's mailbox does not get past old's
		// second factor by it, whatever they set up for themselves.
		w.factor(old)
		get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "lea.old@example.org"))
		keep, gone = w.mergeCodes(s)
		_, err = w.ConfirmMerge(ctx, s, keep, gone)
		w.fails(err, fault.Conflict, "merge.second")
		s, _, _ = w.app(s)
		keep, gone = w.mergeCodes(s)
		_, err = w.ConfirmMerge(ctx, s, keep, gone)
		w.fails(err, fault.Conflict, "merge.second")
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error { // old's person removes it
			keys, err := tx.ListPasskeys(old.ID)
			if err == nil {
				_, err = tx.DeletePasskey(old.ID, keys[0].ID)
			}
			return err
		}))

		// Ada goes: old is the last administrator, and lea the next.
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteMembership(w.adminsIn(tx), ada.UserID) }))
		_, err = w.ConfirmMerge(ctx, s, keep, gone)
		w.fails(err, fault.Conflict, "merge.stale") // ada may not give it any more
		get[store.User](w)(w.CancelMerge(ctx, w.root, 100042, lea.ID))
		get[account.Merge](w)(w.ProposeMerge(ctx, w.root, 100042, lea.ID, "lea.old@example.org"))
		keep, gone = w.mergeCodes(s)

		var wg sync.WaitGroup
		done := make(chan string, 4)
		for range 4 { // once, also at once
			wg.Go(func() {
				if address, err := w.ConfirmMerge(ctx, s, keep, gone); err == nil {
					done <- address
				}
			})
		}
		wg.Wait()
		if len(done) != 1 {
			w.Fatalf("%d merged", len(done))
		}
		if v := get[account.UserView](w)(w.User(ctx, w.root, 100042, lea.ID)); !v.LastAdmin || len(v.Rights) != 1 {
			w.Errorf("%+v", v)
		}
		_ = dora
	})
}

func (w *world) adminsIn(tx *store.Tx) string {
	w.Helper()
	g, err := tx.FindBuiltinGroup(100042)
	w.ok(err)
	return g.ID
}

// Somebody declines; an operator's user does not go; what nobody answers expires.
func TestMergeEnds(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea, old := w.user(100042, "lea@example.org"), w.user(100042, "lea.old@example.org")
		get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "lea.old@example.org"))
		s := w.signIn("lea.old@example.org", better)
		if m, stays, err := w.OwnMerge(ctx, s); err != nil || m == nil || stays {
			w.Errorf("%+v %v %v", m, stays, err)
		}
		w.ok(w.DeclineMerge(ctx, s))
		get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, old.ID, "lea@example.org"))
		w.pass(account.MergeLimit + time.Second)
		s = w.signIn("lea.old@example.org", better)
		w.fails(w.SendMergeCodes(ctx, s), fault.NotFound, "merge.none")
		w.factor(lea)
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error { return tx.InsertOperator(lea.ID, "test") }))
		_, err := w.ProposeMerge(ctx, w.root, 100042, old.ID, "lea@example.org")
		w.fails(err, fault.Conflict, "merge.operator")
	})
}

// Many users at once: each as if alone; a job on all that match does what whoever
// began it may do, and keeps what became of each.
func TestBulk(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		_, theirs := w.account(100043, "bo@example.com")
		var ids []string
		for _, n := range []string{"a1", "a2", "a3"} {
			ids = append(ids, w.user(100042, n+"@example.org").ID)
		}
		stranger := w.user(100043, "stranger@example.com")
		rows := get[[]account.BulkRow](w)(w.ActOnUsers(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkBlock}, append(ids[:2:2], ada.UserID)))
		if len(rows) != 3 || rows[0].Failed || rows[1].Failed || rows[2].Key != "bulk.self" {
			w.Fatalf("%+v", rows)
		}
		rows = get[[]account.BulkRow](w)(w.ActOnUsers(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkSignOut}, []string{ids[0], stranger.ID, "none"}))
		if len(rows) != 3 || rows[0].Failed || rows[1].Key != "bulk.gone" || rows[1].Address != "" || rows[2].Key != rows[1].Key {
			w.Errorf("with another account's: %+v", rows)
		}
		_, err := w.ActOnUsers(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkGroup, GroupID: theirs}, ids)
		w.fails(err, fault.NotFound, "e404.h1")
		_, err = w.ActOnUsers(ctx, ada.Actor(here), 100042, account.Bulk{Do: "delete"}, ids)
		w.fails(err, fault.NotFound, "e404.h1")

		run := func(by account.Actor, b account.Bulk) account.BulkView {
			w.Helper()
			j := get[store.Job](w)(w.StartBulk(ctx, by, 100042, b))
			for more := true; more; {
				more = get[bool](w)(w.RunJobs(ctx))
			}
			return get[account.BulkView](w)(w.Bulk(ctx, w.root, 100042, j.ID))
		}
		v := run(ada.Actor(here), account.Bulk{Do: account.BulkUnblock, Query: "a", Status: store.OnlyBlocked})
		if v.State != store.JobDone || v.Done != 2 || v.Job.Failed != 0 {
			w.Errorf("%+v", v)
		}
		v = run(ada.Actor(here), account.Bulk{Do: account.BulkBlock})
		list := get[account.BulkRowsPage](w)(w.BulkRows(ctx, ada.Actor(here), 100042, v.ID, true, "", 10)).Rows
		if v.Done != 3 || v.Job.Failed != 1 || len(list) != 1 || list[0].Address != "ada@example.org" || list[0].Key != "bulk.self" {
			w.Errorf("%+v %+v", v, list)
		}
		// Whoever began it has lost the right.
		dora := w.user(100042, "dora@example.org")
		w.into(ada, w.group(ada, "Helpdesk", store.RightUsers), "dora@example.org")
		j := get[store.Job](w)(w.StartBulk(ctx, w.signIn("dora@example.org", better).Actor(here), 100042, account.Bulk{Do: account.BulkUnblock}))
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(here), 100042, dora.ID))
		for more := true; more; {
			more = get[bool](w)(w.RunJobs(ctx))
		}
		if v := get[account.BulkView](w)(w.Bulk(ctx, w.root, 100042, j.ID)); v.State != store.JobStopped || v.Reason != "bulk.norights" || v.Done != 0 {
			w.Errorf("%+v", v)
		}
		// Another account's job is not there.
		_, err = w.Bulk(ctx, w.signIn("bo@example.com", good).Actor(here), 100043, j.ID)
		w.fails(err, fault.NotFound, "e404.h1")
	})
}

// delegate is somebody who manages the members of one group only.
func (w *world) delegate(by *account.Session, over store.Group, address string) *account.Session {
	w.Helper()
	w.user(100042, address)
	desk := w.group(by, "Desk of "+over.Name)
	get[account.GroupRights](w)(w.SetGroupRights(w.Context(), by.Actor(here), 100042, desk.ID, []store.Grant{{Right: store.RightUsers, Scope: over.ID}}))
	w.into(by, desk, address)
	return w.signIn(address, better)
}

// Who manages one of two users only neither learns of the other nor takes back
// what somebody said who manages both.
func TestMergeOutOfReach(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea, old := w.user(100042, "lea@example.org"), w.user(100042, "secret@example.org")
		team := w.group(ada, "Team")
		w.into(ada, team, "lea@example.org")
		dora := w.delegate(ada, team, "dora@example.org")
		get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, old.Address))
		if v := get[account.UserView](w)(w.User(ctx, dora.Actor(here), 100042, lea.ID)); v.Merge != nil {
			w.Errorf("a delegate is told of %s", v.Merge.Gone.Address)
		}
		get[store.User](w)(w.CancelMerge(ctx, dora.Actor(here), 100042, lea.ID))
		if v := get[account.UserView](w)(w.User(ctx, ada.Actor(here), 100042, lea.ID)); v.Merge == nil {
			w.Error("a delegate took back what an administrator said")
		}
		if n := w.audit(100042, "user.merge_cancel", store.Done); n != 0 {
			w.Errorf("%d records", n)
		}
	})
}

// What is refused of many is on record as what is refused of one.
func TestBulkRecordsRefusals(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		team := w.group(ada, "Team")
		w.into(ada, team, "ada@example.org")
		dora := w.delegate(ada, team, "dora@example.org")
		for i, do := range []string{account.BulkBlock, account.BulkLink, account.BulkSecond, account.BulkSignOut} {
			rows := get[[]account.BulkRow](w)(w.ActOnUsers(ctx, dora.Actor(here), 100042, account.Bulk{Do: do}, []string{ada.UserID}))
			if len(rows) != 1 || rows[0].Key != "rt.above" {
				w.Fatalf("%+v", rows)
			}
			act := []string{"user.block", "user.reset_link", "user.require_second", "user.end_sessions"}[i]
			if n := w.audit(100042, act, store.Refused); n != 1 {
				w.Errorf("%s: %d records", act, n)
			}
		}
		get[store.Job](w)(w.StartBulk(ctx, dora.Actor(here), 100042, account.Bulk{Do: account.BulkBlock}))
		w.runJobs()
		if n := w.audit(100042, "user.block", store.Refused); n != 2 {
			w.Errorf("%d records", n)
		}
	})
}

// Who is asked for a second factor by another administrator does not release
// themselves, alone or among many.
func TestNobodyReleasesThemselves(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo := w.user(100042, "bo@example.org")
		w.into(ada, w.admins(100042), "bo@example.org")
		by := w.signIn("bo@example.org", better)
		get[store.User](w)(w.RequireSecond(ctx, ada.Actor(here), 100042, bo.ID, true))
		_, err := w.RequireSecond(ctx, by.Actor(here), 100042, bo.ID, false)
		w.fails(err, fault.Conflict, "fa.selfrelease")
		if n := w.audit(100042, "user.require_second", store.Refused); n != 1 {
			w.Errorf("%d records", n)
		}
		get[store.User](w)(w.RequireSecond(ctx, ada.Actor(here), 100042, bo.ID, false))
	})
}

// One account's acts on all users keep no other account's jobs waiting for long,
// and nobody is written to without end about a merge.
func TestFewAtOnce(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		w.user(100042, "old@example.org")
		for range 5 {
			get[store.Job](w)(w.StartBulk(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkUnblock}))
			get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "old@example.org"))
			get[store.User](w)(w.CancelMerge(ctx, ada.Actor(here), 100042, lea.ID))
		}
		_, err := w.StartBulk(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkUnblock})
		w.fails(err, fault.TooMany, "bulk.busy")
		_, err = w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "old@example.org")
		w.fails(err, fault.TooMany, "e429.p")
		w.runJobs()
		get[store.Job](w)(w.StartBulk(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkUnblock}))
	})
}

// A password that an administrator typed, and knows, is not taken for one of its
// person's own, whatever mailbox they prove.
func TestTypedPasswordIsNotKept(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		get[account.Added](w)(w.AddUser(ctx, ada.Actor(here), 100042, account.NewUser{Address: "lea@example.org", Password: better, Confirm: better}))
		v := w.visit()
		w.ok(w.SendRecoverCode(ctx, v, "lea@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		if _, err := w.Recover(ctx, v, l.Code, better, better); !fault.Is(err, fault.Invalid) {
			w.Errorf("the password that ada typed is lea's own: %v", err)
		}
		get[*account.Session](w)(w.Recover(ctx, v, l.Code, good, good))
	})
}
