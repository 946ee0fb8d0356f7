package main

import (
	"fmt"
	"time"
)

// controlPlaneGroup is the cgroup of one process of the control plane.
func controlPlaneGroup(name string) string { return topGroup + "/control-plane/" + name }

// etcd has no other way to keep strangers out than to listen on loopback; its usual ports may belong to another one.
const (
	etcdURL     = "http://127.0.0.1:23790"
	etcdPeerURL = "http://127.0.0.1:23800"
)

// controlPlane are the processes beside the nodes, in the order in which they start.
func controlPlane(paths layout) []daemon {
	return []daemon{
		{name: "etcd", command: etcdCommand(paths)},
		{name: "kube-apiserver", command: apiServerCommand(paths)},
		{name: "kube-controller-manager", command: controllerManagerCommand(paths)},
		{name: "kube-scheduler", command: schedulerCommand(paths)},
		{name: "csi-controller", command: []string{
			paths.binary("csi"), "controller", "--kubeconfig", paths.clientConfig("csi"), "--socket", "/run/" + topGroup + "/csi.sock",
		}},
	}
}

func etcdCommand(paths layout) []string {
	return []string{
		paths.binary("etcd"), "--data-dir", paths.in("etcd"), "--log-level", "warn",
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", etcdPeerURL, "--initial-advertise-peer-urls", etcdPeerURL, "--initial-cluster", "default=" + etcdPeerURL,
		// A machine that crashes takes the whole cluster with it, so nothing is gained by waiting for the disk.
		"--unsafe-no-fsync",
	}
}

func apiServerCommand(paths layout) []string {
	return []string{
		paths.binary("kube-apiserver"), "--etcd-servers", etcdURL,
		"--bind-address", hostAddress, "--advertise-address", hostAddress, "--secure-port", apiPort,
		"--client-ca-file", paths.certificate("ca"),
		"--tls-cert-file", paths.certificate("apiserver"), "--tls-private-key-file", paths.key("apiserver"),
		"--kubelet-certificate-authority", paths.certificate("ca"),
		"--kubelet-client-certificate", paths.certificate("apiserver"), "--kubelet-client-key", paths.key("apiserver"),
		// Otherwise exec and logs look up the names of nodes in DNS.
		"--kubelet-preferred-address-types", "InternalIP",
		"--service-account-key-file", paths.in("certificates", "service-accounts.pub"),
		"--service-account-signing-key-file", paths.key("service-accounts"),
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-cluster-ip-range", serviceRange,
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged",
		"--profiling=false",
		// Every request is in the log before it is answered, and the log is one file.
		"--audit-policy-file", paths.in("audit-policy.yaml"), "--audit-log-path", paths.auditLog(),
		"--audit-log-mode", "blocking", "--audit-log-maxsize", "4096",
	}
}

func controllerManagerCommand(paths layout) []string {
	return []string{
		paths.binary("kube-controller-manager"), "--kubeconfig", paths.clientConfig("controller-manager"),
		"--service-account-private-key-file", paths.key("service-accounts"), "--root-ca-file", paths.certificate("ca"),
		"--cluster-signing-cert-file", paths.certificate("ca"), "--cluster-signing-key-file", paths.key("ca"),
		"--use-service-account-credentials", "--leader-elect=false", "--secure-port", "0",
		// The ranges of pods are fixed with the routes, see network.go.
		"--allocate-node-cidrs=false",
		// Less than the usual 50 s: a test waits until a dead node is noticed.
		"--node-monitor-grace-period", "30s",
	}
}

func schedulerCommand(paths layout) []string {
	return []string{
		paths.binary("kube-scheduler"), "--kubeconfig", paths.clientConfig("scheduler"), "--leader-elect=false", "--secure-port", "0",
	}
}

// startControlPlane starts what does not run. Each process waits by itself for those it needs, except that nothing is
// of use before the API server answers.
func startControlPlane(paths layout) error {
	if err := writeManifest(paths.in("audit-policy.yaml"), "audit-policy.yaml", nil); err != nil {
		return err
	}
	var started []daemon
	for _, daemon := range controlPlane(paths) {
		if err := keepRunning(paths, daemon); err != nil {
			return err
		}
		started = append(started, daemon)
		if daemon.name == "kube-apiserver" {
			if err := waitForAPI(paths, started); err != nil {
				return err
			}
		}
	}
	return nil
}

func keepRunning(paths layout, daemon daemon) error {
	running, err := loadProcess(paths, daemon.name)
	if err != nil || running.alive() {
		return err
	}
	if running.PID != 0 {
		say("%s has ended; starting it again", daemon.name)
	}
	daemon.group = controlPlaneGroup(daemon.name)
	if err := makeGroup(daemon.group); err != nil {
		return err
	}
	// A launcher that was interrupted may have started one that nobody knows; two would fight for port and files.
	if err := killGroup(daemon.group); err != nil {
		return err
	}
	_, err = startDaemon(paths, daemon)
	return err
}

func waitForAPI(paths layout, started []daemon) error {
	api, err := newAPI(paths)
	if err != nil {
		return err
	}
	waiting := wait{
		what: "the API server is ready", limit: 90 * time.Second, pause: 100 * time.Millisecond,
		logs: []string{paths.log("kube-apiserver")},
	}
	err = waiting.until(func() (string, error) {
		if err := checkRunning(paths, started); err != nil {
			return "", err
		}
		if err := api.get("/readyz", nil); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	say("the API server is ready")
	return nil
}

// checkRunning finds a process that ended soon after its start, as with a wrong flag or a taken port.
func checkRunning(paths layout, daemons []daemon) error {
	for _, daemon := range daemons {
		running, err := loadProcess(paths, daemon.name)
		if err != nil {
			return err
		}
		if !running.alive() {
			return withLogs(fmt.Errorf("%s: %w", daemon.name, errEnded), paths.log(daemon.name))
		}
	}
	return nil
}
