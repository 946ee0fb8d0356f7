package main

import (
	"fmt"
	"os"
	"strings"
)

// saved is what `down` must know to put the machine back as it was.
type saved struct {
	// Boot is the boot of the machine in which the cluster was started. After another one, nothing of it can run.
	Boot string `json:"boot"`
	// Sysctls holds the values of before.
	Sysctls map[string]string `json:"sysctls"`
	// Controllers are those which were enabled for the children of the top cgroup (cgroup v2 only).
	Controllers []string `json:"controllers"`
}

func loadSaved(paths layout) (saved, error) {
	var found saved
	return found, readJSON(paths.in("saved.json"), &found)
}

func (s saved) store(paths layout) error { return writeJSON(paths.in("saved.json"), s) }

func currentBoot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("failed to read the id of this boot: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
