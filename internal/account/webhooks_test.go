package account_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
	"github.com/pli-mail/pli/internal/webhook"
)

// receiver is a program that takes events, or answers otherwise for a while.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	events []account.Event
	ids    []string
	signed []string
	status int                   // 0: 204
	refuse func(id string) int   // status for one event, 0 for none
	hold   func(r *http.Request) // called first
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	if r.hold != nil {
		r.hold(req)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var e account.Event
	json.Unmarshal(body, &e)
	status := r.status
	if r.refuse != nil && r.refuse(e.Data.ID) != 0 {
		status = r.refuse(e.Data.ID)
	}
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	r.events, r.ids, r.signed = append(r.events, e), append(r.ids, req.Header.Get("webhook-id")), append(r.signed, req.Header.Get("webhook-signature"))
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) answer(status int) { r.mu.Lock(); defer r.mu.Unlock(); r.status = status }

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.events {
		out = append(out, e.Type)
	}
	return out
}

// sender is a ward whose service sends webhooks to this machine.
type sender struct {
	*ward
	notary *audit.Notary
	root   *masterkey.Root
}

var insideOnly = webhook.Rules{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: []webhook.PortRange{{First: 1, Last: 65535}}}

func node(w *world, root *masterkey.Root) *account.Service {
	s := account.New(account.Config{DB: w.db, Root: root, Origin: origin, Post: w.mail, Log: slog.New(slog.NewTextHandler(w.Output(), nil)),
		Hash: account.HashCost{Memory: 64, Passes: 1}, Hashers: 4, Webhooks: webhook.NewClient(insideOnly)})
	account.SetPause(s, 0)
	return s
}

func newSender(w *world) *sender {
	w.Helper()
	root := masterkeytest.Root(w.T)
	w.Service = node(w, root)
	s := &sender{newWard(w), audit.New(audit.Config{DB: w.db, Root: root, Log: slog.New(slog.DiscardHandler)}), root}
	get[int](w)(s.notary.Chain(w.Context()))
	w.pass(time.Second)
	return s
}

func (s *sender) hook(by account.Actor, url string, events ...string) account.WebhookView {
	s.Helper()
	v, _, err := s.MakeWebhook(s.Context(), by, 100042, account.NewWebhook{URL: url, Events: events})
	s.ok(err)
	return v
}

// send chains what is committed, and sends what is due.
func (s *sender) send() {
	s.Helper()
	get[int](s.world)(s.notary.Chain(s.Context()))
	s.ok(s.SendWebhooks(s.Context()))
}

func (s *sender) deliveries(hook string) []store.Delivery {
	s.Helper()
	return get[account.DeliveriesPage](s.world)(s.Deliveries(s.Context(), s.ada, 100042, hook, "", "", 100)).Deliveries
}

// Events reach a receiver in the order of the log, each once, signed, and those
// only that it listens to; without addresses where it did not ask for them.
func TestWebhooks(t *testing.T) {
	each(t, func(w *world) {
		s, ctx, r := newSender(w), w.Context(), newReceiver(w.T)
		get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, "Before"))
		v, secret, err := s.MakeWebhook(ctx, s.ada, 100042, account.NewWebhook{URL: r.URL + "/pli?key=hidden", Description: "Tickets", Events: []string{"user.add", "group.*", "group.add"}})
		w.ok(err)
		if !slices.Equal(v.Events, []string{"group.*", "user.add"}) || v.URL != r.URL+"/pli?key=hidden" || v.State != store.WebhookOn {
			t := fmt.Sprintf("%+v", v)
			w.Errorf("made %s", t)
		}
		for _, name := range []string{"One", "Two", "Three"} {
			get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, name))
		}
		w.user(100042, "rita@example.org")
		s.send()
		s.send()
		if got := r.got(); !slices.Equal(got, []string{"group.add", "group.add", "group.add", "user.add"}) && !slices.Equal(got, []string{"group.add", "group.add", "group.add", "group.add", "user.add"}) {
			w.Fatalf("got %v", got)
		}
		last := r.events[len(r.events)-1]
		raw, _ := json.Marshal(r.events)
		rita := s.find("rita@example.org")
		if strings.Contains(string(raw), "@") || last.Data.Target.User != rita || last.Data.Account != 100042 || last.Data.Outcome != store.Done {
			w.Errorf("got %s", raw)
		}
		if !strings.HasPrefix(r.signed[0], "v1,") || len(strings.Fields(r.signed[0])) != 1 {
			w.Errorf("signed %q", r.signed[0])
		}
		// Nothing that is secret is in the log or in the clear.
		log, _ := json.Marshal(get[account.AuditPage](w)(s.Audit(ctx, s.ada, 100042, "", 100)))
		if strings.Contains(string(log), "hidden") || strings.Contains(string(log), secret.Reveal()) {
			w.Error("the log has the address's key or the secret")
		}
		if w.db.Engine() == "sqlite" {
			for _, b := range []string{"key=hidden", secret.Reveal(), strings.TrimPrefix(secret.Reveal(), "whsec_")} {
				if storetest.Holds(w.T, w.db, []byte(b)) {
					w.Errorf("the database has %q in clear", b)
				}
			}
		}
		d := s.deliveries(v.ID)
		if len(d) != len(r.events) || d[0].Action != "user.add" || d[0].State != store.Delivered || d[0].Tries != 1 || d[0].Status != 204 {
			w.Errorf("deliveries %+v", d)
		}
		// Two signatures for a day, then one.
		_, fresh, err := s.RotateWebhook(ctx, s.ada, 100042, v.ID)
		w.ok(err)
		if fresh.Reveal() == secret.Reveal() {
			w.Error("the new secret is the old one")
		}
		w.ok(second(s.TestWebhook(ctx, s.ada, 100042, v.ID)))
		s.send()
		if n := len(strings.Fields(r.signed[len(r.signed)-1])); n != 2 || r.events[len(r.events)-1].Type != "webhook.test" {
			w.Errorf("%d signatures of %s", n, r.events[len(r.events)-1].Type)
		}
		w.pass(25 * time.Hour)
		s.ada = s.signIn("ada@example.org", good).Actor(here)
		w.ok(second(s.TestWebhook(ctx, s.ada, 100042, v.ID)))
		s.send()
		if n := len(strings.Fields(r.signed[len(r.signed)-1])); n != 1 {
			w.Errorf("%d signatures after a day", n)
		}
		for _, id := range r.ids {
			if strings.Count(strings.Join(r.ids, " "), id) != 1 {
				w.Errorf("event %s came twice", id)
			}
		}
	})
}

func (s *sender) find(address string) string {
	s.Helper()
	var u store.User
	s.ok(s.db.View(s.Context(), func(tx *store.Tx) (err error) { u, err = tx.FindUserByAddress(address); return err }))
	return u.ID
}

// A receiver that is not there gets all in order once it is back; one that
// refuses an event gets the others meanwhile; one that is gone gets no more.
func TestWebhookRetries(t *testing.T) {
	each(t, func(w *world) {
		s, ctx, r := newSender(w), w.Context(), newReceiver(w.T)
		v := s.hook(s.ada, r.URL, "group.add")
		add := func(name string) { get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, name)) }
		r.answer(503)
		for i := range 5 {
			add(fmt.Sprint("Group ", i))
		}
		s.send()
		s.send()
		if n := get[account.WebhookView](w)(s.Webhook(ctx, s.ada, 100042, v.ID)); n.Failures != 1 || n.Waiting != 5 || n.LastStatus != 503 {
			w.Fatalf("after one failure: %+v", n)
		}
		w.pass(10 * time.Second)
		r.answer(0)
		s.send()
		var order []string
		for _, e := range r.events {
			order = append(order, e.Data.Target.Name)
		}
		if !slices.IsSorted(order) || len(order) != 5 {
			w.Errorf("in the order %v", order)
		}
		// One event is refused, and set aside.
		add("Sixth")
		add("Seventh")
		first := true
		var refused string
		r.refuse = func(id string) int {
			if first {
				refused, first = id, false
			}
			if id == refused {
				return 422
			}
			return 0
		}
		s.send()
		if len(r.events) != 6 || s.deliveries(v.ID)[1].Failure != webhook.Status {
			w.Errorf("%d events; %+v", len(r.events), s.deliveries(v.ID))
		}
		for range 12 {
			w.pass(27 * time.Hour)
			s.send()
		}
		s.ada = s.signIn("ada@example.org", good).Actor(here)
		if d := s.deliveries(v.ID)[1]; d.State != store.DeliveryFailed || d.Tries != 10 || d.Status != 422 {
			w.Errorf("after all tries: %+v", d)
		}
		// Sent again by a person, with the same id.
		r.refuse = nil
		w.ok(second(s.ResumeIfOff(v.ID)))
		w.ok(second(s.Redeliver(ctx, s.ada, 100042, v.ID, refused)))
		s.send()
		if d := s.deliveries(v.ID)[1]; d.State != store.Delivered || !slices.Contains(r.ids, refused) {
			w.Errorf("sent again: %+v", d)
		}
		// Gone.
		r.answer(410)
		add("Eighth")
		add("Ninth")
		s.send()
		n := get[account.WebhookView](w)(s.Webhook(ctx, s.ada, 100042, v.ID))
		letter, letters := last[account.WebhookOffLetter](w.mail)
		if n.State != store.WebhookOff || n.Why != store.WebhookGone || letters == 0 || letter.Why != store.WebhookGone || w.audit(100042, "webhook.off", store.Done) == 0 || n.Waiting != 0 {
			w.Errorf("gone: %+v, %d letters", n, letters)
		}
		add("Tenth")
		s.send()
		if d := s.deliveries(v.ID); len(d) != 10 || d[0].State != store.DeliveryFailed {
			w.Errorf("of what happens while it is off nothing can be sent later: %+v", d[0])
		}
		w.fails(second(s.TestWebhook(ctx, s.ada, 100042, v.ID)), fault.Conflict, "wh.noton")
		w.fails(second(s.PauseWebhook(ctx, s.ada, 100042, v.ID)), fault.Conflict, "wh.noton")
		_, _, off := s.RedeliverFailed(ctx, s.ada, 100042, v.ID, w.db.Now().Add(-time.Hour))
		w.fails(off, fault.Conflict, "wh.noton")
		r.answer(0)
		w.ok(second(s.ResumeWebhook(ctx, s.ada, 100042, v.ID)))
		_, again, err := s.RedeliverFailed(ctx, s.ada, 100042, v.ID, w.db.Now().Add(-time.Hour))
		w.ok(err)
		s.send()
		if again != 3 || r.events[len(r.events)-1].Data.Target.Name != "Tenth" {
			w.Errorf("%d were sent again", again)
		}
	})
}

// ResumeIfOff resumes a webhook that may have been switched off.
func (s *sender) ResumeIfOff(hook string) (account.WebhookView, error) {
	v, err := s.Webhook(s.Context(), s.ada, 100042, hook)
	if err == nil && v.State == store.WebhookOff {
		return s.ResumeWebhook(s.Context(), s.ada, 100042, hook)
	}
	return v, err
}

// A receiver that is unreachable for days is switched off, and its
// administrators are told once.
func TestWebhookSwitchedOff(t *testing.T) {
	each(t, func(w *world) {
		s, ctx := newSender(w), w.Context()
		v := s.hook(s.ada, "http://127.0.0.1:1/", "group.add")
		get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, "Never told"))
		for i := 0; i < 100; i++ {
			s.send()
			w.pass(70 * time.Minute)
		}
		s.ada = s.signIn("ada@example.org", good).Actor(here)
		n := get[account.WebhookView](w)(s.Webhook(ctx, s.ada, 100042, v.ID))
		_, letters := last[account.WebhookOffLetter](w.mail)
		if n.State != store.WebhookOff || n.Why != store.WebhookFailing || letters != 1 || n.LastError != webhook.Unreachable || n.Failures < 40 || n.Failures > 90 {
			w.Errorf("%+v, %d letters", n, letters)
		}
		if b := get[store.WebhookBacklog](w)(s.WebhookBacklog(ctx)); b.Hooks != 1 || b.Off != 1 || b.Waiting != 0 || !b.Oldest.IsZero() {
			w.Errorf("backlog %+v", b)
		}
		w.pass(31 * 24 * time.Hour)
		w.ok(s.SweepWebhooks(ctx))
		s.ada = s.signIn("ada@example.org", good).Actor(here)
		if d := s.deliveries(v.ID); len(d) != 0 {
			w.Errorf("after a month: %+v", d)
		}
	})
}

// A node that dies between sending and recording has the event sent again, when
// its lease is over and not before; of two nodes one sends.
func TestWebhookNodes(t *testing.T) {
	each(t, func(w *world) {
		s, ctx, r := newSender(w), w.Context(), newReceiver(w.T)
		v := s.hook(s.ada, r.URL, "group.add")
		for i := range 20 {
			get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, fmt.Sprintf("Group %02d", i)))
		}
		get[int](w)(s.notary.Chain(ctx))
		other := node(w, s.root)
		var wg sync.WaitGroup
		for _, n := range []*account.Service{s.Service, other, node(w, s.root)} {
			wg.Go(func() {
				for range 3 {
					if err := n.SendWebhooks(ctx); err != nil {
						w.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s.send()
		if got := r.got(); len(got) != 20 || len(s.deliveries(v.ID)) != 20 {
			w.Errorf("%d events by three nodes", len(got))
		}
		for i, e := range r.events {
			if e.Data.Target.Name != fmt.Sprintf("Group %02d", i) {
				w.Errorf("place %d has %s", i, e.Data.Target.Name)
			}
		}
		// The node takes the event, sends it, and is gone.
		get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, "Twice"))
		get[int](w)(s.notary.Chain(ctx))
		w.ok(s.FanOutWebhooks(ctx))
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			ours, err := tx.ClaimWebhook(v.ID, tx.Now.Add(time.Minute))
			if err == nil && !ours {
				err = fmt.Errorf("no claim")
			}
			return err
		}))
		w.ok(other.SendWebhooks(ctx))
		if n := len(r.got()); n != 20 {
			w.Errorf("sent under another's lease: %d", n)
		}
		w.pass(2 * time.Minute)
		w.ok(other.SendWebhooks(ctx))
		if n := len(r.got()); n != 21 {
			w.Errorf("after the lease: %d", n)
		}
	})
}

// A slow receiver of one account holds up neither its other hooks nor others'.
func TestSlowWebhook(t *testing.T) {
	each(t, func(w *world) {
		s, ctx, slow, quick := newSender(w), w.Context(), newReceiver(w.T), newReceiver(w.T)
		release := make(chan struct{})
		slow.hold = func(*http.Request) { <-release }
		for range 10 {
			s.hook(s.ada, slow.URL, "group.add")
		}
		s.hook(s.ada, quick.URL, "group.add")
		get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, "A"))
		get[int](w)(s.notary.Chain(ctx))
		w.account(100077, "otherboss@example.net")
		boss := s.signIn("otherboss@example.net", good).Actor(here)
		_, _, err := s.MakeWebhook(ctx, boss, 100077, account.NewWebhook{URL: quick.URL, Events: []string{"group.add"}})
		w.ok(err)
		get[store.Group](w)(s.AddGroup(ctx, boss, 100077, "B"))
		get[int](w)(s.notary.Chain(ctx))
		done := make(chan error, 1)
		go func() { done <- s.SendWebhooks(ctx) }()
		for range 200 {
			if len(quick.got()) > 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if len(quick.got()) == 0 {
			w.Error("another account waits for a slow receiver")
		}
		close(release)
		w.ok(<-done)
		s.send()
		s.send()
		s.send()
		if len(quick.got()) != 2 || len(slow.got()) != 10 {
			w.Errorf("%d and %d events", len(quick.got()), len(slow.got()))
		}
	})
}

// Who has the right makes webhooks; people's addresses are told by the right of
// who may read the log, and by nobody's when that is gone (AT-59).
func TestWebhookRights(t *testing.T) {
	each(t, func(w *world) {
		s, ctx, r := newSender(w), w.Context(), newReceiver(w.T)
		g := get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, "Integrators"))
		get[account.GroupRights](w)(s.SetGroupRights(ctx, s.ada, 100042, g.ID, []store.Grant{{Right: store.RightIntegrations}}))
		w.user(100042, "ivan@example.org")
		get[account.AddResult](w)(s.AddMembers(ctx, s.ada, 100042, g.ID, "ivan@example.org", time.Time{}))
		ivan := s.signIn("ivan@example.org", better).Actor(here)
		with := func(by account.Actor, url string) (account.WebhookView, error) {
			v, _, err := s.MakeWebhook(ctx, by, 100042, account.NewWebhook{URL: url, Events: []string{"user.*"}, Addresses: true})
			return v, err
		}
		w.fails(second(with(ivan, r.URL)), fault.Denied, "wh.beyond")
		plain := s.hook(ivan, r.URL+"/plain", "user.*")
		yes := true
		w.fails(second(s.ChangeWebhook(ctx, ivan, 100042, plain.ID, account.WebhookChange{Addresses: &yes})), fault.Denied, "wh.beyond")
		named := get[account.WebhookView](w)(with(s.ada, r.URL+"/named"))
		if !named.Tells {
			w.Error("an administrator's webhook tells no addresses")
		}
		// Ivan can describe it, and cannot have it sent to himself.
		text, mine, more := "By Ivan", r.URL+"/mine", []string{"session.*"}
		get[account.WebhookView](w)(s.ChangeWebhook(ctx, ivan, 100042, named.ID, account.WebhookChange{Description: &text}))
		w.fails(second(s.ChangeWebhook(ctx, ivan, 100042, named.ID, account.WebhookChange{URL: &mine})), fault.Denied, "wh.beyond")
		_, _, err := s.RotateWebhook(ctx, ivan, 100042, named.ID)
		w.fails(err, fault.Denied, "wh.beyond")
		_, _, err = s.RotateWebhook(ctx, ivan, 100042, plain.ID)
		w.ok(err)
		w.fails(second(s.ChangeWebhook(ctx, ivan, 100042, named.ID, account.WebhookChange{Events: &more})), fault.Denied, "wh.beyond")
		no := false
		if v := get[account.WebhookView](w)(s.ChangeWebhook(ctx, ivan, 100042, named.ID, account.WebhookChange{URL: &mine, Addresses: &no})); v.Tells || v.Maker.ID != ivan.UserID {
			w.Errorf("%+v", v)
		}
		get[account.WebhookView](w)(s.RemoveWebhook(ctx, ivan, 100042, named.ID))
		get[account.WebhookView](w)(s.RemoveWebhook(ctx, ivan, 100042, plain.ID))
		// By the right of somebody who loses it.
		get[account.GroupRights](w)(s.SetGroupRights(ctx, s.ada, 100042, g.ID, []store.Grant{{Right: store.RightIntegrations}, {Right: store.RightAudit}}))
		by := get[account.WebhookView](w)(with(ivan, r.URL))
		w.user(100042, "one@example.org")
		s.send()
		if e := r.events[len(r.events)-1]; e.Data.Target.Address != "one@example.org" {
			w.Errorf("with the right: %+v", e)
		}
		get[account.GroupRights](w)(s.SetGroupRights(ctx, s.ada, 100042, g.ID, []store.Grant{{Right: store.RightIntegrations}}))
		w.user(100042, "two@example.org")
		s.send()
		if e := r.events[len(r.events)-1]; e.Data.Target.Address != "" || e.Data.Target.User != s.find("two@example.org") {
			w.Errorf("without it: %+v", e)
		}
		if v := get[account.WebhookView](w)(s.Webhook(ctx, s.ada, 100042, by.ID)); v.Tells || v.Maker.Address != "ivan@example.org" {
			w.Errorf("%+v", v)
		}
		// Nobody else's, and nothing of another account's.
		w.account(100077, "otherboss@example.net")
		boss := s.signIn("otherboss@example.net", good).Actor(here)
		for name, err := range map[string]error{
			"looks":   second(s.Webhook(ctx, boss, 100077, by.ID)),
			"changes": second(s.ChangeWebhook(ctx, boss, 100077, by.ID, account.WebhookChange{Description: &text})),
			"tests":   second(s.TestWebhook(ctx, boss, 100077, by.ID)),
			"lists":   second(s.Deliveries(ctx, boss, 100077, by.ID, "", "", 5)),
			"resends": second(s.Redeliver(ctx, boss, 100077, by.ID, s.deliveries(by.ID)[0].EventID)),
			"removes": second(s.RemoveWebhook(ctx, boss, 100077, by.ID)),
			"comes":   second(s.Webhook(ctx, boss, 100042, by.ID)),
		} {
			if !fault.Is(err, fault.NotFound) {
				w.Errorf("another account's administrator %s: %v", name, err)
			}
		}
		// Suspended: nothing is sent, and it is afterwards.
		before := len(r.got())
		w.ok(s.SuspendAccount(ctx, w.root, 100042))
		s.send()
		if len(r.got()) != before {
			w.Error("a suspended account's events are sent")
		}
		// Without a recent proof neither a token nor a webhook is made.
		w.pass(11 * time.Minute)
		late := s.signIn("otherboss@example.net", good).Actor(here)
		w.pass(11 * time.Minute)
		w.fails(third(s.MakeWebhook(ctx, late, 100077, account.NewWebhook{URL: r.URL, Events: []string{"user.*"}})), fault.Denied, "second.again")
		w.fails(second2(s.MakeToken(ctx, late, 100077, account.NewToken{Name: "x", Scopes: []string{"users"}, Days: 1})), fault.Denied, "second.again")
	})
}

func third(_ account.WebhookView, _ webhook.Secret, err error) error { return err }

// Paused events wait; of more than the bound the oldest go.
func TestWebhookPaused(t *testing.T) {
	each(t, func(w *world) {
		s, ctx, r := newSender(w), w.Context(), newReceiver(w.T)
		v := s.hook(s.ada, r.URL, "group.add", account.EventRefused)
		get[account.WebhookView](w)(s.PauseWebhook(ctx, s.ada, 100042, v.ID))
		get[store.Group](w)(s.AddGroup(ctx, s.ada, 100042, "Waits"))
		if _, err := s.AddGroup(ctx, s.log, 100042, "Refused"); !fault.Is(err, fault.Denied) {
			w.Fatal(err)
		}
		s.send()
		if len(r.got()) != 0 {
			w.Error("a paused webhook is sent something")
		}
		get[account.WebhookView](w)(s.ResumeWebhook(ctx, s.ada, 100042, v.ID))
		s.send()
		if got := r.got(); !slices.Equal(got, []string{"group.add", "refused"}) || r.events[1].Data.Action != "group.add" {
			w.Errorf("after the pause: %v", got)
		}
		// Paused with another change: both, or neither.
		text, bad := "By night", "https://10.0.0.1/"
		w.fails(second(s.ChangeWebhook(ctx, s.ada, 100042, v.ID, account.WebhookChange{URL: &bad, State: store.WebhookPaused})), fault.Invalid, "wh.inside")
		if v := get[account.WebhookView](w)(s.Webhook(ctx, s.ada, 100042, v.ID)); v.State != store.WebhookOn {
			w.Errorf("a change that was refused leaves it %s", v.State)
		}
		both := get[account.WebhookView](w)(s.ChangeWebhook(ctx, s.ada, 100042, v.ID, account.WebhookChange{Description: &text, State: store.WebhookPaused}))
		if both.State != store.WebhookPaused || both.Description != text {
			w.Errorf("both at once: %+v", both)
		}
		for _, url := range []string{"https://10.0.0.1/", "https://[::1]/", "https://user:pw@example.org/", "https://example.org:0/", "javascript:alert(1)", ""} {
			if err := third(s.MakeWebhook(ctx, s.ada, 100042, account.NewWebhook{URL: url, Events: []string{"user.*"}})); !fault.Is(err, fault.Invalid) {
				w.Errorf("%q: %v", url, err)
			}
		}
		for _, events := range [][]string{nil, {""}, {"*"}, {"user"}, {"user.*,group.*"}, {"User.add"}} {
			if err := third(s.MakeWebhook(ctx, s.ada, 100042, account.NewWebhook{URL: r.URL, Events: events})); !fault.Is(err, fault.Invalid) {
				w.Errorf("%q: %v", events, err)
			}
		}
	})
}

// Who gets a password back, is blocked, or has theirs reset, leaves no token
// that somebody else may have made as them.
func TestTokensEndWithPassword(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		eve := w.user(100042, "eve@example.org")
		g := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, "Integrators"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, g.ID, []store.Grant{{Right: store.RightIntegrations}}))
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, g.ID, "eve@example.org", time.Time{}))
		make := func() { w.token(w.signIn("eve@example.org", better).Actor(here), 100042, 30, store.RightIntegrations) }
		gone := func(why string) {
			w.Helper()
			if n := get[int](w)(w.TokensOf(ctx, h.ada, 100042, eve.ID)); n != 0 {
				w.Errorf("%s: %d tokens are left", why, n)
			}
		}
		make()
		make()
		_, n, err := w.EndTokens(ctx, h.ada, 100042, eve.ID)
		w.ok(err)
		if gone("ended"); n != 2 || w.audit(100042, "token.end", store.Done) != 1 {
			w.Errorf("%d ended", n)
		}
		make()
		get[store.User](w)(w.BlockUser(ctx, h.ada, 100042, eve.ID))
		get[store.User](w)(w.UnblockUser(ctx, h.ada, 100042, eve.ID))
		gone("blocked")
		make()
		visit := get[*account.Session](w)(w.Visit(ctx, "a browser", here))
		visit.Origin = here
		w.ok(w.SendRecoverCode(ctx, visit, "eve@example.org", here))
		code, _ := last[account.CodeLetter](w.mail)
		get[*account.Session](w)(w.Recover(ctx, visit, code.Code, "Another umbrella 9 quarrels", "Another umbrella 9 quarrels"))
		gone("recovered")
		if _, _, err := w.EndTokens(ctx, h.log, 100042, eve.ID); !fault.Is(err, fault.Denied) {
			w.Errorf("who only reads ends tokens: %v", err)
		}
	})
}
