// Package mxtest is the world that package mx asks: a DNS server on loopback,
// an authority that signs certificates, and the HTTPS server of MTA-STS policies.
package mxtest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Zone is a DNS server that knows what it was told, over UDP and TCP. Its
// answers are signed, as the AD bit has it, unless a name in them is not.
type Zone struct {
	Addr string // host:port

	mu       sync.Mutex // guards the rest
	records  []dns.RR
	unsigned map[string]bool
	codes    map[question]int
	cut      map[string]bool
	silent   bool
	asked    []string
}

type question struct {
	name string
	kind uint16 // 0: all
}

// New starts a server that ends with the test; records as for Add.
func New(t testing.TB, records ...string) *Zone {
	t.Helper()
	z := &Zone{unsigned: make(map[string]bool), codes: make(map[question]int), cut: make(map[string]bool)}
	z.Add(t, records...)
	udp, tcp := listen(t)
	z.Addr = udp.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go s.ActivateAndServe()
		<-up
		t.Cleanup(func() { s.Shutdown() })
	}
	return z
}

// listen finds a port that is free for both.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		last = err
		udp.Close()
	}
	t.Fatal(last)
	return nil, nil
}

// Add adds records in the form of zone files: "x.test. MX 10 a.x.test.".
func (z *Zone) Add(t testing.TB, records ...string) {
	t.Helper()
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil || rr == nil {
			t.Fatalf("record %q: %v", s, err)
		}
		z.mu.Lock()
		z.records = append(z.records, rr)
		z.mu.Unlock()
	}
}

// Drop forgets all records of a name and type.
func (z *Zone) Drop(name string, kind string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	var left []dns.RR
	for _, rr := range z.records {
		if rr.Header().Name != name || dns.TypeToString[rr.Header().Rrtype] != kind {
			left = append(left, rr)
		}
	}
	z.records = left
}

// Unsigned takes the signature from every answer in which one of the names is.
func (z *Zone) Unsigned(names ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, n := range names {
		z.unsigned[n] = true
	}
}

// Fail answers questions for a name with a code such as SERVFAIL; kind "" is all of them.
func (z *Zone) Fail(name, kind, code string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.codes[question{name, dns.StringToType[kind]}] = dns.StringToRcode[code]
}

// Cut makes answers about a name too long for UDP.
func (z *Zone) Cut(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.cut[name] = true
}

// Silence makes the server answer nothing from now on.
func (z *Zone) Silence() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.silent = true
}

// Asked returns the questions so far, such as "udp MX x.test.".
func (z *Zone) Asked() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]string(nil), z.asked...)
}

// ServeDNS answers one question.
func (z *Zone) ServeDNS(w dns.ResponseWriter, in *dns.Msg) {
	out := new(dns.Msg)
	out.SetReply(in)
	out.RecursionAvailable = true
	q := in.Question[0]
	name, network := strings.ToLower(q.Name), w.LocalAddr().Network()
	z.mu.Lock()
	z.asked = append(z.asked, network+" "+dns.TypeToString[q.Qtype]+" "+name)
	silent := z.silent
	z.answer(out, name, q.Qtype, in.AuthenticatedData)
	if network == "udp" && z.cut[name] {
		out.Answer, out.Truncated = nil, true
	}
	z.mu.Unlock()
	if !silent {
		w.WriteMsg(out)
	}
}

// answer fills out, along aliases.
func (z *Zone) answer(out *dns.Msg, name string, kind uint16, wantsAD bool) {
	out.AuthenticatedData = wantsAD
	for range 8 {
		out.AuthenticatedData = out.AuthenticatedData && !z.unsigned[name]
		for _, k := range []uint16{kind, 0} {
			if code, ok := z.codes[question{name, k}]; ok {
				out.Rcode, out.Answer = code, nil
				return
			}
		}
		known, next := false, ""
		for _, rr := range z.records {
			h := rr.Header()
			known = known || h.Name == name || strings.HasSuffix(h.Name, "."+name)
			if h.Name != name {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok && kind != dns.TypeCNAME {
				next = c.Target
			} else if h.Rrtype != kind {
				continue
			}
			out.Answer = append(out.Answer, rr)
		}
		if !known {
			out.Rcode = dns.RcodeNameError
		}
		if next == "" {
			return
		}
		name = next
	}
}
