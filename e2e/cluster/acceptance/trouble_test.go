//go:build cluster

package acceptance

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDownRemovesWhatAKilledLauncherLeft(t *testing.T) {
	c := cluster{t: t, run: launcher(t)}
	before := observe(t)
	for _, after := range []time.Duration{300, 800, 1500, 2500, 4000, 6000, 9000} {
		c.killUp(after * time.Millisecond)
		c.must(c.run, "down")
		compare(t, before, observe(t))
	}
	c.must(c.run, "down")
}

func TestUpGoesOnWhereAKilledLauncherStopped(t *testing.T) {
	c := cluster{t: t, run: launcher(t)}
	before := observe(t)
	for _, after := range []time.Duration{700, 1800, 3500} {
		c.killUp(after * time.Millisecond)
		c.must(c.run, "up")
		c.must(c.run, "status")
		c.must(c.run, "down")
	}
	compare(t, before, observe(t))
}

// killUp kills the launcher alone: the script becomes the launcher, so they are one process.
func (c *cluster) killUp(after time.Duration) {
	up := exec.Command(c.run, "up")
	if err := up.Start(); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(after)
	_ = up.Process.Kill()
	_ = up.Wait()
}

func TestAPortThatIsTakenIsNamedInTheError(t *testing.T) {
	c := cluster{t: t, run: launcher(t)}
	before := observe(t)
	taken, err := net.Listen("tcp", "127.0.0.1:23790")
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(c.run, "up").CombinedOutput()
	for _, want := range []string{"etcd", "127.0.0.1:23790", "address already in use", "run down"} {
		if err == nil || !strings.Contains(string(output), want) {
			t.Errorf("%q is not in: %v\n%s", want, err, output)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	c.must(c.run, "down")
	compare(t, before, observe(t))
}

// A checkout in a container is on an overlay, some CI systems keep theirs in /var/lib, and paths can be long.
func TestACheckoutMayBeAnywhere(t *testing.T) {
	home := cluster{t: t, run: launcher(t)}
	before := observe(t)
	place := filepath.Join("/var/lib", "logstore-acceptance", strings.Repeat("long-", 20)+"path", "check out")
	away := cluster{t: t, run: filepath.Join(place, "e2e/cluster/run")}
	if err := os.MkdirAll(place, 0o755); err != nil {
		t.Fatal(err)
	}
	home.mountOverlay(place)
	away.copyCheckout(place)
	// Not the last `down` of a test that goes well, but of one that fails.
	t.Cleanup(func() { _ = exec.Command(away.run, "down").Run() })

	away.must(away.run, "up")
	away.readEnvironment()
	away.must(away.run, "load", away.buildImage("localhost/logstore-probe:1"))
	startWorkload(&away)
	if output, err := exec.Command(home.run, "up").CombinedOutput(); err == nil || !strings.Contains(string(output), place) {
		t.Errorf("a second cluster was not refused with the first one's folder: %v\n%s", err, output)
	}
	if output := home.must(home.run, "down"); !strings.Contains(output, place) {
		t.Errorf("down says %s", output)
	}
	killNode(&away)
	away.must(away.run, "status")
	away.must(away.run, "down")
	home.must("umount", place)
	compare(t, before, observe(t))
}

func (c *cluster) mountOverlay(place string) {
	layers := c.t.TempDir()
	for _, layer := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(layers, layer), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	c.must("mount", "-t", "overlay", "-o", "lowerdir="+layers+"/lower,upperdir="+layers+"/upper,workdir="+layers+"/work", "overlay", place)
	c.t.Cleanup(func() {
		_ = exec.Command("umount", "-l", place).Run()
		_ = os.RemoveAll("/var/lib/logstore-acceptance")
	})
}

func TestAClusterOutlivesItsCheckoutUntilAnotherOneTakesItDown(t *testing.T) {
	home := cluster{t: t, run: launcher(t)}
	before := observe(t)
	place := filepath.Join(t.TempDir(), "checkout")
	away := cluster{t: t, run: filepath.Join(place, "e2e/cluster/run")}
	away.copyCheckout(place)
	away.must(away.run, "up")
	t.Cleanup(func() { _ = exec.Command(home.run, "down").Run() })
	// Moved, not deleted: the kubelets would write while it is being deleted.
	if err := os.Rename(place, place+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(home.run, "up").CombinedOutput(); err == nil || !strings.Contains(string(output), "a folder that is gone") {
		t.Errorf("%v\n%s", err, output)
	}
	home.must(home.run, "down")
	// The notes are gone with the checkout, so what the kubelets set stays.
	after := observe(t)
	restore(t, before["sysctls"])
	after["sysctls"] = before["sysctls"]
	compare(t, before, after)
}

func (c *cluster) copyCheckout(place string) {
	for _, part := range []string{"e2e/cluster", "image", "Cargo.toml"} {
		target := filepath.Dir(filepath.Join(place, part))
		if err := os.MkdirAll(target, 0o755); err != nil {
			c.t.Fatal(err)
		}
		c.must("cp", "-r", filepath.Join("../../..", part), target)
	}
}

func restore(t *testing.T, sysctls string) {
	for _, line := range strings.Split(sysctls, "\n") {
		name, value, _ := strings.Cut(line, "=")
		file := filepath.Join("/proc/sys", name)
		if current, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(current)) != value {
			if err := os.WriteFile(file, []byte(value), 0); err != nil {
				t.Error(err)
			}
		}
	}
}
