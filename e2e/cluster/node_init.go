package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// nodeInit is the first process of a node: it sets up what the node sees, starts its programs, starts again the ones that
// end, and reaps. It does not end; the node ends with it.
func nodeInit(arguments []string) error {
	if len(arguments) != 3 {
		return errUsage
	}
	paths := newPaths(arguments[0], arguments[1])
	self, err := findNode(arguments[2])
	if err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(self.name)); err != nil {
		return fmt.Errorf("failed to set the host name: %w", err)
	}
	if err := setUpMounts(paths, self); err != nil {
		return err
	}
	if err := setUpNetwork(self); err != nil {
		return err
	}
	processes := newNodeProcesses(paths)
	go processes.reap()
	if err := processes.startAll(self); err != nil {
		return err
	}
	say("all programs of %s are started", self.name)
	select {}
}

// nodeProcesses knows the programs that it started by their process numbers; every other child is somebody's orphan.
type nodeProcesses struct {
	paths layout
	// started is locked from before a program starts until its number is known, so that its end finds it here.
	started  sync.Mutex
	programs map[int]func(syscall.WaitStatus)
}

func newNodeProcesses(paths layout) *nodeProcesses {
	return &nodeProcesses{paths: paths, programs: map[int]func(syscall.WaitStatus){}}
}

const (
	restartPause = time.Second
	runtimeLimit = time.Minute
)

func (n *nodeProcesses) startAll(self node) error {
	for number, daemon := range nodeDaemons(n.paths, self) {
		if err := n.keep(daemon); err != nil {
			return err
		}
		// The runtime comes first: with the images there, no pod fails for want of one.
		if number > 0 {
			continue
		}
		if err := waitForRuntime(runtimeSocket, n.paths.log(daemon.name)); err != nil {
			return err
		}
		if err := n.importAll(self); err != nil {
			return err
		}
	}
	return nil
}

func waitForRuntime(socket, log string) error {
	waiting := wait{what: "containerd answers", limit: runtimeLimit, pause: 20 * time.Millisecond, logs: []string{log}}
	return waiting.until(func() (string, error) {
		connection, err := net.Dial("unix", socket)
		if err != nil {
			return err.Error(), nil
		}
		return "", connection.Close()
	})
}

// keep starts a program, and starts it again whenever it ends.
func (n *nodeProcesses) keep(daemon daemon) error {
	log, err := openLog(n.paths.log(daemon.name))
	if err != nil {
		return err
	}
	return n.start(daemon.command, log, func(status syscall.WaitStatus) {
		say("%s ended (%s); starting it again in %s", daemon.name, describeStatus(status), restartPause)
		_ = log.Close()
		time.AfterFunc(restartPause, func() {
			if err := n.keep(daemon); err != nil {
				say("%s could not be started again: %v", daemon.name, err)
			}
		})
	})
}

// run runs a program to its end.
func (n *nodeProcesses) run(name string, arguments ...string) error {
	ended := make(chan syscall.WaitStatus, 1)
	err := n.start(append([]string{name}, arguments...), os.Stderr, func(status syscall.WaitStatus) { ended <- status })
	if err != nil {
		return err
	}
	if status := <-ended; status != 0 {
		return fmt.Errorf("%s failed (%s)", name, describeStatus(status))
	}
	return nil
}

// start does not use os/exec: that one waits for its own children, and here one wait takes all.
func (n *nodeProcesses) start(command []string, output *os.File, ended func(syscall.WaitStatus)) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("failed to find %s: %w", command[0], err)
	}
	input, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("failed to open %s: %w", os.DevNull, err)
	}
	defer input.Close()
	n.started.Lock()
	defer n.started.Unlock()
	pid, err := syscall.ForkExec(program, command, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []uintptr{input.Fd(), output.Fd(), output.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("failed to start %s: %w", program, err)
	}
	n.programs[pid] = ended
	return nil
}

// reap waits for every child, as the first process of a namespace must.
func (n *nodeProcesses) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.ECHILD) {
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			continue
		}
		n.started.Lock()
		ended := n.programs[pid]
		delete(n.programs, pid)
		n.started.Unlock()
		if ended != nil {
			ended(status)
		}
	}
}

func describeStatus(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}
