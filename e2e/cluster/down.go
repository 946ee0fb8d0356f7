package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// keptFiles stay in target/cluster after `down`: what a person wants to read then. The next `up` removes them.
var keptFiles = map[string]bool{"lock": true, "logs": true, "audit.log": true}

// down removes everything, whatever state it is in. Each step does what it can and the next ones follow: a step that
// fails must not keep the rest of the machine from being put back.
func down(paths layout) error {
	owner, found, err := bridgeOwner()
	if err != nil {
		return err
	}
	if found && owner != ownerOf(paths) && owner != "" && exists(owner) {
		say("no cluster of this checkout runs; the one on this machine is that of %s", owner)
		return nil
	}
	if found && owner != "" {
		// The checkout may be gone; its cluster is not.
		paths = newPaths(owner, paths.cache)
	}
	before, err := loadSaved(paths)
	if err != nil || found && before.Boot == "" {
		say("the notes of the cluster are gone (%v); the sysctls %v stay as the kubelets set them", err, kubeletSysctls)
	}
	err = errors.Join(
		endProcesses(paths),
		killGroup(topGroup),
		clearNodes(paths),
		unmountAll(paths),
		removeGroup(topGroup),
		unpark(before.Controllers),
		closeFirewall(),
		restoreSysctls(before.Sysctls),
		os.RemoveAll("/run/"+topGroup),
	)
	if err != nil {
		return fmt.Errorf("not everything could be removed; run `down` again once the cause is gone: %w", err)
	}
	// The notes and the mark on the machine go last: as long as there is anything to remove, `down` must know.
	if err := errors.Join(removeFiles(paths), removeBridge()); err != nil {
		return err
	}
	if !found && before.Boot == "" {
		say("no cluster was running")
		return nil
	}
	say("the cluster is gone")
	return nil
}

// endProcesses ends the nodes, then the control plane. Only a process that is still the one recorded is touched.
func endProcesses(paths layout) error {
	all, err := loadProcesses(paths)
	if err != nil {
		return err
	}
	boot, err := currentBoot()
	if err != nil {
		return err
	}
	before, err := loadSaved(paths)
	if err == nil && before.Boot != boot {
		return nil
	}
	var errs []error
	for _, isNode := range []bool{true, false} {
		for _, process := range all {
			if _, err := findNode(process.Name); (err == nil) == isNode {
				errs = append(errs, process.kill())
			}
		}
	}
	return errors.Join(errs...)
}

func clearNodes(paths layout) error {
	var errs []error
	for _, node := range nodes {
		errs = append(errs, clearNode(paths, node))
	}
	return errors.Join(errs...)
}

// unmountAll removes mounts in the folder of the cluster. The nodes' own mounts are not visible here; these are what a
// person may have mounted to look at a volume.
func unmountAll(paths layout) error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, point := range mountsBelow(mounts, paths.state) {
		if err := syscall.Unmount(point, 0); err != nil {
			errs = append(errs, fmt.Errorf("failed to unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

func removeFiles(paths layout) error {
	return removeFrom(paths, func(name string) bool { return !keptFiles[name] })
}

func removeOldLogs(paths layout) error {
	return removeFrom(paths, func(name string) bool { return name == "logs" || name == "audit.log" })
}

func removeFrom(paths layout, wanted func(string) bool) error {
	entries, err := os.ReadDir(paths.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to list the folder of the cluster: %w", err)
	}
	for _, entry := range entries {
		if !wanted(entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(paths.state, entry.Name())); err != nil {
			return fmt.Errorf("failed to remove files of the cluster: %w", err)
		}
	}
	return nil
}
