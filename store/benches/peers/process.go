package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit   = time.Minute
	startPause   = 20 * time.Millisecond
	logTailBytes = 2000
)

// process is a program that runs beside this one: a server, or a load with its own virtual machine. It does not see Ctrl-C,
// and ends with this program, even when that is killed.
type process struct {
	name    string
	log     string
	command *exec.Cmd
	ended   chan struct{}
}

// running are the processes that have been started and not been ended.
var running struct {
	sync.Mutex
	processes map[*process]bool
}

// startProcess starts a program that writes what it has to say to a log in the folder of its data.
func startProcess(name, folder string, command *exec.Cmd) (*process, error) {
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, fmt.Errorf("failed to make the log of %s: %w", name, err)
	}
	defer log.Close()
	if command.Stdout == nil {
		command.Stdout = log
	}
	command.Stderr = log
	command.SysProcAttr = ownGroup()
	started := &process{name: name, log: log.Name(), command: command, ended: make(chan struct{})}
	if err := started.start(); err != nil {
		return nil, fmt.Errorf("failed to start %s: %w", name, err)
	}
	running.Lock()
	defer running.Unlock()
	if running.processes == nil {
		running.processes = map[*process]bool{}
	}
	running.processes[started] = true
	return started, nil
}

// ownGroup keeps a program out of what a terminal sends, and ends it with the thread that has started it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// start holds the thread that starts the program until that has ended.
func (p *process) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		started <- err
		if err == nil {
			_ = p.command.Wait()
			close(p.ended)
		}
	}()
	return <-started
}

// end kills the process and whatever it has started, and waits until it is gone.
func (p *process) end() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
	<-p.ended
	running.Lock()
	defer running.Unlock()
	delete(running.processes, p)
}

// runningNow are the processes that run.
func runningNow() map[*process]bool {
	running.Lock()
	defer running.Unlock()
	return maps.Clone(running.processes)
}

// endAllBut ends what runs and is not to be kept.
func endAllBut(kept map[*process]bool) {
	for process := range runningNow() {
		if !kept[process] {
			process.end()
		}
	}
}

// await waits until the process is ready; `look` says why it is not yet.
func (p *process) await(ctx context.Context, look func() error) error {
	limit := time.After(startLimit)
	for {
		problem := look()
		if problem == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("%s has ended by itself: %s", p.name, p.logTail())
		case <-limit:
			return fmt.Errorf("%s is not ready after %s (%w): %s", p.name, startLimit, problem, p.logTail())
		case <-time.After(startPause):
		}
	}
}

// awaitPort waits until something listens there.
func (p *process) awaitPort(ctx context.Context, address string) error {
	return p.await(ctx, func() error {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// logTail is the end of what the process has said.
func (p *process) logTail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(log[max(len(log)-logTailBytes, 0):]))
	if text == "" {
		return "it has said nothing"
	}
	return text
}

// freeAddress is one on the loopback interface that nothing listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("failed to find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// runCommand runs a program to its end, or until the context is over; an error holds what it printed.
func runCommand(ctx context.Context, command *exec.Cmd) (string, error) {
	var output, problems strings.Builder
	command.Stdout, command.Stderr = &output, &problems
	command.SysProcAttr = ownGroup()
	started := &process{command: command, ended: make(chan struct{})}
	if err := started.start(); err != nil {
		return "", fmt.Errorf("failed to run %s: %w", command.Args[0], err)
	}
	select {
	case <-started.ended:
	case <-ctx.Done():
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		<-started.ended
		return "", ctx.Err()
	}
	if command.ProcessState.Success() {
		return output.String(), nil
	}
	said := strings.TrimSpace(problems.String() + output.String())
	return "", fmt.Errorf("`%s` failed, %s: %s", strings.Join(command.Args, " "), command.ProcessState,
		said[max(len(said)-logTailBytes, 0):])
}
