//go:build cluster

package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// observe returns what a cluster could leave on the machine, by kind.
func observe(t *testing.T) map[string]string {
	seen := map[string]string{
		"network interfaces": names(t, "/sys/class/net/*"),
		"routes":             text(t, "ip", "route", "show", "table", "all"),
		"network namespaces": names(t, "/run/netns/*"),
		"mounts":             text(t, "findmnt", "--list", "--noheadings", "--output", "TARGET,SOURCE"),
		"loop devices":       text(t, "losetup", "--list", "--noheadings", "--output", "BACK-FILE"),
		"cgroups":            names(t, "/sys/fs/cgroup/*/logstore*") + names(t, "/sys/fs/cgroup/logstore*"),
		"folders in /run":    names(t, "/run/logstore*"),
		"state":              names(t, "../../../target/cluster/*/"),
		"folders of kubelet": names(t, "/var/lib/kubelet") + names(t, "/var/lib/cni") + names(t, "/var/log/pods") + names(t, "/var/log/containers"),
		"processes":          processes(t),
		"sysctls":            sysctls(t),
	}
	if _, err := exec.LookPath("iptables-save"); err == nil {
		seen["firewall"] = rules(text(t, "iptables-save"))
	}
	return seen
}

func compare(t *testing.T, before, after map[string]string) {
	t.Helper()
	for kind, was := range before {
		if is := after[kind]; is != was {
			t.Errorf("%s were\n%s\nand are\n%s", kind, was, is)
		}
	}
}

func text(t *testing.T, name string, arguments ...string) string {
	return string(output(t, name, arguments...))
}

func names(t *testing.T, pattern string) string {
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, "\n")
}

// processes returns those whose program is one of the cluster's.
func processes(t *testing.T) string {
	var found []string
	for line := range strings.Lines(text(t, "ps", "-e", "-o", "args=")) {
		program := filepath.Base(strings.Fields(line)[0])
		switch {
		case strings.HasPrefix(program, "containerd"), strings.HasPrefix(program, "kube"),
			program == "etcd", program == "csi", program == "launcher", program == "pause", program == "dns", program == "runc":
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

func sysctls(t *testing.T) string {
	var all []string
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
		"kernel/keys/root_maxbytes", "net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables",
		"fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "net/netfilter/nf_conntrack_max",
	} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err == nil {
			all = append(all, name+"="+strings.TrimSpace(string(value)))
		}
	}
	return strings.Join(all, "\n")
}

// rules leaves out the counters and times of `iptables-save`.
func rules(saved string) string {
	var all []string
	for line := range strings.Lines(saved) {
		if strings.HasPrefix(line, "-A ") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}
