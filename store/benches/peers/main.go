// Command peers does the same work on logstore and on the stores that a user could pick in its place, at the same
// durability on the same machine, and writes the section "Against peers" of docs/benchmarks.md. It installs the peers
// itself, starts each as a process of its own and loads it with its own best client.
//
// Read measure.go first: it is the table of contents. A store is a file or two (logstore.go, nats.go, redis.go, kafka.go);
// what is the same for all is work.go, rounds.go and closed.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// exitInterrupted is what a shell gives for a program that was ended with Ctrl-C.
const exitInterrupted = 130

func main() {
	options, err := parseOptions(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, options)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "peers: interrupted; nothing was kept")
		os.Exit(exitInterrupted)
	case err != nil:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run measures with the folder of this run locked, and leaves neither a process nor data behind.
func run(ctx context.Context, options options) (err error) {
	unlock, err := options.paths.claim()
	if err != nil {
		return err
	}
	defer unlock()
	defer func() { err = errors.Join(err, options.paths.clear()) }()
	defer endAllBut(nil)
	return measure(ctx, options)
}
