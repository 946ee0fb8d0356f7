package main

import (
	_ "embed"
	"strings"
)

// goMod pins what the peers and their clients are.
//
//go:embed go.mod
var goMod string

// moduleVersion is the version of a module that go.mod pins.
func moduleVersion(module string) string {
	for line := range strings.Lines(goMod) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) >= 2 && words[0] == module {
			return strings.TrimPrefix(words[1], "v")
		}
	}
	return "unknown"
}
