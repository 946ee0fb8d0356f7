package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// loop is a loop device in use.
type loop struct {
	device string
	file   string
}

func readLoops() ([]loop, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var all []loop
	for _, file := range files {
		backing, err := os.ReadFile(file)
		if err != nil {
			// The device was freed meanwhile.
			continue
		}
		device := filepath.Base(filepath.Dir(filepath.Dir(file)))
		all = append(all, loop{device: "/dev/" + device, file: strings.TrimSpace(string(backing))})
	}
	return all, nil
}

// in tells whether the device's file is in a folder. Once the node is dead, the kernel names the file from the root of
// the file system that it is on, so the name may lack its first parts.
func (l loop) in(folder string) bool {
	below := filepath.Join("target", "cluster", "nodes")
	_, inOwn, found := strings.Cut(l.file, "/"+below+"/")
	_, wanted, _ := strings.Cut(folder, "/"+below+"/")
	prefix := strings.TrimSuffix(l.file, "/"+below+"/"+inOwn)
	root, _, _ := strings.Cut(folder, "/"+below)
	return found && strings.HasPrefix(inOwn, wanted) && strings.HasSuffix(root, prefix)
}

// releaseLimit is how long a device gets to free itself, as it does soon after its last mount.
const releaseLimit = 5 * time.Second

// releaseLoops waits until no loop device has its file in a folder, and frees the ones that stay.
func releaseLoops(folder string) error {
	start := time.Now()
	waiting := wait{what: "the volumes in " + folder + " are unmounted", limit: endLimit, pause: 10 * time.Millisecond}
	return waiting.until(func() (string, error) {
		all, err := readLoops()
		if err != nil {
			return "", err
		}
		for _, loop := range all {
			if !loop.in(folder) {
				continue
			}
			if time.Since(start) > releaseLimit {
				_ = runCommand("losetup", "--detach", loop.device)
			}
			return fmt.Sprintf("%s still holds %s", loop.device, loop.file), nil
		}
		return "", nil
	})
}
