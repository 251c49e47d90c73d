package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// Every filter goes by an index that has its order, and what is not chained yet by its own.
func TestAuditFiltersByIndex(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for _, account := range []int64{0, 100042} {
		for index, f := range map[string]store.AuditFilter{
			"audit_by_action":  {Action: "group.add"},
			"audit_by_target":  {Target: "x"},
			"audit_by_actor":   {Actors: []string{"user:a@example.org"}},
			"audit_by_refusal": {Outcome: store.Refused, From: time.Now()},
		} {
			f.AccountID = account
			actor := strings.Join(f.Actors, "")
			for _, at := range []string{"", "01a217bb-c1d1-714e-8dde-40067ef5078b"} {
				for _, newer := range []bool{false, true} {
					for _, fresh := range []bool{false, true} {
						want := index
						if fresh {
							want = "audit_unchained"
						}
						plan, err := db.AuditPlan(t.Context(), f, actor, fresh, at, newer)
						if err != nil || !strings.Contains(plan, want+" ") && !strings.HasSuffix(plan, want) {
							t.Errorf("%+v: %s, not %s: %v", f, plan, want, err)
						}
					}
				}
			}
		}
	}
}
