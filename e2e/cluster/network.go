package main

// The nodes are on one bridge. Each has a range of addresses for its pods; a route per node leads there, on every node
// and on the machine itself.
//
//	172.30.0.1        the machine: the API server
//	172.30.0.11 …     the nodes
//	10.244.1.0/24 …   the pods of each node
//	10.96.0.0/16      services; kube-proxy of each node turns them into pods
//
// No node has a default route, so no pod reaches the world outside.

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	bridge        = "logstore0"
	hostAddress   = "172.30.0.1"
	hostNetwork   = hostAddress + "/24"
	serviceRange  = "10.96.0.0/16"
	podRange      = "10.244.0.0/16"
	serviceOfAPI  = "10.96.0.1"
	serviceOfDNS  = "10.96.0.10"
	nodeInterface = "eth0"
)

// ownerMax is what the kernel keeps of an interface's alias.
const ownerMax = 255

// ownerOf is the mark of a checkout on the bridge.
func ownerOf(paths layout) string {
	if len(paths.root) > ownerMax {
		return paths.root[len(paths.root)-ownerMax:]
	}
	return paths.root
}

// bridgeOwner returns the checkout whose cluster runs on this machine, or nothing. The bridge is the mark, as it ends
// with everything else when the machine does.
func bridgeOwner() (owner string, found bool, err error) {
	alias, err := os.ReadFile(filepath.Join("/sys/class/net", bridge, "ifalias"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("failed to read whose bridge %s is: %w", bridge, err)
	}
	return strings.TrimSpace(string(alias)), true, nil
}

// claimMachine makes the bridge for this checkout. A bridge without a mark is what a launcher left that was killed right
// here: nobody else looks while the lock on the root folder is held, and that lock leaves nothing behind.
func claimMachine(paths layout) error {
	root, err := os.Open("/")
	if err != nil {
		return fmt.Errorf("failed to open the root folder: %w", err)
	}
	defer root.Close()
	if err := syscall.Flock(int(root.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("failed to lock the root folder: %w", err)
	}
	owner, found, err := bridgeOwner()
	if err != nil {
		return err
	}
	if !found {
		if err := runCommand("ip", "link", "add", bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	if owner == "" {
		return runCommand("ip", "link", "set", bridge, "alias", ownerOf(paths))
	}
	if owner == ownerOf(paths) {
		return nil
	}
	if !exists(owner) {
		return fmt.Errorf("a cluster of %q, a folder that is gone, is on this machine; remove it with `%s down`", owner, paths.run())
	}
	return fmt.Errorf("another cluster runs on this machine: that of %s; stop it first with `%s down`", owner,
		newPaths(owner, "").run())
}

func ensureBridge() error {
	if err := runCommand("ip", "address", "replace", hostNetwork, "dev", bridge); err != nil {
		return err
	}
	return runCommand("ip", "link", "set", bridge, "up")
}

// removeBridge removes the bridge; addresses and routes go with it.
func removeBridge() error {
	if !exists(filepath.Join("/sys/class/net", bridge)) {
		return nil
	}
	return runCommand("ip", "link", "delete", bridge)
}

// connectNode puts a cable between the bridge and the network of a node, given by a process in it.
func connectNode(node node, pid int) error {
	if err := disconnectNode(node); err != nil {
		return err
	}
	err := runCommand("ip", "link", "add", node.cable(), "type", "veth", "peer", "name", nodeInterface, "netns", fmt.Sprint(pid))
	if err != nil {
		return err
	}
	return plugIn(node)
}

// plugIn does nothing where all is in place.
func plugIn(node node) error {
	for _, command := range [][]string{
		{"link", "set", node.cable(), "master", bridge, "up"},
		{"route", "replace", node.podRange(), "via", node.address(), "dev", bridge},
	} {
		if err := runCommand("ip", command...); err != nil {
			return err
		}
	}
	return nil
}

// disconnectNode removes what may be left of the cable: the kernel takes down a network some time after its last process.
func disconnectNode(node node) error {
	waiting := wait{what: "the network of " + node.name + " is gone", limit: endLimit, pause: 10 * time.Millisecond}
	return waiting.until(func() (string, error) {
		if !exists(filepath.Join("/sys/class/net", node.cable())) {
			return "", nil
		}
		// The kernel may be first, which is as well.
		_ = runCommand("ip", "link", "delete", node.cable())
		return "interface " + node.cable() + " is there", nil
	})
}

// setUpNetwork runs inside a node: it waits for the cable, then sets addresses and routes.
func setUpNetwork(self node) error {
	waiting := wait{what: nodeInterface + " is there", limit: 30 * time.Second, pause: 5 * time.Millisecond}
	err := waiting.until(func() (string, error) {
		if _, err := net.InterfaceByName(nodeInterface); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	for _, command := range nodeNetwork(self) {
		if err := runCommand("ip", command...); err != nil {
			return err
		}
	}
	// Packets between pods of one node cross its bridge; kube-proxy's rules must see them, or the answers of a service
	// come back from the wrong address.
	for _, name := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := writeSysctl(name, "1"); err != nil {
			return err
		}
	}
	return nil
}

// nodeNetwork returns the commands that set up the network of a node.
func nodeNetwork(self node) [][]string {
	commands := [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", self.address() + "/24", "dev", nodeInterface},
		{"link", "set", nodeInterface, "up"},
		// kube-proxy turns the address of a service into that of a pod only once the packet has a route.
		{"route", "add", serviceRange, "via", hostAddress},
	}
	for _, other := range nodes {
		if other != self {
			commands = append(commands, []string{"route", "add", other.podRange(), "via", other.address()})
		}
	}
	return commands
}

// loadModules loads what the kernel may not have yet. Where it cannot, the step that needs the module says so.
func loadModules() {
	if _, err := exec.LookPath("modprobe"); err != nil {
		return
	}
	for _, module := range []string{"br_netfilter", "overlay", "loop", "xfs"} {
		_ = runCommand("modprobe", "--quiet", module)
	}
}
