package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// logstore is the store of this repository, with the load tool that it comes with.
type logstore struct {
	paths   paths
	binary  string
	address string
	version string
}

// ownStore is how it is called in tables.
const ownStore = "logstore"

func newLogstore(options options) *logstore {
	return &logstore{paths: options.paths, binary: options.logstore}
}

func (l *logstore) name() string { return "logstore" }

func (l *logstore) install(ctx context.Context) error {
	if !exists(l.binary) {
		return fmt.Errorf("there is no %s; build it with `cargo build --release -p logstore-store --bins`", l.binary)
	}
	version, err := runCommand(ctx, exec.Command(l.binary, "--version"))
	l.version = strings.TrimSpace(version)
	return err
}

func (l *logstore) versions() string { return l.version + ", loaded with `logstore bench`" }

func (l *logstore) start(ctx context.Context) ([]contender, error) {
	folder, err := l.paths.freshFolder("logstore")
	if err != nil {
		return nil, err
	}
	if l.address, err = freeAddress(); err != nil {
		return nil, err
	}
	command := exec.Command(l.binary, "serve", "--listen", l.address, "--root", folder+"/root")
	command.Env = append(os.Environ(), "LOGSTORE_LOG=warn")
	server, err := startProcess("logstore", folder, command)
	if err != nil {
		return nil, err
	}
	const source = "reference/http.md"
	return []contender{
		{
			store: ownStore, level: powerLoss, setting: "`synced`", source: source, ways: l.ways("synced"), fresh: nothing,
			promise: "Written and synced by `fdatasync` before the answer, with everything before it.",
		},
		{
			store: ownStore, level: processEnd, setting: "`written`", source: source, ways: l.ways("written"), fresh: nothing,
			promise: "Written by `write` before the answer; synced 200 ms later.",
		},
	}, server.awaitPort(ctx, l.address)
}

// nothing is how a log is made empty that each load has for itself.
func nothing(context.Context) error { return nil }

func (l *logstore) ways(durability string) map[work][]way {
	bench := func(name string, arguments ...string) way {
		return way{name: name, load: func(ctx context.Context, span span) (outcome, error) {
			return l.bench(ctx, span, append(arguments, "--durability", durability))
		}}
	}
	batches := func(connections, records int, threads string) []string {
		return []string{"batch", "--connections", strconv.Itoa(connections), "--batch", strconv.Itoa(records), "--threads", threads}
	}
	oneThread := bench("64 connections, 1 thread", "append", "--connections", "64", "--threads", "1")
	twoThreads := bench("64 connections, 2 threads", "append", "--connections", "64", "--threads", "2")
	return map[work][]way{
		alone: {bench("1 connection", "append", "--connections", "1", "--threads", "1")},
		apart: {oneThread, twoThreads},
		together: {
			oneThread, twoThreads,
			bench("8 connections, 8 requests in flight on each", "append", "--connections", "8", "--pipeline", "8", "--threads", "1"),
		},
		batched: {
			bench("64 requests of 100 records, 1 thread", batches(64, 100, "1")...),
			bench("64 requests of 100 records, 2 threads", batches(64, 100, "2")...),
			bench("16 requests of 400 records, 1 thread", batches(16, 400, "1")...),
		},
	}
}

// bench runs the load tool in a namespace of its own, which is deleted after it.
func (l *logstore) bench(ctx context.Context, span span, arguments []string) (outcome, error) {
	command := exec.Command(l.binary, append([]string{"bench"}, arguments...)...)
	command.Args = append(command.Args, "--server", "http://"+l.address, "--cleanup", "--output", "json",
		"--record-size", strconv.Itoa(recordBytes), "--warm-up", milliseconds(span.warmUp), "--duration", milliseconds(span.measure))
	output, err := runCommand(ctx, command)
	if err != nil {
		return outcome{}, err
	}
	return parseBench([]byte(output))
}

func milliseconds(duration time.Duration) string {
	return strconv.FormatInt(duration.Milliseconds(), 10) + "ms"
}

// parseBench reads what `logstore bench --output json` prints.
func parseBench(output []byte) (outcome, error) {
	var result struct {
		Outcome          string         `json:"outcome"`
		Reason           string         `json:"reason"`
		RecordsPerSecond float64        `json:"records_per_second"`
		Errors           map[string]int `json:"errors"`
		LatencyUS        *struct {
			P50 float64 `json:"p50"`
			P99 float64 `json:"p99"`
		} `json:"latency_us"`
	}
	if err := json.Unmarshal(output, &result); err != nil {
		return outcome{}, fmt.Errorf("failed to read what logstore bench has printed: %w", err)
	}
	if result.Outcome != "complete" || len(result.Errors) > 0 {
		return outcome{}, fmt.Errorf("logstore bench is %s: %s %v", result.Outcome, result.Reason, result.Errors)
	}
	if result.LatencyUS == nil {
		return outcome{}, errors.New("logstore bench has no answers")
	}
	return outcome{
		rate: result.RecordsPerSecond,
		p50:  time.Duration(result.LatencyUS.P50 * float64(time.Microsecond)),
		p99:  time.Duration(result.LatencyUS.P99 * float64(time.Microsecond)),
	}, nil
}
