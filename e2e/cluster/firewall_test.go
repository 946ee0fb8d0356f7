package main

import "testing"

func TestRulesAreAddedOnlyWhereSomethingCouldDrop(t *testing.T) {
	for rules, want := range map[string]bool{
		"-P FORWARD ACCEPT\n":                            false,
		"-P FORWARD DROP\n":                              true,
		"-P FORWARD ACCEPT\n-A FORWARD -j DOCKER-USER\n": true,
		"-P FORWARD ACCEPT\n-A FORWARD -i logstore0 -o logstore0 -m comment --comment logstore-cluster -j ACCEPT\n": false,
	} {
		if got := filters(rules); got != want {
			t.Errorf("%q: %v", rules, got)
		}
	}
}
