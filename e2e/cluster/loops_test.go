package main

import "testing"

func TestALoopDeviceIsKnownByItsFile(t *testing.T) {
	folder := "/home/me/logstore/target/cluster/nodes/node1/"
	for file, want := range map[string]bool{
		"/home/me/logstore/target/cluster/nodes/node1/volumes/pvc-1.img":           true,
		"/home/me/logstore/target/cluster/nodes/node1/volumes/pvc-1.img (deleted)": true,
		// /home is a file system of its own, and the node that had it mounted is dead.
		"/me/logstore/target/cluster/nodes/node1/volumes/pvc-1.img":         true,
		"/home/me/logstore/target/cluster/nodes/node10/volumes/pvc-1.img":   false,
		"/home/me/logstore/target/cluster/nodes/node2/volumes/pvc-1.img":    false,
		"/home/you/logstore/target/cluster/nodes/node1/volumes/pvc-1.img":   false,
		"/home/me/images/disk.img":                                          false,
		"/home/me/logstore/target/cluster/nodes":                            false,
		"/backup/home/me/logstore/target/cluster/nodes/node1/volumes/x.img": false,
	} {
		if got := (loop{device: "/dev/loop0", file: file}).in(folder); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}
