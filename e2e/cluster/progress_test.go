package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAWaitEndsWithWhatWasMissingAndTheEndsOfTheLogs(t *testing.T) {
	log := filepath.Join(t.TempDir(), "component.log")
	writeTo(t, log, strings.Repeat("early\n", 100)+"the reason\n")
	waiting := wait{what: "it is there", limit: 20 * time.Millisecond, pause: time.Millisecond, logs: []string{log, log + ".missing"}}
	err := waiting.until(func() (string, error) { return "one of two", nil })
	for _, want := range []string{"until it is there", "one of two", "the reason", "empty or missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err != nil && strings.Count(err.Error(), "early") >= tailLines {
		t.Error("the log is there from its beginning")
	}
}

func TestAWaitEndsAtOnceWithAnError(t *testing.T) {
	start := time.Now()
	err := wait{what: "it is there", limit: time.Minute}.until(func() (string, error) { return "", errEnded })
	if !errors.Is(err, errEnded) || time.Since(start) > time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestTheTailOfAShortLogIsAllOfIt(t *testing.T) {
	if got := tail("a\nb\n", 5); got != "  a\n  b" {
		t.Errorf("got %q", got)
	}
}
