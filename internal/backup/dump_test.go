package backup

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// No password is among a program's arguments, where anybody on the host reads it,
// wherever in the database's address it stands.
func TestPasswordIsNoArgument(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://pli:geheim@db/pli?sslmode=require", "postgres://pli@db/pli?password=geheim&sslmode=require&sslpassword=geheim"} {
		cmd, _, err := postgres(context.Background(), "true", address)
		if err != nil {
			t.Fatal(err)
		}
		if args := strings.Join(cmd.Args, " "); strings.Contains(args, "geheim") || !strings.Contains(args, "sslmode=require") {
			t.Errorf("arguments %s", args)
		}
		if !slices.Contains(cmd.Env, "PGPASSWORD=geheim") {
			t.Errorf("%s: no password", address)
		}
	}
}
