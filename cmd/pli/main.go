// Command pli seals messages, opens them, and runs the service that does both
// for an organisation.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

// run is main with its exit status, so that everything deferred is done.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	a, err := newApp(os.Stdin, os.Stdout, os.Stderr, os.Getenv, os.Args[1:])
	if err != nil {
		os.Stderr.WriteString("error: " + err.Error() + "\n")
		return exitFailed
	}
	return a.run(ctx, os.Args[1:])
}
