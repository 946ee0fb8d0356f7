package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kubeletSysctls are those of the whole machine that a kubelet changes as it starts; each node would.
var kubeletSysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// inotifySysctls have less by default than three kubelets and their pods watch.
var inotifySysctls = map[string]int{
	"fs/inotify/max_user_instances": 1024,
	"fs/inotify/max_user_watches":   131072,
}

func readSysctl(name string) (string, error) {
	value, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return "", fmt.Errorf("failed to read sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

func writeSysctl(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
		return fmt.Errorf("failed to set sysctl %s to %s: %w", name, value, err)
	}
	return nil
}

// readSysctls returns the values that restoreSysctls will need.
func readSysctls() (map[string]string, error) {
	values := map[string]string{}
	names := kubeletSysctls
	for name := range inotifySysctls {
		names = append(names, name)
	}
	for _, name := range names {
		value, err := readSysctl(name)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	return values, nil
}

func raiseInotify() error {
	for name, least := range inotifySysctls {
		value, err := readSysctl(name)
		if err != nil {
			return err
		}
		if current, err := strconv.Atoi(value); err == nil && current >= least {
			continue
		}
		if err := writeSysctl(name, strconv.Itoa(least)); err != nil {
			return err
		}
	}
	return nil
}

func restoreSysctls(before map[string]string) error {
	for name, value := range before {
		current, err := readSysctl(name)
		if err != nil {
			return err
		}
		if current == value {
			continue
		}
		if err := writeSysctl(name, value); err != nil {
			return err
		}
	}
	return nil
}
