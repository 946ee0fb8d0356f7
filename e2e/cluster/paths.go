package main

import "path/filepath"

// layout is the places of the cluster of one checkout. All that a cluster writes is in state; all that is built is in
// cache and outlives it.
type layout struct {
	root  string
	cache string
	state string
}

func newPaths(root, cache string) layout {
	return layout{root: root, cache: cache, state: filepath.Join(root, "target", "cluster")}
}

func (p layout) in(names ...string) string {
	return filepath.Join(append([]string{p.state}, names...)...)
}

func (p layout) kubeconfig() string { return p.in("kubeconfig") }
func (p layout) auditLog() string   { return p.in("audit.log") }

// binary is a program of the cluster, under the name by which it is called.
func (p layout) binary(name string) string { return p.in("bin", name) }

func (p layout) log(name string) string { return p.in("logs", name+".log") }

func (p layout) certificate(name string) string { return p.in("certificates", name+".crt") }
func (p layout) key(name string) string         { return p.in("certificates", name+".key") }

// clientConfig is the kubeconfig of one component.
func (p layout) clientConfig(name string) string { return p.in("certificates", name+".kubeconfig") }

// node is the disk of a node: what survives when the node dies.
func (p layout) node(node node, names ...string) string {
	return p.in(append([]string{"nodes", node.name}, names...)...)
}

// run is the command by which a person calls the launcher.
func (p layout) run() string { return filepath.Join(p.root, "e2e", "cluster", "run") }
