package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// runCommand runs a program to its end; an error holds what it printed.
func runCommand(name string, arguments ...string) error {
	_, err := commandOutput(exec.Command(name, arguments...))
	return err
}

// commandOutput returns what a program prints. The program ends with the launcher, even when that is killed, unless the
// caller set other attributes.
func commandOutput(command *exec.Cmd) (string, error) {
	if command.SysProcAttr == nil {
		// The kernel sends the signal when the thread ends that started the program, so this one is held until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	var output, problems strings.Builder
	command.Stdout, command.Stderr = &output, &problems
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("`%s` failed: %w: %s", strings.Join(command.Args, " "), err,
			strings.TrimSpace(problems.String()+output.String()))
	}
	return output.String(), nil
}
