package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// searchPath is where the machine's programs are. Root's PATH sometimes leaves out the administrator's.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// packages are what the cluster takes from Debian, each with a file that shows that it is there.
var packages = []struct {
	name string
	file string
}{
	{"containerd", "containerd"},
	{"runc", "runc"},
	{"containernetworking-plugins", "bridge"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"ipset", "ipset"},
	{"ethtool", "ethtool"},
	{"socat", "socat"},
	{"iproute2", "ip"},
	{"xfsprogs", "mkfs.xfs"},
}

// pluginFolders are where distributions keep the programs that connect pods to their node.
var pluginFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

func pluginFolder() (string, error) {
	for _, folder := range pluginFolders {
		if exists(filepath.Join(folder, "bridge")) {
			return folder, nil
		}
	}
	return "", fmt.Errorf("no network plugins in %s", strings.Join(pluginFolders, ", "))
}

func missingPackages() []string {
	var missing []string
	for _, wanted := range packages {
		var err error
		if wanted.name == "containernetworking-plugins" {
			_, err = pluginFolder()
		} else {
			_, err = exec.LookPath(wanted.file)
		}
		if err != nil {
			missing = append(missing, wanted.name)
		}
	}
	return missing
}

// ensureRoot also sets the PATH by which this launcher finds programs: that of its caller first.
func ensureRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: it makes namespaces, cgroups, mounts and network interfaces; try with sudo")
	}
	return os.Setenv("PATH", os.Getenv("PATH")+":"+searchPath)
}

// ensurePackages installs what is missing with apt, and says what to install where there is none.
func ensurePackages() error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("these are missing, named as Debian's packages: %s; this machine has no apt-get, so install what "+
			"its distribution calls them", list)
	}
	say("installing packages: %s", list)
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if err := apt(install...); err != nil {
		// The lists may be missing or name versions that are gone.
		if err := apt("update"); err != nil {
			return err
		}
		if err := apt(install...); err != nil {
			return err
		}
	}
	if missing := missingPackages(); len(missing) > 0 {
		return fmt.Errorf("apt-get installed %s, yet the programs of %s are not found", list, strings.Join(missing, " "))
	}
	return nil
}

func apt(arguments ...string) error {
	command := exec.Command("apt-get", append([]string{"--quiet", "--quiet"}, arguments...)...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	// Killed in the middle, it would leave packages half installed.
	command.SysProcAttr = &syscall.SysProcAttr{}
	_, err := commandOutput(command)
	return err
}
