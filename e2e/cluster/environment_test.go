package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAShellTakesWhatIsQuotedAsOneWord(t *testing.T) {
	for _, text := range []string{"plain/path", "with space", "it's", `"$HOME" \ ;`, ""} {
		printed, err := exec.Command("sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(printed) != text {
			t.Errorf("%q became %q, %v", text, printed, err)
		}
	}
}

func TestTheVersionIsThatOfTheWorkspace(t *testing.T) {
	root := t.TempDir()
	paths := newPaths(root, "")
	writeTo(t, filepath.Join(root, "Cargo.toml"),
		"[workspace]\nmembers = []\n\n[workspace.package]\nedition = \"2024\"\nversion = \"1.2.3\"\n\n[workspace.dependencies]\nversion = \"9\"\n")
	if version, err := workspaceVersion(paths); err != nil || version != "1.2.3" {
		t.Errorf("got %q, %v", version, err)
	}
	writeTo(t, filepath.Join(root, "Cargo.toml"), "[workspace]\n")
	if _, err := workspaceVersion(paths); err == nil {
		t.Error("a manifest without a version was taken")
	}
}
