package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestTheFieldsOfAProcessAreFoundWhateverItsName(t *testing.T) {
	stat := "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3 4 5"
	start, state, err := parseStat(stat)
	if err != nil || start != 987654 || state != 'S' {
		t.Errorf("got %d, %c, %v", start, state, err)
	}
	if _, _, err := parseStat("4711 (short) S 1"); err == nil {
		t.Error("a line without a start time was taken")
	}
}

func TestAProcessIsAliveOnlyWithItsOwnStartTime(t *testing.T) {
	start, _, err := readProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self := process{Name: "test", PID: os.Getpid(), Start: start}
	if !self.alive() {
		t.Error("this process is not alive")
	}
	// The number went to another process, which must not be touched.
	other := process{Name: "test", PID: os.Getpid(), Start: start - 1}
	if other.alive() {
		t.Error("another process is taken for this one")
	}
	if err := other.kill(); err != nil {
		t.Error(err)
	}
	if (process{}).alive() {
		t.Error("a process that was never started is alive")
	}
}

func TestAProcessIsKilledAndGone(t *testing.T) {
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	start, _, err := readProcess(sleeper.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	killed := process{Name: "sleeper", PID: sleeper.Process.Pid, Start: start}
	if err := killed.kill(); err != nil || killed.alive() {
		t.Errorf("it lives: %v", err)
	}
	if err := sleeper.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v", err)
	}
}
