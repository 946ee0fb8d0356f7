package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const tailLines = 15

// withLogs adds the ends of logs to an error.
func withLogs(err error, files ...string) error {
	for _, file := range files {
		content, readErr := os.ReadFile(file)
		if readErr != nil || len(content) == 0 {
			err = fmt.Errorf("%w\n%s is empty or missing", err, file)
			continue
		}
		err = fmt.Errorf("%w\nthe end of %s:\n%s", err, file, tail(string(content), tailLines))
	}
	return err
}

func tail(text string, count int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > count {
		lines = lines[len(lines)-count:]
	}
	return "  " + strings.Join(lines, "\n  ")
}

// openLog appends: what a component wrote before it was started again is often the reason.
func openLog(file string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("failed to make the folder of logs: %w", err)
	}
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("failed to open log %s: %w", file, err)
	}
	return log, nil
}
