package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	kubeletFolder   = "/var/lib/kubelet"
	runtimeFolder   = "/var/lib/containerd"
	podLogFolder    = "/var/log/pods"
	runtimeSocket   = "/run/containerd/containerd.sock"
	volumeDriver    = "loop.csi.logstore.dev"
	runtimeContents = "k8s.io"
)

// nodeDisk maps what must survive a node's death to the places where the node sees it. The short, usual names also keep
// the names of sockets within what the kernel takes, wherever the checkout is.
var nodeDisk = map[string]string{
	"kubelet":    kubeletFolder,
	"containerd": runtimeFolder,
	"pod-logs":   podLogFolder,
}

// nodeValues fill the manifests of a node.
type nodeValues struct {
	Name, Address, Group, PodRange, DNSAddress string
	Authority, Certificate, Key                string
	PauseImage, Snapshotter                    string
	PluginFolder, PluginConfig, ResolvConf     string
}

// writeNodeFiles writes the configuration of a node's programs.
func writeNodeFiles(paths layout, node node) error {
	plugins, err := pluginFolder()
	if err != nil {
		return err
	}
	values := nodeValues{
		Name: node.name, Address: node.address(), Group: node.group(), PodRange: node.podRange(),
		Authority: paths.certificate("ca"), Certificate: paths.certificate(node.name), Key: paths.key(node.name),
		PauseImage: pauseImage, PluginFolder: plugins,
		PluginConfig: paths.node(node, "network"), ResolvConf: paths.node(node, "resolv.conf"),
		DNSAddress: serviceOfDNS, Snapshotter: snapshotter(paths.state),
	}
	for file, name := range map[string]string{
		paths.node(node, "containerd.toml"):              "containerd.toml",
		paths.node(node, "kubelet.yaml"):                 "kubelet.yaml",
		paths.node(node, "network", "logstore.conflist"): "network.conflist",
	} {
		if err := writeManifest(file, name, values); err != nil {
			return err
		}
	}
	for folder := range nodeDisk {
		if err := os.MkdirAll(paths.node(node, folder), 0o755); err != nil {
			return fmt.Errorf("failed to make the disk of %s: %w", node.name, err)
		}
	}
	return writeFile(paths.node(node, "resolv.conf"), nil, 0o644)
}

// overlayMagic is how statfs(2) names an overlay.
const overlayMagic = 0x794c7630

// snapshotter is how containerd keeps the layers of images. An overlay, as a checkout in a container is on one, cannot
// lie on another one; there the layers are copied.
func snapshotter(folder string) string {
	var stats syscall.Statfs_t
	if err := syscall.Statfs(folder, &stats); err == nil && stats.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}

// nodeDaemons are the programs of a node, in the order in which they start.
func nodeDaemons(paths layout, node node) []daemon {
	return []daemon{
		{name: node.name + "-containerd", command: []string{"containerd", "--config", paths.node(node, "containerd.toml")}},
		{name: node.name + "-csi", command: []string{
			paths.binary("csi"), "node", "--kubeconfig", paths.clientConfig("csi"), "--node", node.name,
			"--volumes", paths.node(node, "volumes"), "--kubelet", kubeletFolder,
		}},
		{name: node.name + "-kubelet", command: []string{
			paths.binary("kubelet"), "--kubeconfig", paths.clientConfig(node.name), "--config", paths.node(node, "kubelet.yaml"),
			"--root-dir", kubeletFolder, "--cert-dir", filepath.Join(kubeletFolder, "pki"),
			"--hostname-override", node.name, "--node-ip", node.address(),
			"--node-labels", "topology.kubernetes.io/zone=" + node.zone(),
		}},
		{name: node.name + "-kube-proxy", command: []string{
			paths.binary("kube-proxy"), "--kubeconfig", paths.clientConfig("proxy"), "--hostname-override", node.name,
			"--proxy-mode", "iptables", "--cluster-cidr", podRange,
			// The table of connections is one for the whole machine, which only the machine itself may size.
			"--conntrack-max-per-core", "0",
			"--healthz-bind-address", "127.0.0.1:10256", "--metrics-bind-address", "127.0.0.1:10249",
		}},
	}
}
