package main

import (
	"fmt"
	"time"
)

const (
	notRunning = exitCode(3)
	degraded   = exitCode(1)
)

// status changes nothing and waits for nobody.
func status(paths layout) error {
	owner, found, err := bridgeOwner()
	switch {
	case err != nil:
		return err
	case !found && !someRun(paths):
		fmt.Println("no cluster runs")
		return notRunning
	case found && owner != ownerOf(paths):
		fmt.Printf("no cluster of this checkout runs; the one on this machine is that of %s\n", owner)
		return notRunning
	}
	well, err := printProcesses(paths)
	if err != nil {
		return err
	}
	if !found {
		well = false
		fmt.Printf("bridge %s is missing\n", bridge)
	}
	for _, node := range nodes {
		state := nodeState(paths, node)
		well = well && state == "ready"
		fmt.Printf("%-24s %-12s %-7s %s\n", node.name, node.address(), node.zone(), state)
	}
	fmt.Printf("kubeconfig: %s\n", paths.kubeconfig())
	if !well {
		return degraded
	}
	return nil
}

func someRun(paths layout) bool {
	for _, name := range processNames(paths) {
		if running, err := loadProcess(paths, name); err == nil && running.alive() {
			return true
		}
	}
	return false
}

func printProcesses(paths layout) (well bool, err error) {
	well = true
	for _, daemon := range controlPlane(paths) {
		running, err := loadProcess(paths, daemon.name)
		if err != nil {
			return false, err
		}
		if !running.alive() {
			well = false
			fmt.Printf("%-24s does not run; the end of its story is in %s\n", daemon.name, paths.log(daemon.name))
			continue
		}
		fmt.Printf("%-24s runs, process %d\n", daemon.name, running.PID)
	}
	return well, nil
}

func nodeState(paths layout, node node) string {
	running, err := loadProcess(paths, node.name)
	if err != nil {
		return err.Error()
	}
	if !running.alive() {
		return "down"
	}
	api, err := newAPI(paths)
	if err != nil {
		return err.Error()
	}
	found, err := api.node(node)
	if err != nil {
		return err.Error()
	}
	if missing := found.notReady(time.Time{}); missing != "" {
		return missing
	}
	return "ready"
}
