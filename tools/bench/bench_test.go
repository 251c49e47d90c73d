package main

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// The client's messages arrive at the sink, each once, as they were made.
func TestClientToSink(t *testing.T) {
	t.Parallel()
	s, err := newSink()
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	for _, size := range []int{4 << 10, 20 << 10, 100 << 10, 1 << 20} {
		m := newMail(size)
		if m.size > size || m.size < size-size/50-200 {
			t.Errorf("a mail of %d octets has %d", size, m.size)
		}
		arrived := s.expect(50, true)
		out := load{to: s.address(), mail: m, run: arrived.number, count: 50, conns: 7}.send(t.Context())
		arrived.wait(t.Context(), 0)
		if out.problem != nil || out.accepted != 50 || out.refused != 0 || arrived.left != 0 || arrived.twice != 0 || arrived.strange != 0 {
			t.Fatalf("sent %+v; %d not here, %d twice, %d strange", out, arrived.left, arrived.twice, arrived.strange)
		}
		if mean := arrived.octets / 50; mean > int64(m.size) || mean < int64(m.size)-12 {
			t.Errorf("%d octets arrived of %d", mean, m.size)
		}
		if !bytes.Contains(arrived.kept, []byte(phrase)) {
			t.Error("the text did not arrive")
		}
	}
}

// What comes late from the run before counts for nothing.
func TestLateMessage(t *testing.T) {
	t.Parallel()
	s := &sink{run: &arrivals{}}
	before := s.expect(1, false)
	now := s.expect(1, false)
	now.taken("m1.0@"+recipientDomain, 10, nil)
	if now.left != 1 || now.strange != 1 || before.left != 1 {
		t.Errorf("left %d and %d, strange %d", before.left, now.left, now.strange)
	}
	now.taken("m2.0@"+recipientDomain, 10, nil)
	now.taken("m2.0@"+recipientDomain, 10, nil)
	if now.left != 0 || now.twice != 1 || now.octets != 10 {
		t.Errorf("left %d, twice %d, octets %d", now.left, now.twice, now.octets)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(i+1)*time.Millisecond)
	}
	for q, want := range map[float64]float64{0.5: 50, 0.99: 99, 1: 100, 0.001: 1} {
		if got := quantile(took, q); got != want {
			t.Errorf("quantile %g is %g, not %g", q, got, want)
		}
	}
	if got := quantile(slices.Repeat(took[:1], 3), 0.99); got != 1 {
		t.Errorf("quantile of three is %g", got)
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"4k": 4 << 10, "25m": 25 << 20, "3000": 3000} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%s is %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "k", "0", "51m", "-4k", "4g", "9223372036854775807k"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
}
