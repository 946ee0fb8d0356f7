package main

import (
	"context"
	"fmt"
	"net"
	"strings"
)

const redisDocs = "https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/"

// redisPackages are the server, redis-benchmark, and those of their libraries that a Debian with Rust's linker may not have.
var redisPackages = []string{"redis-server", "redis-tools", "libjemalloc2", "liblzf1"}

// redisSettings are the configurations of Redis that are measured, each with a server of its own.
var redisSettings = []struct {
	level       level
	appendfsync string
	promise     string
}{
	{
		level: powerLoss, appendfsync: "always",
		promise: "Written and synced by `fdatasync` before the answer, together with what came at the same time.",
	},
	{
		level: processEnd, appendfsync: "everysec",
		promise: "Written by `write` before the answer, synced every second. While the last sync goes on, the write waits for it " +
			"up to 2 s and the answer does not: until then it promises nothing.",
	},
}

// redis is Redis Streams with its append-only file.
type redis struct {
	paths    paths
	version  string
	packages debianPackages
}

func (r *redis) name() string { return "redis" }

func (r *redis) install(ctx context.Context) error {
	version, err := candidateVersion(ctx, redisPackages[0])
	if err != nil {
		return fmt.Errorf("failed to find Debian's redis-server: %w", err)
	}
	r.version = version
	// The colon of a version would part the path of the libraries.
	folder := r.paths.downloaded("redis-" + strings.ReplaceAll(version, ":", "-"))
	r.packages = debianPackages{names: redisPackages, folder: folder}
	if !exists(r.packages.folder) {
		say("redis: downloading %s %s", strings.Join(redisPackages, ", "), version)
	}
	if err := r.packages.fetch(ctx); err != nil {
		return err
	}
	if _, err := runCommand(ctx, r.packages.command("redis-server", "--version")); err != nil {
		return fmt.Errorf("redis-server does not run; installing the package installs the libraries that it needs: %w", err)
	}
	return nil
}

func (r *redis) versions() string {
	return "Redis " + r.version + " (Debian), loaded with rueidis " + moduleVersion("github.com/redis/rueidis") +
		" and with its own redis-benchmark"
}

func (r *redis) start(ctx context.Context) ([]contender, error) {
	var contenders []contender
	for _, setting := range redisSettings {
		server := &redisServer{redis: r, appendfsync: setting.appendfsync}
		var err error
		if server.address, err = freeAddress(); err != nil {
			return nil, err
		}
		if err := server.fresh(ctx); err != nil {
			return nil, err
		}
		load := redisLoad{packages: r.packages, address: server.address}
		contenders = append(contenders, contender{
			store: "Redis Streams", level: setting.level, setting: "`appendfsync " + setting.appendfsync + "`",
			promise: setting.promise, source: redisDocs, ways: load.ways(), fresh: server.fresh,
		})
	}
	return contenders, nil
}

// redisServer is started again for each load: that is the only way to empty its file without rewriting it.
type redisServer struct {
	redis       *redis
	appendfsync string
	address     string
	process     *process
}

func (s *redisServer) fresh(ctx context.Context) error {
	if s.process != nil {
		s.process.end()
		s.process = nil
	}
	name := "redis-" + s.appendfsync
	folder, err := s.redis.paths.freshFolder(name)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	// Neither snapshots nor rewriting of the file get in the way of the load.
	command := s.redis.packages.command("redis-server", "--bind", host, "--port", port, "--dir", folder, "--appendonly", "yes",
		"--appendfsync", s.appendfsync, "--save", "", "--auto-aof-rewrite-percentage", "0")
	if s.process, err = startProcess(name, folder, command); err != nil {
		return err
	}
	return s.process.awaitPort(ctx, s.address)
}
