package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// report is everything that a run found, as --json writes it.
type report struct {
	Seconds float64  `json:"seconds"`
	Machine machine  `json:"machine"`
	Cells   []cell   `json:"cells"`
	Goals   []goal   `json:"goals"`
	Titles  []titled `json:"servers"`
}

type titled struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// goal is one of the project's goals for the gateway, which are ratios within one run, and what became of it.
type goal struct {
	Number string  `json:"goal"`
	Server string  `json:"server"`
	Size   int     `json:"size"`
	Text   string  `json:"text"`
	Value  float64 `json:"value"`
	Met    string  `json:"met"` // yes, no, not measured
	format string
}

// goalConcurrency is the concurrency that the goals speak of.
func goalConcurrency(size int) int {
	if size >= huge {
		return 2
	}
	return 20
}

// find looks for a cell that is to be believed; conns 0 is any concurrency.
func (r *report) find(server string, size, conns int) (cell, bool) {
	for _, c := range r.Cells {
		if c.Server == server && c.Size == size && (c.Concurrency == conns || conns == 0) && !c.failed() {
			return c, true
		}
	}
	return cell{}, false
}

// judge compares the Plis' cells of one size with the goals.
func (r *report) judge(size int) {
	conns := goalConcurrency(size)
	plain, havePlain := r.find("postfix", size, conns)
	for _, t := range r.Titles {
		if !strings.HasPrefix(t.Name, "pli") {
			continue
		}
		pli, havePli := r.find(t.Name, size, conns)
		add := func(number, text, format string, measured bool, value func() float64, met func(float64) bool) {
			g := goal{Number: number, Server: t.Name, Size: size, Text: text, Met: "not measured", format: format}
			if measured {
				g.Value = value()
				g.Met = map[bool]string{true: "yes", false: "no"}[met(g.Value)]
			}
			r.Goals = append(r.Goals, g)
		}
		least := func(x float64) func(float64) bool { return func(v float64) bool { return v >= x } }
		most := func(x float64) func(float64) bool { return func(v float64) bool { return v <= x } }
		faster := func(number string, ratio float64, name string) {
			if slices.ContainsFunc(r.Titles, func(t titled) bool { return t.Name == name }) {
				than, have := r.find(name, size, conns)
				add(number, fmt.Sprintf("c = %d: messages/s at least %g × %s", conns, ratio, r.title(name)), "%.2f ×", havePli && have,
					func() float64 { return pli.PerSecond / than.PerSecond }, least(ratio))
			}
		}
		some, have := r.find(t.Name, size, 0)
		add("P3", "what leaves is at most 1.45 × the message + 16 KiB", "%.2f × + 16 KiB", have,
			func() float64 { return max(0, some.Out-16<<10) / float64(some.Message) }, most(1.45))
		switch {
		case size <= 100<<10:
			faster("P4", 3, "postfix")
			faster("P4", 30, "gnupg")
			faster("P4", 30, "gnupg-noseed")
			add("P6", fmt.Sprintf("c = %d: CPU time per message at most 1/3 of %s", conns, r.title("postfix")), "%.2f ×", havePli && havePlain,
				func() float64 { return pli.CPU / plain.CPU }, most(1.0/3))
		case size >= huge:
			faster("P5", 1, "postfix")
			full, have := r.find(t.Name, size, 100)
			add("P7", "c = 100: less than 150 MiB of memory", "%.0f MiB", have,
				func() float64 { return float64(full.Memory) / (1 << 20) }, func(v float64) bool { return v < 150 })
		case size >= 1<<20:
			faster("P5", 1.5, "postfix")
		}
	}
}

func (r *report) title(name string) string {
	for _, t := range r.Titles {
		if t.Name == name {
			return t.Title
		}
	}
	return name
}

func (r *report) writeMachine(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "# The gateway beside Postfix\n\n")
	fmt.Fprintf(w, "- Machine: %s, %d cores, %d MiB; Linux %s, %s; load before: %s\n", m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.System, m.Load)
	fmt.Fprintf(w, "- Disk: %s; a flush (fsync) of 4 KiB: p50 %.2f ms, p99 %.2f ms\n", m.Disk, m.FsyncP50, m.FsyncP99)
	fmt.Fprintf(w, "- Postfix %s, GnuPG %s, %s; %g s a cell; CPU time from %s\n\n", m.Postfix, m.GnuPG, m.Go, r.Seconds, m.Account)
	fmt.Fprint(w, "Everything is on this machine, client and next hop too, and every server flushes to the disk before it answers.\n\n"+
		"- **messages/s**: delivered messages / (newest at the next hop - first connect). Postfix answers when the message is in\n"+
		"  its queue, so its time is counted until all are delivered. Pli answers when the next hop has taken the message.\n"+
		"- **p50, p99**: from MAIL to the final reply: for Postfix acceptance into the queue, for Pli delivery to the next hop.\n"+
		"  Postfix, as it comes, makes its clients wait up to a second when mail comes in faster than it goes out (in_flow_delay).\n"+
		"- **CPU**: of all the server's processes, dead ones too, without client and next hop; of a PostgreSQL nothing is counted.\n"+
		"- **memory**: peak; Pli's all (VmHWM); of the others, which are many processes, what is theirs alone (RssAnon), sampled.\n"+
		"- **out/in**: octets that leave / octets of the message.\n"+
		"- With GnuPG, which is slow, a cell may have fewer messages than c, and then has that many connections. As it comes, gpg\n"+
		"  waits for the lock on its random seed file; without that file (an option) it is what a careful administrator would run.\n")
}

// writeSize prints one size: the table, the goals, and what kept Pli busy.
func (r *report) writeSize(w io.Writer, size int) {
	fmt.Fprintf(w, "\n## %s\n\n", sizeName(size))
	fmt.Fprintln(w, "| server | c | messages | messages/s | × Postfix | p50 ms | p99 ms | CPU ms/message | memory MiB | out/in |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	var notes []string
	for _, c := range r.Cells {
		if c.Size != size {
			continue
		}
		ratio := "-"
		if plain, ok := r.find("postfix", size, c.Concurrency); ok && !c.failed() {
			ratio = fmt.Sprintf("%.2f", c.PerSecond/plain.PerSecond)
		}
		star := ""
		if c.failed() {
			star = " (!)"
			notes = append(notes, fmt.Sprintf("(!) %s, c = %d: %d refused, %d lost, %d twice: %s", r.title(c.Server), c.Concurrency, c.Refused, c.Lost, c.Twice, c.Problem))
		}
		fmt.Fprintf(w, "| %s%s | %d | %d | %.*f | %s | %.1f | %.1f | %.2f | %.0f | %.2f |\n", r.title(c.Server), star, c.Concurrency, c.Messages,
			decimals(c.PerSecond), c.PerSecond, ratio, c.P50, c.P99, c.CPU, float64(c.Memory)/(1<<20), c.Out/float64(c.Message))
	}
	for _, n := range notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	fmt.Fprintf(w, "\n| goal | | here | met |\n|---|---|---:|---|\n")
	for _, g := range r.Goals {
		if g.Size != size {
			continue
		}
		value := "-"
		if g.Met != "not measured" {
			value = fmt.Sprintf(g.format, g.Value)
		}
		if g.Server != "pli" {
			g.Text += " (" + r.title(g.Server) + ")"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", g.Number, g.Text, value, g.Met)
	}
	if pli, ok := r.find("pli", size, goalConcurrency(size)); ok {
		fmt.Fprintf(w, "\nAt c = %d Pli used %.2f of %d cores, client and next hop %.2f; the machine was %.0f %% busy.\n",
			pli.Concurrency, pli.Own, r.Machine.Cores, pli.Ours, pli.Busy*100)
	}
}

func decimals(perSecond float64) int {
	if perSecond < 100 {
		return 1
	}
	return 0
}

func (r *report) writeJSON(path string) error {
	raw, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
