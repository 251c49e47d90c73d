package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// family is a server's processes, all of them, with those that are long gone. Where the machine lets it, it is a
// control group (version 2), whose account is exact. Elsewhere it is the first process and whatever /proc says
// descends from it, together with the dead that were waited for: ticks of 10 ms, and an orphan counts for nothing.
type family struct {
	group string // directory, or empty
	first int    // process id
}

func newFamily(name string) *family {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		dir := filepath.Join(f[1], fmt.Sprintf("pli-bench-%d-%s", os.Getpid(), name))
		if os.Mkdir(dir, 0o755) == nil {
			return &family{group: dir}
		}
	}
	return &family{}
}

// start starts a program as a member, in a process group of its own: an interrupt from the terminal is for the bench,
// which then stops its servers in order.
func (f *family) start(out *os.File, argv ...string) (*exec.Cmd, error) {
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if f.group != "" {
		dir, err := os.Open(f.group)
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	err := c.Start()
	if err != nil && f.group != "" { // there, but not for us
		os.Remove(f.group)
		f.group = ""
		return f.start(out, argv...)
	}
	if err != nil {
		return nil, err
	}
	f.first = c.Process.Pid
	return c, nil
}

// end kills whoever is left.
func (f *family) end() {
	if f.group == "" {
		for _, pid := range f.members() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return
	}
	if os.WriteFile(filepath.Join(f.group, "cgroup.kill"), []byte("1"), 0) != nil { // before Linux 5.14
		for _, pid := range f.members() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for range 100 { // a group can be removed when its last process is gone
		if err := os.Remove(f.group); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// members are the process ids.
func (f *family) members() []int {
	var out []int
	if f.group != "" {
		raw, _ := os.ReadFile(filepath.Join(f.group, "cgroup.procs"))
		for s := range strings.FieldsSeq(string(raw)) {
			pid, _ := strconv.Atoi(s)
			out = append(out, pid)
		}
		return out
	}
	children := map[int][]int{}
	for pid, fields := range processes() {
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", f.first)); err != nil {
		return nil
	}
	out = []int{f.first}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}

// cpu is the processor time that the family has used.
func (f *family) cpu() time.Duration {
	if f.group != "" {
		raw, _ := os.ReadFile(filepath.Join(f.group, "cpu.stat"))
		for line := range strings.Lines(string(raw)) {
			if v, ok := strings.CutPrefix(line, "usage_usec "); ok {
				us, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
				return time.Duration(us) * time.Microsecond
			}
		}
		return 0
	}
	ticks, all := int64(0), processes()
	for _, pid := range f.members() {
		for i := 11; i <= 14 && len(all[pid]) > 14; i++ { // utime, stime, and those of the children waited for
			n, _ := strconv.ParseInt(all[pid][i], 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// processes reads every /proc/PID/stat, from the third field (state) on.
func processes() map[int][]string {
	out := map[int][]string{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(p, "/")[2])
		if f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])); len(f) > 1 { // the name may have blanks
			out[pid] = f
		}
	}
	return out
}

// watchMemory returns a function that says the family's largest memory since. One process has a mark for it that
// can be set back (VmHWM); of several it is the sum of what is theirs alone (RssAnon), looked at twice a second.
func (f *family) watchMemory(ctx context.Context) (peak func() int64) {
	if m := f.members(); len(m) == 1 {
		os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", m[0]), []byte("5"), 0)
		return func() int64 { return memory(m[0], "VmHWM:") }
	}
	ctx, stop := context.WithCancel(ctx)
	var largest int64
	var wg sync.WaitGroup
	look := func() {
		var sum int64
		for _, pid := range f.members() {
			sum += memory(pid, "RssAnon:")
		}
		largest = max(largest, sum)
	}
	wg.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			look()
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() int64 {
		stop()
		wg.Wait()
		look()
		return largest
	}
}

// memory reads one line of /proc/PID/status, in octets.
func memory(pid int, key string) int64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, key); ok {
			kib, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
