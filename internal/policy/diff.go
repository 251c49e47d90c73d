package policy

import (
	"fmt"
	"strings"
)

// DiffLine is one line of a comparison. Old and New count from 1; 0 means that
// the line is not in that text. A line with neither stands for lines left out.
type DiffLine struct {
	Old, New int
	Text     string
}

// Sign is -, + or a space, as in a unified diff; "…" for lines left out.
func (l DiffLine) Sign() string {
	switch {
	case l.Old == 0 && l.New == 0:
		return "…"
	case l.New == 0:
		return "-"
	case l.Old == 0:
		return "+"
	}
	return " "
}

const (
	diffAround = 3       // lines that are the same around what is not
	diffMost   = 4 << 20 // pairs of lines that are compared; beyond, the whole middle counts as changed
)

// Diff compares two texts line by line; nil where they are the same.
func Diff(before, after string) []DiffLine {
	a, b := lines(before), lines(after)
	first := 0
	for first < len(a) && first < len(b) && a[first] == b[first] {
		first++
	}
	last := 0
	for last < len(a)-first && last < len(b)-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	if first == len(a) && first == len(b) {
		return nil
	}
	var out []DiffLine
	same := func(i, j int) { out = append(out, DiffLine{i + 1, j + 1, a[i]}) }
	for i := range first {
		same(i, i)
	}
	middleA, middleB := a[first:len(a)-last], b[first:len(b)-last]
	i, j := 0, 0
	for _, k := range common(middleA, middleB) {
		for ; i < k[0]; i++ {
			out = append(out, DiffLine{first + i + 1, 0, middleA[i]})
		}
		for ; j < k[1]; j++ {
			out = append(out, DiffLine{0, first + j + 1, middleB[j]})
		}
		if i < len(middleA) && j < len(middleB) {
			same(first+i, first+j)
			i, j = i+1, j+1
		}
	}
	for k := last; k > 0; k-- {
		same(len(a)-k, len(b)-k)
	}
	return shorten(out)
}

// lines splits a text. It ends with an end of line or not, which says nothing.
func lines(s string) []string {
	s = strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// common are the places of a longest common subsequence, and the ends of both.
func common(a, b []string) (out [][2]int) {
	end := [2]int{len(a), len(b)}
	if len(a)*len(b) > diffMost {
		return append(out, end)
	}
	width := len(b) + 1
	longest := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i*width+j] = longest[(i+1)*width+j+1] + 1
			} else {
				longest[i*width+j] = max(longest[(i+1)*width+j], longest[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case longest[(i+1)*width+j] >= longest[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return append(out, end)
}

// shorten leaves out what is the same and not near to what is not.
func shorten(all []DiffLine) (out []DiffLine) {
	near := make([]bool, len(all))
	for i, l := range all {
		if l.Sign() != " " {
			for k := max(0, i-diffAround); k <= min(len(all)-1, i+diffAround); k++ {
				near[k] = true
			}
		}
	}
	for i, l := range all {
		switch {
		case near[i]:
			out = append(out, l)
		case i == 0 || near[i-1]:
			out = append(out, DiffLine{})
		}
	}
	return out
}

// Unified writes a comparison for a terminal: the sign, then the line.
func Unified(list []DiffLine) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "%s%s\n", l.Sign(), l.Text)
	}
	return b.String()
}
