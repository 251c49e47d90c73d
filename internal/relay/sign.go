package relay

import (
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/pli-mail/pli/internal/message"
)

// signatureRoom is what a signature adds to a mail, at most: an RSA key of
// 4096 bits gives 684 characters, the rest of the field about 500.
const signatureRoom = 2 << 10

// signed are the fields that a signature covers. Those that may stand only
// once are named once more than they occur, so that none can be added (RFC 6376, section 8.15).
var signed = []string{
	"From", "From", "Reply-To", "Reply-To", "Subject", "Subject", "To", "To", "Cc", "Date", "Date",
	"Message-ID", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
	"MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding",
}

func (k DKIM) signer() (*dkim.Signer, error) {
	s, err := dkim.NewSigner(&dkim.SignOptions{
		Domain: k.Domain, Selector: k.Selector, Signer: k.Key, HeaderKeys: signed,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	return s, err
}

// key is the key whose domain is that of From, or the nearest above it: the
// one that DMARC takes for aligned (RFC 7489, section 3.1.1).
func (r *Relay) key(domain string) *DKIM {
	var best *DKIM
	for i := range r.cfg.DKIM {
		k := &r.cfg.DKIM[i]
		if (strings.EqualFold(domain, k.Domain) || strings.HasSuffix(domain, "."+strings.ToLower(k.Domain))) &&
			(best == nil || len(k.Domain) > len(best.Domain)) {
			best = k
		}
	}
	return best
}

// sign writes m once for its hash and returns the signature's header field;
// "" when no key belongs to From.
func (r *Relay) sign(m *message.Mail) (string, error) {
	k := r.key(m.From.Addr.Domain())
	if k == nil {
		return "", nil
	}
	s, err := k.signer()
	if err != nil {
		return "", err
	}
	if _, err := m.WriteTo(s); err != nil {
		s.Close()
		return "", err
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	return s.Signature(), nil
}
