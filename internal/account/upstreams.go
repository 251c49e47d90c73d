package account

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// NewUpstream is a mail server or service that is to hand mail to the gateway.
// It is known by exactly one of Networks, Certificate and Password.
type NewUpstream struct {
	Name        string
	Networks    []string // addresses, or networks in CIDR
	Certificate string   // SHA-256 of its public key in hex
	Password    bool     // one is made
	Token       bool     // with Networks: strangers send from there too, so each mail must show a token, which is made
	Forwards    bool     // its mail may name foreign domains in From
}

var upstreamName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// The widest networks that are an upstream without a token: more addresses are
// not one organisation's mail servers. Private ones are taken as they are.
const (
	widest4 = 16
	widest6 = 48
)

const maxUpstreams = 200 // of an account: they are listed whole

// AddUpstream lets a mail server hand mail to the gateway for an account, and
// returns its password or token, which is not kept. Operators only: where an
// address leads is not for an account to say.
func (s *Service) AddUpstream(ctx context.Context, actor Actor, number int64, n NewUpstream) (secret id.Token, err error) {
	u := store.Upstream{ID: id.New(), Name: n.Name, Forwards: n.Forwards}
	if err := checkUpstream(n, &u); err != nil {
		return id.Token{}, err
	}
	if n.Password || n.Token {
		secret = id.NewToken()
		u.SecretHash = secret.Hash()
	}
	taken := fault.New(fault.Conflict, "people.upstreamtaken").With("name", n.Name)
	err = s.act(ctx, actor, upstreamAdd, number, func(tx *store.Tx, a store.Account) error {
		u.AccountID = a.ID
		if n.Password {
			if used, err := tx.HasUpstreamPassword(n.Name); err != nil {
				return err
			} else if used {
				return taken
			}
		}
		if have, err := tx.ListUpstreams(a.ID); err != nil {
			return err
		} else if len(have) >= maxUpstreams {
			return fault.New(fault.Conflict, "people.upstreamsmany").With("n", maxUpstreams)
		}
		if err := tx.InsertUpstream(u); err != nil {
			return err
		}
		return record(tx, actor, upstreamAdd, a.ID, u.Name, "kind", u.Kind, "value", u.Value)
	})
	if errors.Is(err, store.ErrTaken) {
		err = taken.Because(err)
	}
	if err != nil {
		return id.Token{}, err
	}
	return secret, nil
}

func checkUpstream(n NewUpstream, u *store.Upstream) error {
	var p problems
	if !upstreamName.MatchString(n.Name) {
		p.add("name", "people.upstreamname", nil)
	}
	ways := 0
	if len(n.Networks) > 0 {
		ways++
		u.Kind = store.UpstreamNetwork
		var list []string
		for _, s := range n.Networks {
			net, err := parseNetwork(s)
			switch {
			case err != nil:
				p.add("network", "people.upstreamnetwork", fault.Args{"value": s})
			case !n.Token && isWide(net):
				p.add("network", "people.upstreamwide", fault.Args{"value": s, "n": widest4, "m": widest6})
			}
			list = append(list, net.String())
		}
		u.Value = strings.Join(list, " ")
	}
	if n.Certificate != "" {
		ways++
		u.Kind, u.Value = store.UpstreamCertificate, n.Certificate
		if b, err := hex.DecodeString(n.Certificate); err != nil || len(b) != 32 {
			p.add("certificate", "people.upstreamcert", nil)
		} else {
			u.Value = hex.EncodeToString(b)
		}
	}
	if n.Password {
		ways++
		u.Kind = store.UpstreamPassword
	}
	if ways != 1 || n.Token && len(n.Networks) == 0 {
		p.add("network", "people.upstreamway", nil)
	}
	return p.err()
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		err = errors.New("an IPv4 network in the form of IPv6")
	}
	return p.Masked(), err
}

// isWide reports a network that holds more than an organisation's mail servers.
func isWide(p netip.Prefix) bool {
	widest := widest6
	if p.Addr().Is4() {
		widest = widest4
	}
	return p.Bits() < widest && !(p.Bits() >= 8 && slices.ContainsFunc(private, func(n netip.Prefix) bool { return n.Bits() <= p.Bits() && n.Overlaps(p) }))
}

// private are the networks that the Internet does not lead to (RFC 1918, RFC
// 4193), and the machine itself.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fc00::/7"),
}

// Upstream is a mail server or service that hands mail to the gateway.
type Upstream struct {
	Name      string
	Kind      string // store.UpstreamNetwork and so on
	Value     string // the networks, with a space between, or the hash of the certificate's public key
	Forwards  bool
	CreatedAt time.Time
}

// Upstreams lists the upstreams of an account by name.
func (s *Service) Upstreams(ctx context.Context, actor Actor, number int64) ([]Upstream, error) {
	var out []Upstream
	err := s.look(ctx, actor, upstreamList, number, func(tx *store.Tx, a store.Account) error {
		rows, err := tx.ListUpstreams(a.ID)
		for _, u := range rows {
			out = append(out, Upstream{u.Name, u.Kind, u.Value, u.Forwards, u.CreatedAt})
		}
		return err
	})
	return out, err
}

// RemoveUpstream takes an upstream away: it hands nothing more to the gateway
// after a second. Operators only.
func (s *Service) RemoveUpstream(ctx context.Context, actor Actor, number int64, name string) error {
	return s.act(ctx, actor, upstreamRemove, number, func(tx *store.Tx, a store.Account) error {
		had, err := tx.DeleteUpstream(a.ID, name)
		if err != nil {
			return err
		}
		if !had {
			return notFound()
		}
		return record(tx, actor, upstreamRemove, a.ID, name)
	})
}
