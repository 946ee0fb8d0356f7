package main

// These ask the kernel itself, each in a namespace of its own. They need root and are skipped without.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this binary be the launcher where a test starts a process as the launcher does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "contained" {
		_ = contained(os.Args[2:])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const inside = "CLUSTER_TEST_INSIDE"

// inNamespace runs the calling test once more in new namespaces, and tells the outer one to end there.
func inNamespace(t *testing.T, flags uintptr) (outer bool) {
	t.Helper()
	if os.Getenv(inside) != "" {
		return false
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	again := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inside+"=yes")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	output, err := again.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if strings.Contains(string(output), "--- SKIP") {
		t.Skipf("%s", output)
	}
	return true
}

func TestGroupsWorkOnTheKernelsOwnTreesOfThisMachine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := readHierarchies(); err != nil {
		t.Skip(err)
	}
	liveAndDie(t)
}

// On a machine with cgroup v1 the tree of v2 is there as well, with the controllers that v1 does not use.
func TestGroupsWorkOnTheKernelsOwnTreeOfTheSecondVersion(t *testing.T) {
	if inNamespace(t, syscall.CLONE_NEWNS) {
		return
	}
	if err := mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	mounts, err := readMounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range append(mountsBelow(mounts, "/sys/fs/cgroup"), "/sys/fs/cgroup") {
		_ = syscall.Unmount(point, syscall.MNT_DETACH)
	}
	if err := mount("none", "/sys/fs/cgroup", "cgroup2", 0, ""); err != nil {
		t.Skip(err)
	}
	if found, err := readHierarchies(); err != nil || len(found) != 1 || found[0].version != 2 {
		t.Fatalf("got %v, %v", found, err)
	}
	before := readFrom(t, "/sys/fs/cgroup/cgroup.subtree_control")
	enabled, err := controllersToEnable()
	if err != nil {
		t.Fatal(err)
	}
	liveAndDie(t)
	if missing, err := controllersToEnable(); err != nil || len(missing) != 0 {
		t.Errorf("not enabled: %v, %v", missing, err)
	}
	if err := unpark(enabled); err != nil {
		t.Fatal(err)
	}
	if after := readFrom(t, "/sys/fs/cgroup/cgroup.subtree_control"); after != before {
		t.Errorf("the enabled controllers were %q and are %q; %v were to go", before, after, enabled)
	}
}

// liveAndDie starts a process in a group, as a daemon starts, and ends it with its group.
func liveAndDie(t *testing.T) {
	group := "logstore-test"
	leaf := group + "/node/system"
	t.Cleanup(func() {
		if err := removeGroup(group); err != nil {
			t.Error(err)
		}
	})
	if err := makeGroup(leaf); err != nil {
		t.Fatal(err)
	}
	launcher, err := launcherFile()
	if err != nil {
		t.Fatal(err)
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(launcher, "contained", leaf, sleep, "60")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = daemon.Wait() }()
	hierarchies, err := readHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	// The last tree is the last one that the process enters.
	last := hierarchies[len(hierarchies)-1]
	waiting := wait{what: "the process is in its group", limit: 5 * time.Second, pause: time.Millisecond}
	err = waiting.until(func() (string, error) {
		pids, err := membersOf(filepath.Join(last.point, group))
		if err != nil || len(pids) != 1 || pids[0] != daemon.Process.Pid {
			return "it is not", err
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := killGroup(group); err != nil {
		t.Fatal(err)
	}
	if err := removeGroup(group); err != nil {
		t.Fatal(err)
	}
	for _, hierarchy := range hierarchies {
		if exists(filepath.Join(hierarchy.point, group)) {
			t.Errorf("the group is still in %s", hierarchy.point)
		}
	}
}

func TestOurRulesOpenAFirewallAndGoAgain(t *testing.T) {
	if inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	if err := ensureRoot(); err != nil {
		t.Fatal(err)
	}
	if err := runCommand("iptables", "-P", "FORWARD", "DROP"); err != nil {
		t.Skip(err)
	}
	rules := func() string {
		saved, err := commandOutput(exec.Command("iptables", "-S"))
		if err != nil {
			t.Fatal(err)
		}
		return saved
	}
	before := rules()
	// Twice, as `up` does it each time.
	for range 2 {
		if err := openFirewall(); err != nil {
			t.Fatal(err)
		}
	}
	opened := rules()
	if strings.Count(opened, "-j ACCEPT") != 1 || !strings.Contains(opened, "FORWARD -i logstore0 -o logstore0") {
		t.Errorf("only the chain that drops needs one rule; the rules are\n%s", opened)
	}
	for range 2 {
		if err := closeFirewall(); err != nil {
			t.Fatal(err)
		}
	}
	if after := rules(); after != before {
		t.Errorf("the rules were\n%s\nand are\n%s", before, after)
	}
}

func TestWhatIsHiddenFromANodeIsEmptyAndTheCheckoutIsNot(t *testing.T) {
	if inNamespace(t, syscall.CLONE_NEWNS) {
		return
	}
	if err := mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	// A checkout in /var/lib, as some CI systems make it; the folder is in this namespace only.
	if err := mount("tmpfs", "/var/lib", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	checkout := "/var/lib/ci/checkout/target/cluster"
	makeFolder(t, checkout)
	writeTo(t, "/var/lib/ci/secret", "of the machine")
	writeTo(t, filepath.Join(checkout, "file"), "visible")
	if err := hideFolders(checkout, "/root"); err != nil {
		t.Fatal(err)
	}
	if content := readFrom(t, filepath.Join(checkout, "file")); content != "visible" {
		t.Errorf("read %q", content)
	}
	if exists("/var/lib/ci/secret") || exists("/var/log/dpkg.log") {
		t.Error("the machine's own files are visible")
	}
}
