package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianPackages are packages that are taken out of their archives into a folder. They are not installed: the system stays
// as it is, no service starts by itself, and it takes no root.
type debianPackages struct {
	names  []string
	folder string
}

// candidateVersion is the version of a package that this machine's lists offer. Lists that are missing are fetched.
func candidateVersion(ctx context.Context, name string) (string, error) {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("there is no %s: this needs Debian, or a distribution that is made of it", tool)
		}
	}
	version, err := offeredVersion(ctx, name)
	if version != "" || err != nil {
		return version, err
	}
	if os.Geteuid() == 0 {
		if _, err := runCommand(ctx, exec.Command("apt-get", "--quiet", "update")); err != nil {
			return "", fmt.Errorf("failed to fetch the lists of packages: %w", err)
		}
		version, err = offeredVersion(ctx, name)
	}
	if version == "" && err == nil {
		err = fmt.Errorf("the lists of packages have no %s; run `apt-get update` as root", name)
	}
	return version, err
}

func offeredVersion(ctx context.Context, name string) (string, error) {
	command := exec.Command("apt-cache", "policy", name)
	command.Env = append(os.Environ(), "LC_ALL=C")
	policy, err := runCommand(ctx, command)
	return parseCandidate(policy), err
}

// parseCandidate reads what `apt-cache policy` prints.
func parseCandidate(policy string) string {
	for line := range strings.Lines(policy) {
		if version, found := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); found && version != "(none)" {
			return version
		}
	}
	return ""
}

// fetch downloads what is not there yet. The folder has its name when it is complete.
func (d debianPackages) fetch(ctx context.Context) error {
	if exists(d.folder) {
		return nil
	}
	incomplete := d.folder + ".incomplete"
	defer os.RemoveAll(incomplete)
	if err := os.RemoveAll(incomplete); err != nil {
		return fmt.Errorf("failed to empty a folder in the cache: %w", err)
	}
	if err := os.MkdirAll(incomplete, 0o755); err != nil {
		return fmt.Errorf("failed to make a folder in the cache: %w", err)
	}
	// Run by root, apt would give the work to a user who cannot write here.
	command := exec.Command("apt-get", append([]string{"-o", "APT::Sandbox::User=root", "download"}, d.names...)...)
	command.Dir = incomplete
	if _, err := runCommand(ctx, command); err != nil {
		return fmt.Errorf("failed to download packages (`apt-get update`, as root, may help): %w", err)
	}
	if err := extract(ctx, incomplete); err != nil {
		return err
	}
	if err := os.Rename(incomplete, d.folder); err != nil {
		return fmt.Errorf("failed to keep the packages: %w", err)
	}
	return nil
}

// extract takes every archive in a folder apart there, and removes it.
func extract(ctx context.Context, folder string) error {
	archives, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := runCommand(ctx, exec.Command("dpkg", "-x", archive, folder)); err != nil {
			return err
		}
		if err := os.Remove(archive); err != nil {
			return fmt.Errorf("failed to remove an archive: %w", err)
		}
	}
	return nil
}

// command runs a program of the packages with the libraries that came with it.
func (d debianPackages) command(program string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(d.folder, "usr/bin", program), arguments...)
	// The pattern is ours, so that it is not malformed.
	libraries, _ := filepath.Glob(filepath.Join(d.folder, "usr/lib/*-linux-gnu*"))
	command.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	return command
}
