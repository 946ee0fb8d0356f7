package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// hiddenFolders are those of the machine that a node has for itself, empty at each start: sockets, locks, and what
// programs keep in fixed places. So nodes do not meet there, and nothing of them stays on the machine.
var hiddenFolders = []string{"/run", "/var/lib", "/var/log"}

// setUpMounts makes the file system that a node sees. It runs in the node's own mount namespace.
func setUpMounts(paths layout, self node) error {
	// Nothing that is mounted here may appear outside; inside, a container's mounts reach the kubelet.
	if err := mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("none", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := forgetNetworks(); err != nil {
		return err
	}
	if err := hideFolders(paths.state, paths.cache); err != nil {
		return err
	}
	for folder, place := range nodeDisk {
		if err := bind(paths.node(self, folder), place); err != nil {
			return err
		}
	}
	return nil
}

// forgetNetworks drops the copies of other people's network namespaces: they would live as long as this node.
func forgetNetworks() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, point := range mountsBelow(mounts, "/run/netns") {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("failed to unmount %s: %w", point, err)
		}
	}
	return nil
}

// hideFolders puts an empty file system over each hidden folder. What must stay visible, as when the checkout itself is in
// /var/lib, is opened before and mounted again behind.
func hideFolders(visible ...string) error {
	opened := map[string]*os.File{}
	for _, path := range visible {
		if !hidden(path) {
			continue
		}
		folder, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("failed to open %s: %w", path, err)
		}
		defer folder.Close()
		opened[path] = folder
	}
	for _, folder := range hiddenFolders {
		if err := mount("tmpfs", folder, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
			return err
		}
	}
	for path, folder := range opened {
		if err := bind(fmt.Sprintf("/proc/self/fd/%d", folder.Fd()), path); err != nil {
			return err
		}
	}
	return nil
}

func hidden(path string) bool {
	for _, folder := range hiddenFolders {
		if strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

func bind(source, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("failed to make mount point %s: %w", target, err)
	}
	return mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, "")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("failed to mount %s on %s: %w", source, target, err)
	}
	return nil
}
