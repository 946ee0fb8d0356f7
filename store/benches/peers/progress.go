package main

import (
	"fmt"
	"os"
	"time"
)

// begun is when this program started; every line of progress is measured from there.
var begun = time.Now()

// say prints a line of progress: the same on a terminal and in a CI log.
func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "[%5.1f s] %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, values...))
}
