package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// lockLimit is longer than the first build of Kubernetes takes on a small machine.
const lockLimit = 30 * time.Minute

// locked runs one command at a time per checkout. The kernel frees the lock when the launcher ends, however it ends.
func locked(paths layout, command string, act func(layout) error) error {
	if err := ensureRoot(); err != nil {
		return err
	}
	if err := os.MkdirAll(paths.state, 0o755); err != nil {
		return fmt.Errorf("failed to make the folder of the cluster: %w", err)
	}
	file := paths.in("lock")
	lock, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("failed to open %s: %w", file, err)
	}
	defer lock.Close()
	waiting := wait{what: "the other command of this checkout is through", limit: lockLimit, pause: 100 * time.Millisecond}
	err = waiting.until(func() (string, error) {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return "", nil
		}
		holder, _ := os.ReadFile(file)
		return strings.TrimSpace(string(holder)) + " is at work", nil
	})
	if err != nil {
		return err
	}
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("failed to empty %s: %w", file, err)
	}
	if _, err := fmt.Fprintf(lock, "`%s` (process %d)\n", command, os.Getpid()); err != nil {
		return fmt.Errorf("failed to write %s: %w", file, err)
	}
	return act(paths)
}
