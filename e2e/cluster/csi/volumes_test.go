package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAVolumeIDThatLeavesTheFolderIsRefused(t *testing.T) {
	for _, id := range []string{"", "..", "../other", "a/b", ".hidden"} {
		if file, err := (volumes{folder: "/volumes"}).file(id); err == nil {
			t.Errorf("id %q became file %s", id, file)
		}
	}
}

func TestAVolumeGrowsAndNeverShrinks(t *testing.T) {
	v := volumes{folder: t.TempDir()}
	if err := writeSparse(filepath.Join(v.folder, "pvc-1.img"), 1000); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ required, size int64 }{{3000, 3000}, {2000, 3000}, {0, 3000}} {
		size, err := v.grow("pvc-1", step.required)
		if err != nil || size != step.size {
			t.Errorf("required %d: got %d, %v, want %d", step.required, size, err, step.size)
		}
	}
	found, err := os.Stat(filepath.Join(v.folder, "pvc-1.img"))
	if err != nil || found.Size() != 3000 {
		t.Errorf("the file has %v, %v", found, err)
	}
}

func TestAMissingVolumeIsNotGrown(t *testing.T) {
	if _, err := (volumes{folder: t.TempDir()}).grow("pvc-1", 1); err == nil {
		t.Error("it grew")
	}
}

func TestTheDeviceIsThatOfTheTopmostMount(t *testing.T) {
	table := "24 1 0:21 / /other rw - proc proc rw\n" +
		"41 24 7:0 / /staging rw,relatime shared:1 - xfs /dev/loop0 rw\n" +
		"42 41 7:1 / /staging rw,relatime shared:2 - xfs /dev/loop3 rw\n"
	if device := findDevice(table, "/staging"); device != "/dev/loop3" {
		t.Errorf("got %q", device)
	}
	if device := findDevice(table, "/stag"); device != "" {
		t.Errorf("nothing is mounted there, got %q", device)
	}
}
