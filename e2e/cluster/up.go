package main

// The cluster, from a bare machine to three nodes:
//
//	packages.go       what Debian has
//	builds.go         what is built from Go modules, in the cache
//	network.go        a bridge; it also marks whose cluster this is
//	certificates.go   who may speak to whom
//	images.go         the images of the cluster itself
//	control_plane.go  etcd, API server, controllers, scheduler
//	nodes.go          a node from outside; node_*.go: a node from inside
//	cgroups.go        where all processes are kept
//	down.go           the way back

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func up(paths layout) error {
	if err := refuseForeign(paths); err != nil {
		return err
	}
	if err := forgetOldBoot(paths); err != nil {
		return err
	}
	if err := start(paths); err != nil {
		return fmt.Errorf("%w\nthe cluster is not up; `%s down` removes what was started, logs are in %s", err, paths.run(),
			paths.in("logs"))
	}
	say("the cluster is up; its kubeconfig is")
	fmt.Println(paths.kubeconfig())
	return nil
}

func start(paths layout) error {
	whole := runs(paths)
	if whole {
		say("the cluster runs already; looking whether all is well")
	}
	binaries, err := prepare(paths)
	if err != nil {
		return err
	}
	if !whole {
		if err := writeOwnImages(paths, binaries); err != nil {
			return err
		}
	}
	// Nodes start while the API server does: the kubelets wait for it.
	since := time.Now().Truncate(time.Second)
	started, err := startNodes(paths)
	if err != nil {
		return err
	}
	if err := startControlPlane(paths); err != nil {
		return err
	}
	if err := applyManifests(paths); err != nil {
		return err
	}
	if err := waitForNodes(paths, started, since); err != nil {
		return err
	}
	return checkRunning(paths, controlPlane(paths))
}

// prepare does what comes before the first process.
func prepare(paths layout) (binaries map[string]string, err error) {
	if err := ensurePackages(); err != nil {
		return nil, err
	}
	if binaries, err = ensureBuilds(paths); err != nil {
		return nil, err
	}
	if err := prepareMachine(paths); err != nil {
		return nil, err
	}
	if err := linkPrograms(paths, binaries); err != nil {
		return nil, err
	}
	return binaries, ensureCertificates(paths)
}

// waitForNodes waits until all of them can take pods. One that was started must have reported since.
func waitForNodes(paths layout, started map[node]bool, since time.Time) error {
	for _, node := range nodes {
		after := time.Time{}
		if started[node] {
			after = since
		}
		if err := waitForNode(paths, node, after); err != nil {
			return err
		}
	}
	if err := importEverywhere(paths); err != nil {
		return err
	}
	for _, node := range nodes {
		if err := waitForNames(paths, node); err != nil {
			return err
		}
	}
	return nil
}

// runs tells whether every process of the cluster does.
func runs(paths layout) bool {
	for _, name := range processNames(paths) {
		if running, err := loadProcess(paths, name); err != nil || !running.alive() {
			return false
		}
	}
	return true
}

func processNames(paths layout) []string {
	var names []string
	for _, daemon := range controlPlane(paths) {
		names = append(names, daemon.name)
	}
	for _, node := range nodes {
		names = append(names, node.name)
	}
	return names
}

// refuseForeign looks before anything is built or changed.
func refuseForeign(paths layout) error {
	if owner, _, err := bridgeOwner(); err != nil || owner == "" || owner == ownerOf(paths) {
		return err
	}
	return claimMachine(paths)
}

// ensureOwn refuses what needs a cluster of this checkout.
func ensureOwn(paths layout) error {
	owner, found, err := bridgeOwner()
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("no cluster runs; start it with `%s up`", paths.run())
	}
	if owner != ownerOf(paths) {
		return fmt.Errorf("the cluster of this machine is that of %s, not of this checkout", owner)
	}
	return nil
}

// forgetOldBoot clears what a cluster left that ended with its machine.
func forgetOldBoot(paths layout) error {
	before, err := loadSaved(paths)
	if err != nil {
		return err
	}
	boot, err := currentBoot()
	if err != nil {
		return err
	}
	if before.Boot == "" || before.Boot == boot {
		return nil
	}
	say("the machine was started anew since the last cluster; clearing what is left of that one")
	return removeFiles(paths)
}

// prepareMachine changes what is common to all nodes, once what `down` needs is written.
func prepareMachine(paths layout) error {
	before, err := loadSaved(paths)
	if err != nil {
		return err
	}
	if before.Boot == "" {
		if err := removeOldLogs(paths); err != nil {
			return err
		}
		if before.Boot, err = currentBoot(); err != nil {
			return err
		}
		if before.Sysctls, err = readSysctls(); err != nil {
			return err
		}
		if before.Controllers, err = controllersToEnable(); err != nil {
			return err
		}
		if err := before.store(paths); err != nil {
			return err
		}
	}
	if err := claimMachine(paths); err != nil {
		return errors.Join(err, os.Remove(paths.in("saved.json")))
	}
	loadModules()
	if err := raiseInotify(); err != nil {
		return err
	}
	if err := ensureBridge(); err != nil {
		return err
	}
	return openFirewall()
}

func startNodes(paths layout) (map[node]bool, error) {
	started := map[node]bool{}
	for _, node := range nodes {
		running, err := loadProcess(paths, node.name)
		if err != nil {
			return nil, err
		}
		if running.alive() {
			if err := plugIn(node); err != nil {
				return nil, err
			}
			continue
		}
		if running.PID != 0 {
			say("%s is down; starting it again", node.name)
		}
		if err := startNode(paths, node); err != nil {
			return nil, err
		}
		started[node] = true
	}
	return started, nil
}

// applyManifests sets up what runs in the cluster.
func applyManifests(paths layout) error {
	for _, name := range []string{"storage.yaml", "dns.yaml"} {
		content, err := manifest(name, map[string]string{"DNSImage": dnsImage, "DNSAddress": serviceOfDNS})
		if err != nil {
			return err
		}
		apply := exec.Command(paths.binary("kubectl"), "--kubeconfig", paths.kubeconfig(), "apply", "--server-side",
			"--force-conflicts", "-f", "-")
		apply.Stdin = strings.NewReader(string(content))
		apply.Env = append(os.Environ(), "KUBECACHEDIR="+paths.in("kubectl"))
		if _, err := commandOutput(apply); err != nil {
			return fmt.Errorf("failed to apply %s: %w", name, err)
		}
	}
	return nil
}
