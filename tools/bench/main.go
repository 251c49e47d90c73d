// Command bench measures Pli's gateway beside Postfix: one client, one next hop and the servers between them, on
// one machine, in one run. Figures of two machines, or of one machine on two days, say little; the ratios of one run
// do, so for each size and concurrency the servers are measured directly one after the other.
//
// The servers: a Postfix that relays, a Postfix whose content filter encrypts with GnuPG (as it comes, and set up for
// speed), and Pli sealing everything on its embedded defaults; on request also Pli on a PostgreSQL. Each has its own directory on the same disk and flushes
// to it as it always does.
//
// The client sends a number of messages over some connections, each used for one message after the other. How many
// is found as Go's benchmarks do it: few, then more, until they take about --seconds; the last run counts. The time
// ends when the newest message is at the next hop. CPU time is that of a control group for each server (see family).
//
// ./bench in the project's root builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// known are the servers that --servers takes; --postgres adds one.
var known = []string{"postfix", "gnupg", "gnupg-noseed", "pli"}

// huge is the size from which on the goals speak of two connections where they otherwise speak of twenty.
const huge = 8 << 20

// bench is what the command line asks for, and what a run needs.
type bench struct {
	sizes       []int
	concurrency []int
	servers     []string
	seconds     float64
	under       string // --dir
	postgres    string
	json        string
	profiling   bool
	program     string // pli

	dir  string // of this run, below under
	sink *sink
}

func main() {
	b, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err = b.run(ctx)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*bench, error) {
	b := &bench{}
	f := flag.NewFlagSet("bench gateway", flag.ContinueOnError)
	sizes := f.String("sizes", "4k,20k,100k,1m,25m", "sizes of the message")
	concurrency := f.String("concurrency", "1,20,100", "numbers of connections; from 8m on, 20 becomes 2, as in the goals")
	servers := f.String("servers", strings.Join(known, ","), "servers to measure")
	f.Float64Var(&b.seconds, "seconds", 5, "about how long to measure each server at each size and concurrency")
	f.StringVar(&b.under, "dir", "/var/tmp", "directory on the disk to measure; what is made in it is removed")
	f.StringVar(&b.postgres, "postgres", "", "URL of an empty database: measures Pli on PostgreSQL too")
	f.StringVar(&b.json, "json", "", "file to write all figures to as JSON")
	f.BoolVar(&b.profiling, "profile", false, "look with perf where Pli's CPU time goes, for each size")
	f.StringVar(&b.program, "pli", "", "the program pli; ./bench says it")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || b.program == "" || b.seconds <= 0 {
		return nil, fmt.Errorf("run ./bench gateway --help")
	}
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := parseSize(s)
		if err != nil {
			return nil, err
		}
		b.sizes = append(b.sizes, n)
	}
	for s := range strings.SplitSeq(*concurrency, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 500 {
			return nil, fmt.Errorf("concurrency %q: want 1 to 500", s)
		}
		b.concurrency = append(b.concurrency, n)
	}
	for s := range strings.SplitSeq(*servers, ",") {
		if !slices.Contains(known, s) {
			return nil, fmt.Errorf("server %q: want some of %s", s, strings.Join(known, ", "))
		}
		b.servers = append(b.servers, s)
	}
	if b.postgres != "" {
		b.servers = append(b.servers, "pli-postgres")
	}
	return b, nil
}

// run makes the directory, measures, and leaves nothing behind, however it ends.
func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp(b.under, "pli-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if err := b.reachable(); err != nil {
		return err
	}
	if b.sink, err = newSink(); err != nil {
		return err
	}
	r := &report{Seconds: b.seconds}
	if r.Machine, err = look(ctx, b.dir); err != nil {
		return err
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			if err2 := s.end(); err2 != nil && err == nil {
				err = err2
			}
		}
	}()
	for _, name := range b.servers {
		s, err := b.start(ctx, name)
		if err != nil {
			return err
		}
		servers = append(servers, s)
		if err := b.prove(ctx, s); err != nil {
			return err
		}
		r.Titles = append(r.Titles, titled{s.name, s.title})
		if s.family.group != "" {
			r.Machine.Account = "control groups"
		}
	}
	r.writeMachine(os.Stdout)
	for _, size := range b.sizes {
		if err := b.compare(ctx, r, servers, size); err != nil {
			return err
		}
	}
	if b.json != "" {
		return r.writeJSON(b.json)
	}
	return nil
}

// compare measures all servers with one size of message and prints its table.
func (b *bench) compare(ctx context.Context, r *report, servers []*server, size int) error {
	m := newMail(size)
	concurrency := slices.Clone(b.concurrency)
	if i := slices.Index(concurrency, 20); i >= 0 && size >= huge {
		concurrency[i] = goalConcurrency(size)
	}
	for _, conns := range concurrency {
		for _, s := range servers {
			fmt.Fprintf(os.Stderr, "%s, c = %d: %s ", sizeName(size), conns, s.title)
			c := b.measure(ctx, s, m, size, conns)
			if ctx.Err() != nil {
				fmt.Fprintln(os.Stderr)
				return ctx.Err()
			}
			fmt.Fprintf(os.Stderr, "%.*f/s %s\n", decimals(c.PerSecond), c.PerSecond, c.Problem)
			r.Cells = append(r.Cells, c)
		}
	}
	r.judge(size)
	r.writeSize(os.Stdout, size)
	i := slices.IndexFunc(servers, func(s *server) bool { return s.name == "pli" })
	if !b.profiling || i < 0 {
		return nil
	}
	conns, count := goalConcurrency(size), 0
	if c, ok := r.find("pli", size, 0); ok {
		count = c.Messages / 4
	}
	count = max(conns, count)
	top, err := b.profile(ctx, servers[i], m, count, conns)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Printf("\nNo profile: %v\n", err)
		return nil
	}
	fmt.Printf("\nWhere Pli's CPU time goes at c = %d (perf, share of its samples):\n\n```\n%s\n```\n", conns, top)
	return nil
}

func (b *bench) start(ctx context.Context, name string) (*server, error) {
	dir, next := filepath.Join(b.dir, name), b.sink.address()
	switch name {
	case "pli":
		return startPli(ctx, b.program, dir, next, "")
	case "pli-postgres":
		return startPli(ctx, b.program, dir, next, b.postgres)
	}
	return startPostfix(ctx, name, dir, next)
}

// reachable says early what Postfix would say late: its processes and the filter run as other users.
func (b *bench) reachable() error {
	if !slices.ContainsFunc(b.servers, func(name string) bool { return !strings.HasPrefix(name, "pli") }) {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("only root can start a Postfix (or say --servers pli)")
	}
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	for dir := b.dir; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return fmt.Errorf("other users cannot reach %s: choose another --dir", dir)
		}
	}
	return nil
}
