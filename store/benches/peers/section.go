package main

import "strings"

// withSection is the document with this section in the place of the one with its heading, or at the end. A section ends
// before the next heading of its level; those of others stay as they are.
func withSection(document, heading, section string) string {
	var before, after strings.Builder
	part := &before
	for line := range strings.Lines(document) {
		switch {
		case strings.TrimSpace(line) == heading:
			part = nil
		case part == nil && strings.HasPrefix(line, "## "):
			part = &after
		}
		if part != nil {
			part.WriteString(line)
		}
	}
	gap := ""
	if after.Len() > 0 {
		gap = "\n"
	}
	return strings.TrimRight(before.String(), " \n") + "\n\n" + strings.TrimSpace(section) + "\n" + gap + after.String()
}
