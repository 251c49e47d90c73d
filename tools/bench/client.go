package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is what one run sends: count messages over conns connections, each used for one message after the other, as
// a mail server does that has many for the same next hop.
type load struct {
	to    string
	mail  mail
	run   int // the arrivals' number
	count int
	conns int
}

// sent is what the client saw.
type sent struct {
	began     time.Time       // before the first connection
	latencies []time.Duration // of each accepted message, from MAIL to the final reply
	accepted  int
	refused   int
	problem   error // the first one
}

// send runs the load and returns when every message has its answer.
func (l load) send(ctx context.Context) sent {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		next atomic.Int64
		out  = sent{began: time.Now(), latencies: make([]time.Duration, 0, l.count)}
	)
	for range min(l.conns, l.count) {
		wg.Go(func() {
			took, refused, err := l.connection(ctx, &next)
			mu.Lock()
			defer mu.Unlock()
			out.latencies = append(out.latencies, took...)
			out.refused += refused
			if out.problem == nil {
				out.problem = err
			}
		})
	}
	wg.Wait()
	out.accepted = len(out.latencies)
	return out
}

// connection sends messages until there are no more. A refused message is counted and the next one sent; a broken
// connection ends it, and the others take what is left.
func (l load) connection(ctx context.Context, next *atomic.Int64) (took []time.Duration, refused int, problem error) {
	c, err := dial(ctx, l.to)
	if err != nil {
		return nil, 0, err
	}
	defer c.close()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	for {
		n := int(next.Add(1)) - 1
		if n >= l.count || ctx.Err() != nil {
			return took, refused, problem
		}
		began := time.Now()
		reply, err := c.transaction(l.mail, fmt.Sprintf("m%d.%d", l.run, n))
		switch {
		case err != nil:
			return took, refused + 1, err
		case reply != "":
			refused++
			if problem == nil {
				problem = fmt.Errorf("the server says %q", reply)
			}
		default:
			took = append(took, time.Since(began))
		}
	}
}

// client is a connection after EHLO.
type client struct {
	conn     net.Conn
	in       *bufio.Reader
	pipeline bool
}

func dial(ctx context.Context, to string) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: bufio.NewReader(conn)}
	if err = c.expect('2'); err == nil {
		if _, err = c.conn.Write([]byte("EHLO mta." + senderDomain + "\r\n")); err == nil {
			var reply string
			reply, err = c.reply()
			c.pipeline = strings.Contains(reply, "PIPELINING")
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet %s: %w", to, err)
	}
	return c, nil
}

func (c *client) close() {
	c.conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.conn.Write([]byte("QUIT\r\n")); err == nil {
		c.reply()
	}
	c.conn.Close()
}

// transaction sends one message. It returns the reply that refused it, or an error when the connection is no longer
// of use. MAIL, RCPT and DATA leave together where the server allows it (RFC 2920).
func (c *client) transaction(m mail, id string) (refusal string, err error) {
	commands := []string{
		"MAIL FROM:<alice@" + senderDomain + "> SIZE=" + strconv.Itoa(m.size) + "\r\n",
		"RCPT TO:<" + id + "@" + recipientDomain + ">\r\n",
		"DATA\r\n",
	}
	if c.pipeline {
		if _, err := c.conn.Write([]byte(strings.Join(commands, ""))); err != nil {
			return "", err
		}
	}
	for _, command := range commands {
		if !c.pipeline {
			if refusal != "" {
				break
			}
			if _, err := c.conn.Write([]byte(command)); err != nil {
				return "", err
			}
		}
		reply, err := c.reply()
		if err != nil {
			return "", err
		}
		if refusal == "" && reply[0] != '2' && reply[0] != '3' {
			refusal = reply
		}
	}
	if refusal != "" {
		_, err := c.conn.Write([]byte("RSET\r\n"))
		if err == nil {
			_, err = c.reply()
		}
		return refusal, err
	}
	pieces := net.Buffers{m.before, []byte(id), m.after, []byte(".\r\n")}
	if _, err := pieces.WriteTo(c.conn); err != nil {
		return "", err
	}
	reply, err := c.reply()
	if err == nil && reply[0] != '2' {
		refusal = reply
	}
	return refusal, err
}

func (c *client) expect(class byte) error {
	reply, err := c.reply()
	if err == nil && reply[0] != class {
		err = fmt.Errorf("the server says %q", reply)
	}
	return err
}

// reply reads one reply, all its lines.
func (c *client) reply() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(5 * time.Minute)) // RFC 5321, 4.5.3.2
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return "", fmt.Errorf("not a reply: %q", line)
		}
		all.WriteString(line)
		if len(line) == 3 || line[3] == ' ' {
			return all.String(), nil
		}
		all.WriteByte('\n')
	}
}
