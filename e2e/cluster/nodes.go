package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// node is one of the three. All else about it follows from its number.
type node struct {
	number int
	name   string
}

var nodes = []node{{1, "node1"}, {2, "node2"}, {3, "node3"}}

func (n node) address() string  { return fmt.Sprintf("172.30.0.%d", 10+n.number) }
func (n node) podRange() string { return fmt.Sprintf("10.244.%d.0/24", n.number) }
func (n node) zone() string     { return fmt.Sprintf("zone-%d", n.number) }

// cable is the machine's end of the node's network interface.
func (n node) cable() string { return fmt.Sprintf("logstore-n%d", n.number) }

func findNode(name string) (node, error) {
	var names []string
	for _, node := range nodes {
		if node.name == name {
			return node, nil
		}
		names = append(names, node.name)
	}
	return node{}, fmt.Errorf("there is no node %q; the nodes are %s", name, strings.Join(names, ", "))
}

// systemGroup is the cgroup of the node's own processes. A group of cgroup v2 with groups in it holds none itself.
func (n node) systemGroup() string { return n.group() + "/system" }

// startNode starts the first process of a node, in namespaces of its own. When that process dies, the kernel kills all
// others in there, and mounts and network interfaces go with them: so a node dies, as in a power cut.
func startNode(paths layout, node node) error {
	// What an earlier life left must be gone first: a volume that is mounted twice is destroyed.
	if err := clearNode(paths, node); err != nil {
		return err
	}
	if err := writeNodeFiles(paths, node); err != nil {
		return err
	}
	if err := makeGroup(node.systemGroup()); err != nil {
		return err
	}
	launcher, err := launcherFile()
	if err != nil {
		return err
	}
	started, err := startDaemon(paths, daemon{
		name:    node.name,
		group:   node.systemGroup(),
		command: []string{launcher, "node-init", paths.root, paths.cache, node.name},
		namespaces: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWIPC,
	})
	if err != nil {
		return err
	}
	return connectNode(node, started.PID)
}

// clearNode removes what is left of a node that has died. Its disk stays.
func clearNode(paths layout, node node) error {
	if err := killGroup(node.group()); err != nil {
		return err
	}
	if err := disconnectNode(node); err != nil {
		return err
	}
	if err := releaseLoops(paths.node(node) + "/"); err != nil {
		return err
	}
	return removeGroup(node.group())
}

// killNode returns false where the node was dead already.
func killNode(paths layout, node node) (bool, error) {
	running, err := loadProcess(paths, node.name)
	if err != nil {
		return false, err
	}
	alive := running.alive()
	if err := running.kill(); err != nil {
		return alive, err
	}
	return alive, clearNode(paths, node)
}

func nodeDown(paths layout, node node) error {
	if err := ensureOwn(paths); err != nil {
		return err
	}
	alive, err := killNode(paths, node)
	if err != nil {
		return err
	}
	if !alive {
		say("%s was down already", node.name)
		return nil
	}
	say("%s is dead", node.name)
	return nil
}

func nodeUp(paths layout, node node) error {
	if err := ensureOwn(paths); err != nil {
		return err
	}
	// The API server tells times in whole seconds.
	since := time.Now().Truncate(time.Second)
	running, err := loadProcess(paths, node.name)
	if err != nil {
		return err
	}
	if running.alive() {
		say("%s runs already", node.name)
		since = time.Time{}
	} else if err := startNode(paths, node); err != nil {
		return err
	}
	if err := waitForNode(paths, node, since); err != nil {
		return err
	}
	return waitForNames(paths, node)
}

// waitForNode waits until the kubelet has reported after a time, and has the driver of volumes.
func waitForNode(paths layout, node node, since time.Time) error {
	api, err := newAPI(paths)
	if err != nil {
		return err
	}
	waiting := wait{
		what: node.name + " is ready", limit: 2 * time.Minute, pause: 100 * time.Millisecond,
		logs: []string{paths.log(node.name), paths.log(node.name + "-kubelet")},
	}
	err = waiting.until(func() (string, error) {
		if running, err := loadProcess(paths, node.name); err != nil || !running.alive() {
			return "", errEnded
		}
		found, err := api.node(node)
		if err != nil {
			return err.Error(), nil
		}
		if missing := found.notReady(since); missing != "" {
			return missing, nil
		}
		if has, err := api.hasDriver(node); err != nil || !has {
			return "its driver of volumes is not registered", nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	say("%s is ready", node.name)
	return nil
}
