// Command csi gives the test cluster volumes with a real size limit that can grow while they are in use: each is an
// xfs file system in a sparse file, mounted through a loop device.
//
//	csi node        runs inside a node: the driver that mounts, and the provisioner of this node's volumes
//	csi controller  runs once: the resizer, which turns a larger claim into work for the driver
//
// The provisioner and the resizer are those of the Kubernetes project, as libraries.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// options are the command line of both roles.
type options struct {
	kubeconfig string
	node       string
	volumes    string
	kubelet    string
	socket     string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(arguments) == 0 {
		return errors.New("name a role: csi node or csi controller")
	}
	var options options
	flags := flag.NewFlagSet(arguments[0], flag.ExitOnError)
	flags.StringVar(&options.kubeconfig, "kubeconfig", "", "how to reach the API server")
	switch arguments[0] {
	case "node":
		flags.StringVar(&options.node, "node", "", "the name of this node")
		flags.StringVar(&options.volumes, "volumes", "", "the folder that holds this node's volumes, one file each")
		flags.StringVar(&options.kubelet, "kubelet", "/var/lib/kubelet", "the kubelet's folder")
		_ = flags.Parse(arguments[1:])
		return runNode(ctx, options)
	case "controller":
		flags.StringVar(&options.socket, "socket", "", "where the resizer finds the driver; made here")
		_ = flags.Parse(arguments[1:])
		return runController(ctx, options)
	default:
		return fmt.Errorf("unknown role %q: it is node or controller", arguments[0])
	}
}
