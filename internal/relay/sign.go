package relay

import (
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
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
	choose := func(keys []DKIM) {
		for i := range keys {
			k := &keys[i]
			if (strings.EqualFold(domain, k.Domain) || strings.HasSuffix(domain, "."+strings.ToLower(k.Domain))) &&
				(best == nil || len(k.Domain) > len(best.Domain)) {
				best = k
			}
		}
	}
	choose(r.cfg.DKIM)
	if r.cfg.Keys != nil {
		choose(r.cfg.Keys())
	}
	return best
}

// sign writes a mail once for its hash and returns the signature's header field;
// "" when no key belongs to From.
func (r *Relay) sign(from mailaddr.Address, write func(io.Writer) (int64, error)) (string, error) {
	k := r.key(from.Domain())
	if k == nil {
		return "", nil
	}
	s, err := k.signer()
	if err != nil {
		return "", err
	}
	if _, err := write(s); err != nil {
		s.Close()
		return "", err
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	return s.Signature(), nil
}

// signRaw is sign for a mail that passes as it came, unless its domain has
// signed it before.
func (r *Relay) signRaw(raw *outbox.Raw, write func(io.Writer) (int64, error)) (string, error) {
	if raw.From.IsZero() || r.key(raw.From.Domain()) == nil {
		return "", nil
	}
	src, err := raw.Open()
	if err != nil {
		return "", err
	}
	x := message.NewIndexer()
	_, err = io.CopyN(x, src, headerMost)
	src.Close()
	if err != nil && err != io.EOF {
		return "", err
	}
	_, header := x.Finish()
	for _, v := range header.All("dkim-signature") {
		for tag := range strings.SplitSeq(v, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(tag), "=")
			domain := strings.ToLower(strings.TrimSpace(value))
			if strings.TrimSpace(name) == "d" && (domain == raw.From.Domain() || strings.HasSuffix(raw.From.Domain(), "."+domain)) {
				return "", nil
			}
		}
	}
	return r.sign(raw.From, write)
}

// headerMost is how much of a mail is read for its header.
const headerMost = 64 << 10
