package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is what is remembered of a process that runs on: its number alone could belong to another one by now, its
// number and the time at which it started cannot.
type process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

func (p layout) processFile(name string) string { return p.in("processes", name+".json") }

func loadProcess(paths layout, name string) (process, error) {
	found := process{Name: name}
	return found, readJSON(paths.processFile(name), &found)
}

func loadProcesses(paths layout) ([]process, error) {
	files, err := filepath.Glob(paths.processFile("*"))
	if err != nil {
		return nil, err
	}
	var all []process
	for _, file := range files {
		found, err := loadProcess(paths, strings.TrimSuffix(filepath.Base(file), ".json"))
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// alive tells whether the process still runs. One that has ended and waits to be reaped does not.
func (p process) alive() bool {
	if p.PID == 0 {
		return false
	}
	start, state, err := readProcess(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// daemonEnvironment is all that a process of the cluster gets of the environment: what a person has set for their shell is
// nothing for it.
var daemonEnvironment = []string{"PATH=" + searchPath, "HOME=/root"}

// daemon is a process to start.
type daemon struct {
	name    string
	group   string
	command []string
	// namespaces are those that the process gets for itself.
	namespaces uintptr
}

// startDaemon starts a process that outlives the launcher, in its cgroup from its first instruction on: whatever happens
// to the launcher then, `down` finds the process there.
func startDaemon(paths layout, daemon daemon) (process, error) {
	launcher, err := launcherFile()
	if err != nil {
		return process{}, err
	}
	log, err := openLog(paths.log(daemon.name))
	if err != nil {
		return process{}, err
	}
	defer log.Close()
	command := exec.Command(launcher, append([]string{"contained", daemon.group}, daemon.command...)...)
	command.Dir = "/"
	command.Env = daemonEnvironment
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: daemon.namespaces}
	if err := command.Start(); err != nil {
		return process{}, fmt.Errorf("failed to start %s: %w", daemon.name, err)
	}
	started := process{Name: daemon.name, PID: command.Process.Pid}
	// Its end must not leave a zombie while this launcher still waits for it.
	go func() { _ = command.Wait() }()
	if started.Start, _, err = readProcess(started.PID); err != nil {
		return process{}, withLogs(fmt.Errorf("%s ended at once: %w", daemon.name, err), paths.log(daemon.name))
	}
	return started, writeJSON(paths.processFile(daemon.name), started)
}

const endLimit = 20 * time.Second

// kill ends the process at once and waits until it is gone.
func (p process) kill() error {
	// The handle names this very process, so nothing can come between the look at it and its end.
	handle, err := os.FindProcess(p.PID)
	if err != nil || !p.alive() {
		return nil
	}
	defer func() { _ = handle.Release() }()
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("failed to kill %s (process %d): %w", p.Name, p.PID, err)
	}
	waiting := wait{what: fmt.Sprintf("%s (process %d) has ended", p.Name, p.PID), limit: endLimit, pause: 5 * time.Millisecond}
	return waiting.until(func() (string, error) {
		if p.alive() {
			return "it runs", nil
		}
		return "", nil
	})
}

func readProcess(pid int) (start uint64, state byte, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(stat))
}

// parseStat reads the start and the state from a line of the form of proc_pid_stat(5). The name in parentheses may hold
// anything, so the fields are counted from the last one that closes.
func parseStat(stat string) (start uint64, state byte, err error) {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	// The state is the third field of the line and the start the twenty-second.
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("unexpected form of a process's stat: %q", stat)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("unexpected start time in a process's stat: %w", err)
	}
	return start, fields[0][0], nil
}
