package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The steps of a message at which something is killed.
const (
	beforeData = "before DATA"
	inData     = "half of the content"
	afterDot   = "the final dot was sent"
	afterReply = "the 250 was read"
	hopHasIt   = "the next hop has the content"
	hopTook    = "the next hop has taken it, and not said so"
)

var steps = []string{afterDot, hopTook, inData, hopHasIt, beforeData, afterReply}

// secretWords are in the text and in the subject of every message.
const secretWords = "Plain words that belong on no disk"

// shot is one message with what its client knows of it.
type shot struct {
	id     string
	raw    string
	to     []string
	queued bool // by the outbox, because its recipients are not treated alike
	tries  int
	unsure int // tries that may have been delivered, though the client has no 250
	taken  bool
}

// load is what eight mail servers hand in. Like any of them they bring a message
// again until it is taken.
type load struct {
	addr  string
	trap  *trap
	doubt []string // beginnings of replies after which a message may have been delivered
	fail  func(format string, args ...any)

	stopping atomic.Bool
	ended    atomic.Bool // the test is over; what is in hand does not matter
	wg       sync.WaitGroup
	taken    atomic.Int64
	refused  atomic.Int64 // replies 4xx
	lost     atomic.Int64 // connections

	mu    sync.Mutex // guards shots
	shots []*shot
}

const clients = 8

func (l *load) start() {
	l.stopping.Store(false)
	for n := range clients {
		l.wg.Go(func() {
			c := &mta{load: l}
			defer c.close()
			for i := 0; !l.stopping.Load(); i++ {
				m := newShot(n, i)
				l.mu.Lock()
				l.shots = append(l.shots, m)
				l.mu.Unlock()
				c.carry(m)
				time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			}
		})
	}
}

// stop lets every client end what it has begun.
func (l *load) stop() {
	l.stopping.Store(true)
	l.wg.Wait()
}

// newShot is a message by one of the ways: sealed and cut through, small and as a
// blob; queued for several, small and as a blob; passed on in clear.
func newShot(client, n int) *shot {
	name := fmt.Sprintf("r%x", rand.Uint64())
	m := &shot{id: name + "@example.org"}
	lines := 10
	switch (n + client) % 6 {
	case 0, 1:
		m.to = []string{name + "@seal.test"}
	case 2:
		m.to, lines = []string{name + "@seal.test"}, 2600
	case 3:
		m.to, m.queued = []string{name + "-a@seal.test", name + "@plain.test", name + "-b@seal.test"}, true
	case 4:
		m.to, m.queued, lines = []string{name + "@plain.test", name + "@seal.test"}, true, 2600
	case 5:
		m.to = []string{name + "-a@plain.test", name + "-b@plain.test"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: ana@example.org\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\nDate: Thu, 26 Nov 2026 10:00:00 +0100\r\n\r\n.\r\n..dots %s\r\n",
		m.to[0], secretWords, m.id, m.id)
	for i := range lines {
		fmt.Fprintf(&b, "%s, line %d of some text %016x\r\n", secretWords, i, rand.Uint64())
	}
	m.raw = b.String()
	return m
}

// mta is a connection that begins anew whenever it is lost.
type mta struct {
	load *load
	c    net.Conn
	r    *bufio.Reader
}

func (c *mta) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

// carry brings a message until it is taken.
func (c *mta) carry(m *shot) {
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c.load.ended.Load() {
			return
		}
		m.tries++
		reply, dot, err := c.attempt(m)
		switch {
		case err != nil:
			c.close()
			c.load.lost.Add(1)
			if dot {
				m.unsure++
			}
		case reply[0] == '2':
			m.taken = true
			c.load.taken.Add(1)
			c.load.trap.at(afterReply)
			return
		case reply[0] == '4':
			c.load.refused.Add(1)
			for _, d := range c.load.doubt {
				if dot && strings.HasPrefix(reply, d) {
					m.unsure++
				}
			}
			if strings.HasPrefix(reply, "421") {
				c.close()
			} else if _, err := c.say("RSET\r\n"); err != nil {
				c.close()
			}
		default:
			c.load.fail("%s was refused for good: %s", m.id, reply)
			return
		}
	}
	c.load.fail("%s was not taken in 90 seconds", m.id)
}

// attempt is one try. It gives the last reply, and whether the final dot may have
// been seen.
func (c *mta) attempt(m *shot) (reply string, dot bool, err error) {
	if c.c == nil {
		if c.c, err = net.DialTimeout("tcp", c.load.addr, 5*time.Second); err != nil {
			c.c = nil
			return "", false, err
		}
		c.r = bufio.NewReader(c.c)
		if reply, err = c.read(); err != nil || reply[0] != '2' {
			return reply, false, err
		}
		if reply, err = c.say("EHLO mta.example.org\r\n"); err != nil || reply[0] != '2' {
			return reply, false, err
		}
	}
	if reply, err = c.say("MAIL FROM:<ana@example.org>\r\n"); err != nil || reply[0] != '2' {
		return reply, false, err
	}
	for _, to := range m.to {
		if reply, err = c.say("RCPT TO:<" + to + ">\r\n"); err != nil || reply[0] != '2' {
			return reply, false, err
		}
	}
	c.load.trap.at(beforeData)
	if reply, err = c.say("DATA\r\n"); err != nil || reply[0] != '3' {
		return reply, false, err
	}
	content := strings.ReplaceAll("\n"+m.raw, "\n.", "\n..")[1:] + ".\r\n"
	half := len(content) / 2
	if err = c.write(content[:half]); err != nil {
		return "", false, err
	}
	c.load.trap.at(inData)
	if err = c.write(content[half:]); err != nil {
		return "", true, err
	}
	c.load.trap.at(afterDot)
	reply, err = c.read()
	return reply, true, err
}

func (c *mta) write(s string) error {
	c.c.SetDeadline(time.Now().Add(60 * time.Second))
	_, err := io.WriteString(c.c, s)
	return err
}

func (c *mta) say(s string) (string, error) {
	if err := c.write(s); err != nil {
		return "", err
	}
	return c.read()
}

func (c *mta) read() (string, error) {
	c.c.SetDeadline(time.Now().Add(60 * time.Second))
	for {
		s, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(s) < 4 {
			return "", fmt.Errorf("the reply is %q", s)
		}
		if s[3] == ' ' {
			return strings.TrimSpace(s), nil
		}
	}
}
