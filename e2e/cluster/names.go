package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nameOfAPI is the one name that is there in every cluster.
const nameOfAPI = "kubernetes.default.svc.cluster.local."

const lookupTimeout = 2 * time.Second

// waitForNames waits until the pods of a node could look up a name: network, kube-proxy and CoreDNS work then.
func waitForNames(paths layout, node node) error {
	launcher, err := launcherFile()
	if err != nil {
		return err
	}
	running, err := loadProcess(paths, node.name)
	if err != nil {
		return err
	}
	waiting := wait{
		what: "names are answered on " + node.name, limit: time.Minute, pause: 100 * time.Millisecond,
		logs: []string{paths.log(node.name + "-kubelet"), paths.log(node.name + "-kube-proxy")},
	}
	err = waiting.until(func() (string, error) {
		look := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", running.PID), launcher, "lookup")
		if _, err := commandOutput(look); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	say("names are answered on %s", node.name)
	return nil
}

// lookup runs in the network of a node.
func lookup(arguments []string) error {
	if len(arguments) != 0 {
		return errUsage
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(serviceOfDNS, "53"))
	}}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, nameOfAPI)
	if err != nil {
		return err
	}
	if len(addresses) != 1 || addresses[0] != serviceOfAPI {
		return fmt.Errorf("%s has the addresses %s, not %s", nameOfAPI, strings.Join(addresses, " "), serviceOfAPI)
	}
	return nil
}

// launcherFile is this program: processes of the cluster begin with it.
func launcherFile() (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("failed to find the launcher's own file: %w", err)
	}
	return filepath.Clean(file), nil
}
