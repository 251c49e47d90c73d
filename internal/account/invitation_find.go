package account

import (
	"context"

	"github.com/pli-mail/pli/internal/store"
)

// OpenInvitation returns an invitation of the account that can still be revoked:
// for whoever may revoke it, to be asked whether to.
func (s *Service) OpenInvitation(ctx context.Context, actor Actor, number int64, invitationID string) (Pending, error) {
	var out Pending
	err := s.lookWithin(ctx, actor, inviteRevoke, number, func(tx *store.Tx, _ store.Account, r reach) error {
		i, err := r.invitation(tx, invitationID)
		if err == nil && i.State != store.InvitationPending {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		out = pending(tx, i)
		return nil
	})
	return out, err
}
