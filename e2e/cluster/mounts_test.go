package main

import (
	"slices"
	"testing"
)

func TestMountsAreListedInTheOrderToUnmount(t *testing.T) {
	table := "1 0 0:1 / / rw - ext4 /dev/vda rw\n" +
		"2 1 0:2 / /check\\040out/target rw shared:1 master:2 - tmpfs tmpfs rw\n" +
		"3 2 0:3 / /check\\040out/target/inner rw - xfs /dev/loop0 rw\n" +
		"4 1 0:4 / /check\\040outside rw - tmpfs tmpfs rw\n"
	points := mountsBelow(parseMounts(table), "/check out")
	if !slices.Equal(points, []string{"/check out/target/inner", "/check out/target"}) {
		t.Errorf("got %q", points)
	}
}

func TestOnlyWhatIsBelowAHiddenFolderMustBeKeptVisible(t *testing.T) {
	for path, want := range map[string]bool{
		"/var/lib/jenkins/workspace/target/cluster": true,
		"/run/user/0/logstore/target/cluster":       true,
		"/home/me/logstore/target/cluster":          false,
		"/var/library/target/cluster":               false,
	} {
		if got := hidden(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
