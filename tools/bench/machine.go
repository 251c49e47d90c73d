package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// machine is what the figures stand on.
type machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryMiB int64   `json:"memory_mib"`
	Kernel    string  `json:"kernel"`
	System    string  `json:"system"`
	Disk      string  `json:"file_system"` // of the directory
	FsyncP50  float64 `json:"fsync_p50_ms"`
	FsyncP99  float64 `json:"fsync_p99_ms"`
	Load      string  `json:"load_average_before"`
	Postfix   string  `json:"postfix,omitempty"`
	GnuPG     string  `json:"gnupg,omitempty"`
	Go        string  `json:"go"`
	Account   string  `json:"cpu_account"`
}

func look(ctx context.Context, dir string) (machine, error) {
	m := machine{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Kernel: first("/proc/sys/kernel/osrelease"),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`), Load: first("/proc/loadavg"), Go: runtime.Version(), Account: "/proc",
	}
	if m.CPU == "" {
		m.CPU = runtime.GOARCH
	}
	fmt.Sscan(field("/proc/meminfo", "MemTotal"), &m.MemoryMiB)
	m.MemoryMiB >>= 10
	if out, err := command(ctx, "", nil, "df", "--output=fstype,source", dir); err == nil {
		_, last, _ := strings.Cut(strings.TrimSpace(out), "\n")
		m.Disk = strings.Join(strings.Fields(last), " ")
	}
	if out, err := command(ctx, "", nil, "postconf", "-dh", "mail_version"); err == nil {
		m.Postfix = strings.TrimSpace(out)
	}
	if out, err := command(ctx, "", nil, "gpg", "--version"); err == nil {
		line, _, _ := strings.Cut(out, "\n")
		m.GnuPG = line[strings.LastIndexByte(line, ' ')+1:]
	}
	var err error
	m.FsyncP50, m.FsyncP99, err = fsync(dir)
	return m, err
}

// fsync times 200 flushes of 4 KiB appended to a file, which is what a durable 250 cannot do without.
func fsync(dir string) (p50, p99 float64, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block, took := make([]byte, 4<<10), make([]time.Duration, 200)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return quantile(took, 0.50), quantile(took, 0.99), nil
}

// field is the value of the first line "key: value" or "key=value".
func field(path, key string) string {
	raw, _ := os.ReadFile(path)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return ""
}

func first(path string) string {
	raw, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimSpace(line)
}
