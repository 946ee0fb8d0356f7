package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile replaces a file at once: a launcher that is killed leaves the old or the new one.
func writeFile(file string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("failed to make the folder of %s: %w", file, err)
	}
	incomplete := file + ".new"
	if err := os.WriteFile(incomplete, content, mode); err != nil {
		return fmt.Errorf("failed to write %s: %w", file, err)
	}
	if err := os.Rename(incomplete, file); err != nil {
		return fmt.Errorf("failed to replace %s: %w", file, err)
	}
	return nil
}

func writeJSON(file string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode %s: %w", file, err)
	}
	return writeFile(file, append(content, '\n'), 0o644)
}

// readJSON leaves the value as it is where there is no file.
func readJSON(file string, value any) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to read %s: %w", file, err)
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("failed to decode %s (`down` removes it): %w", file, err)
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
