// Command launcher runs a Kubernetes cluster of three nodes on one Linux machine, for the end-to-end tests and for
// people. It needs root and no container engine: each node is a set of namespaces with its own first process, containerd,
// kubelet and kube-proxy; the control plane are plain processes beside them.
//
// Read up.go first: it is the table of contents.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

const usage = `usage: e2e/cluster/run COMMAND

  up              start the cluster, or whatever of it does not run
  down            stop it and leave nothing behind
  status          say what runs; exit code 0 when all does, 3 when nothing does, 1 otherwise
  node-down NODE  let a node die, as in a power cut
  node-up NODE    start it again and wait until it is ready
  load ARCHIVE    give an image archive to every node, also to those that come up later
  env             print the environment of the end-to-end tests as export lines
`

// errUsage ends the program with the usage and exit code 2.
var errUsage = errors.New("wrong usage")

// exitCode is an error that says all in its number.
type exitCode int

func (code exitCode) Error() string { return fmt.Sprintf("exit code %d", int(code)) }

func main() {
	err := run(os.Args[1:])
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	// A process that becomes a member of the cluster; these are not for people, so the usage does not name them.
	if len(arguments) > 0 {
		switch arguments[0] {
		case "contained":
			return contained(arguments[1:])
		case "node-init":
			return nodeInit(arguments[1:])
		case "lookup":
			return lookup(arguments[1:])
		}
	}
	flags := flag.NewFlagSet("launcher", flag.ContinueOnError)
	flags.Usage = func() {}
	root := flags.String("root", "", "the checkout")
	cache := flags.String("cache", "", "the folder of built binaries")
	if err := flags.Parse(arguments); err != nil || *root == "" || *cache == "" {
		return errUsage
	}
	return dispatch(newPaths(*root, *cache), flags.Args())
}

func dispatch(paths layout, arguments []string) error {
	if len(arguments) == 0 {
		return errUsage
	}
	command, rest := arguments[0], arguments[1:]
	switch {
	case command == "up" && len(rest) == 0:
		return locked(paths, command, up)
	case command == "down" && len(rest) == 0:
		return locked(paths, command, down)
	case command == "status" && len(rest) == 0:
		return status(paths)
	case command == "node-down" && len(rest) == 1:
		return withNode(paths, command, rest[0], nodeDown)
	case command == "node-up" && len(rest) == 1:
		return withNode(paths, command, rest[0], nodeUp)
	case command == "load" && len(rest) == 1:
		return locked(paths, command, func(paths layout) error { return load(paths, rest[0]) })
	case command == "env" && len(rest) == 0:
		return printEnvironment(paths)
	}
	return errUsage
}

func withNode(paths layout, command, name string, act func(layout, node) error) error {
	node, err := findNode(name)
	if err != nil {
		return err
	}
	return locked(paths, command, func(paths layout) error { return act(paths, node) })
}
