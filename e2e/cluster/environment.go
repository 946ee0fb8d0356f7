package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// printEnvironment prints what the end-to-end tests want to know, for `eval` in a shell.
func printEnvironment(paths layout) error {
	version, err := workspaceVersion(paths)
	if err != nil {
		return err
	}
	run := quote(paths.run())
	for _, variable := range [][2]string{
		{"KUBECONFIG", paths.kubeconfig()},
		{"E2E_LOAD", run + " load"},
		{"E2E_NODE_DOWN", run + " node-down"},
		{"E2E_NODE_UP", run + " node-up"},
		{"E2E_AUDIT_LOG", paths.auditLog()},
		{"E2E_KUBECTL", paths.binary("kubectl")},
		{"E2E_HELM", paths.binary("helm")},
		{"E2E_IMAGE", "localhost/logstore:" + version},
		{"E2E_IMAGE_ARCHIVE", filepath.Join(paths.root, "target", "image", "logstore.tar")},
		{"E2E_LIMITED_STORAGE_CLASS", "standard"},
		// Otherwise these two keep files in the home folder.
		{"KUBECACHEDIR", paths.in("kubectl")},
		{"HELM_CACHE_HOME", paths.in("helm", "cache")},
		{"HELM_CONFIG_HOME", paths.in("helm", "config")},
		{"HELM_DATA_HOME", paths.in("helm", "data")},
	} {
		fmt.Printf("export %s=%s\n", variable[0], quote(variable[1]))
	}
	return nil
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes one word for a shell.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

var versionLine = regexp.MustCompile(`(?ms)^\[workspace\.package\]$.*?^version = "([^"]+)"$`)

// workspaceVersion is the version of the image.
func workspaceVersion(paths layout) (string, error) {
	manifest, err := os.ReadFile(filepath.Join(paths.root, "Cargo.toml"))
	if err != nil {
		return "", fmt.Errorf("failed to read the version of the workspace: %w", err)
	}
	found := versionLine.FindSubmatch(manifest)
	if found == nil {
		return "", fmt.Errorf("no version below [workspace.package] in Cargo.toml")
	}
	return string(found[1]), nil
}
