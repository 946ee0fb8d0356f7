package main

import (
	"fmt"
	"time"
)

// begun is when this command started; every line of progress is measured from there.
var begun = time.Now()

const progressInterval = 10 * time.Second

// say prints a line of progress: the same on a terminal and in a CI log.
func say(format string, values ...any) {
	fmt.Printf("[%5.1f s] %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, values...))
}

// wait is something that takes time until it is so.
type wait struct {
	// what completes "waiting until …".
	what  string
	limit time.Duration
	// pause is the time between two looks.
	pause time.Duration
	// logs are the files whose ends explain why it did not come.
	logs []string
}

// until looks again and again. The look says what is missing, and nothing when it is so; its error ends the wait at once.
func (w wait) until(look func() (missing string, err error)) error {
	start := time.Now()
	said := start
	for {
		missing, err := look()
		if err != nil {
			return withLogs(fmt.Errorf("failed while waiting until %s: %w", w.what, err), w.logs...)
		}
		if missing == "" {
			return nil
		}
		if time.Since(start) > w.limit {
			return withLogs(fmt.Errorf("waited %s in vain until %s: %s", w.limit, w.what, missing), w.logs...)
		}
		if time.Since(said) > progressInterval {
			said = time.Now()
			say("waiting until %s: %s", w.what, missing)
		}
		time.Sleep(w.pause)
	}
}
