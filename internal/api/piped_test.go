package api

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPipedBreaksOff(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(io.Writer) error{
		"fails": func(w io.Writer) error {
			return errors.Join(second(io.WriteString(w, "half")), errors.New("the rest is gone"))
		},
		"panics": func(w io.Writer) error { io.WriteString(w, "half"); panic("the rest is gone") },
	} {
		s := piped("x.csv", write)
		got, err := io.ReadAll(s)
		if string(got) != "half" || err == nil || !strings.Contains(err.Error(), "the rest is gone") {
			t.Errorf("what %s reads as %q, %v", name, got, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
