package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	natsServerModule = "github.com/nats-io/nats-server/v2"
	natsDocs         = "https://docs.nats.io/nats-concepts/jetstream"
)

// natsSettings are the configurations of NATS that are measured, each with a server of its own.
var natsSettings = []struct {
	name    string
	level   level
	setting string
	line    string
	promise string
}{
	{
		name: "nats-always", level: powerLoss, setting: "`sync_interval: always`", line: "sync_interval: always",
		promise: "Written and synced by `fsync` before the answer; an atomic batch is synced once.",
	},
	{
		name: "nats-default", level: processEnd, setting: "default",
		promise: "Written by `write` before the answer; synced after 2 minutes at most.",
	},
}

// nats is JetStream with its file store.
type nats struct {
	paths paths
}

func (n *nats) name() string { return "nats" }

func (n *nats) install(ctx context.Context) error {
	say("nats: building nats-server; the first time this takes a minute with two cores")
	command := exec.Command("go", "build", "-trimpath", "-o", n.paths.built("nats-server"), natsServerModule)
	command.Dir = n.paths.source("")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if _, err := runCommand(ctx, command); err != nil {
		return fmt.Errorf("failed to build nats-server from its Go module: %w", err)
	}
	return nil
}

func (n *nats) versions() string {
	return "NATS " + moduleVersion(natsServerModule) + ", loaded with nats.go " +
		moduleVersion("github.com/nats-io/nats.go") + " and its jetstreamext " +
		moduleVersion("github.com/synadia-io/orbit.go/jetstreamext")
}

func (n *nats) start(ctx context.Context) ([]contender, error) {
	var contenders []contender
	for _, setting := range natsSettings {
		address, err := n.serve(ctx, setting.name, setting.line)
		if err != nil {
			return nil, err
		}
		load := natsLoad{url: "nats://" + address}
		contenders = append(contenders, contender{
			store: "NATS JetStream", level: setting.level, setting: setting.setting, promise: setting.promise, source: natsDocs,
			ways: load.ways(), fresh: load.fresh,
		})
	}
	return contenders, nil
}

// serve starts a server with one line of configuration beside where it is and keeps its files.
func (n *nats) serve(ctx context.Context, name, line string) (address string, err error) {
	folder, err := n.paths.freshFolder(name)
	if err != nil {
		return "", err
	}
	if address, err = freeAddress(); err != nil {
		return "", err
	}
	file := filepath.Join(folder, "nats.conf")
	config := fmt.Sprintf("listen: %q\njetstream {\n  store_dir: %q\n  %s\n}\n", address, filepath.Join(folder, "data"), line)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return "", fmt.Errorf("failed to write the configuration of NATS: %w", err)
	}
	server, err := startProcess("nats-server", folder, exec.Command(n.paths.built("nats-server"), "-c", file))
	if err != nil {
		return "", err
	}
	return address, server.awaitPort(ctx, address)
}
