package main

import (
	"strings"
	"testing"
)

func TestANodeReachesTheServicesAndTheOtherNodesPodsAndNothingElse(t *testing.T) {
	var routes []string
	for _, command := range nodeNetwork(nodes[1]) {
		if command[0] == "route" {
			routes = append(routes, strings.Join(command[2:], " "))
		}
	}
	want := "10.96.0.0/16 via 172.30.0.1, 10.244.1.0/24 via 172.30.0.11, 10.244.3.0/24 via 172.30.0.13"
	if got := strings.Join(routes, ", "); got != want {
		t.Errorf("got %s", got)
	}
}

func TestNamesOfInterfacesFit(t *testing.T) {
	// The kernel takes fifteen characters.
	for _, name := range []string{bridge, nodes[2].cable()} {
		if len(name) > 15 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
}

func TestAnOwnerThatIsTooLongIsCutTheSameWayEachTime(t *testing.T) {
	paths := newPaths("/"+strings.Repeat("long/", 100)+"checkout", "/cache")
	if owner := ownerOf(paths); len(owner) != ownerMax || !strings.HasSuffix(owner, "/checkout") {
		t.Errorf("got %d characters: %s", len(owner), owner)
	}
}

func TestAnUnknownNodeIsRefusedWithTheKnownOnes(t *testing.T) {
	if _, err := findNode("node4"); err == nil || !strings.Contains(err.Error(), "node1, node2, node3") {
		t.Errorf("got %v", err)
	}
}
