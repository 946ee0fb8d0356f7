package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestAProcessThatEndsEarlySaysWhy(t *testing.T) {
	started, err := startProcess("a server", t.TempDir(), exec.Command("sh", "-c", "echo no room >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	defer started.end()
	err = started.await(t.Context(), func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
}

func TestProcessesEndWithWhatTheyHaveStarted(t *testing.T) {
	var started [2]*process
	for number := range started {
		var err error
		command := exec.Command("sh", "-c", "sleep 1000 & wait")
		if started[number], err = startProcess("a server", t.TempDir(), command); err != nil {
			t.Fatal(err)
		}
	}
	hasEnded := func(number int) bool {
		select {
		case <-started[number].ended:
			return true
		default:
			return false
		}
	}
	endAllBut(map[*process]bool{started[1]: true})
	if !hasEnded(0) || hasEnded(1) {
		t.Errorf("the first has ended: %t, the one to keep: %t", hasEnded(0), hasEnded(1))
	}
	endAllBut(nil)
	if !hasEnded(1) || len(runningNow()) > 0 {
		t.Errorf("%d still run", len(runningNow()))
	}
}

func TestACommandThatFailsSaysWhatItPrinted(t *testing.T) {
	_, err := runCommand(t.Context(), exec.Command("sh", "-c", "echo out of luck; exit 1"))
	if err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Error(err)
	}
}

func TestACommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := runCommand(ctx, exec.Command("sh", "-c", "sleep 1000"))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}
