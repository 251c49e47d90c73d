// Package keylines says on which line of a TOML file each key stands, so that
// what is wrong with the file can be shown where it is.
package keylines

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Map is the line of each key and table: "server.listen". The tables of an
// array are counted from 0: "rule[1].name".
type Map map[string]int

// Of is for messages only: what it cannot read has no line.
func Of(data []byte) Map {
	m := Map{}
	var p unstable.Parser
	p.Reset(data)
	count := map[string]int{} // tables of each array
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		line, name := 0, ""
		if e.Kind == unstable.KeyValue {
			name = table
		}
		for it := e.Key(); it.Next(); {
			if line == 0 {
				line = p.Shape(it.Node().Raw).Start.Line
			}
			if n := count[name]; n > 0 && e.Kind != unstable.KeyValue {
				name += "[" + strconv.Itoa(n-1) + "]"
			}
			if name != "" {
				name += "."
			}
			name += string(it.Node().Data)
		}
		switch e.Kind {
		case unstable.ArrayTable:
			if count[name] == 0 {
				m[name] = line
			}
			count[name]++
			name += "[" + strconv.Itoa(count[name]-1) + "]"
			fallthrough
		case unstable.Table:
			table = name
			fallthrough
		case unstable.KeyValue:
			m[name] = line
		}
	}
	return m
}

// Line is the line of name, or of the nearest table around it; 0 if there is none.
func (m Map) Line(name string) int {
	for {
		if n, ok := m[name]; ok {
			return n
		}
		i := strings.LastIndexAny(name, ".[")
		if i < 0 {
			return 0
		}
		name = name[:i]
	}
}
