package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

const firstVersion = `
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const secondVersion = `
29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
50 22 0:40 / /mnt/other rw - cgroup2 cgroup2 rw
`

func TestEachTreeOfTheFirstVersionIsUsed(t *testing.T) {
	found := findHierarchies(parseMounts(firstVersion))
	var points []string
	for _, hierarchy := range found {
		points = append(points, hierarchy.point)
		if hierarchy.version != 1 {
			t.Errorf("%s has version %d", hierarchy.point, hierarchy.version)
		}
	}
	want := []string{
		"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpuset", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified",
	}
	if !slices.Equal(points, want) {
		t.Errorf("got %v", points)
	}
	if !slices.Contains(found[1].controllers, "cpuset") || slices.Contains(found[0].controllers, "cpuset") {
		t.Errorf("controllers %v", found)
	}
}

func TestTheOneTreeOfTheSecondVersionIsUsed(t *testing.T) {
	want := []hierarchy{{point: "/sys/fs/cgroup", version: 2}}
	if found := findHierarchies(parseMounts(secondVersion)); !reflect.DeepEqual(found, want) {
		t.Errorf("got %+v", found)
	}
}

func TestAMachineWithoutCgroupsHasNoTree(t *testing.T) {
	if found := findHierarchies(parseMounts("22 27 0:21 / /proc rw - proc proc rw\n")); len(found) != 0 {
		t.Errorf("got %+v", found)
	}
}

func TestOnlyControllersThatAreMissingAreEnabled(t *testing.T) {
	for _, test := range []struct {
		available, enabled string
		want               []string
	}{
		{"cpuset cpu io memory pids\n", "cpu memory\n", []string{"cpuset", "io", "pids"}},
		{"cpu memory\n", "cpu memory\n", []string{}},
		{"", "", []string{}},
	} {
		if got := missingControllers(test.available, test.enabled); !slices.Equal(got, test.want) {
			t.Errorf("%q less %q: got %v", test.available, test.enabled, got)
		}
	}
}

// A folder with plain files stands for the tree: what is written is seen, what the kernel would do is not.
func TestControllersAreEnabledInEveryGroupAboveTheProcesses(t *testing.T) {
	top := t.TempDir()
	for _, group := range []string{"", "a", "a/b"} {
		makeFolder(t, filepath.Join(top, group))
		writeTo(t, filepath.Join(top, group, "cgroup.controllers"), "memory")
		writeTo(t, filepath.Join(top, group, "cgroup.subtree_control"), "")
	}
	makeFolder(t, filepath.Join(top, "a/b/c"))
	if err := (hierarchy{point: top, version: 2}).makeGroup("a/b/c"); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"", "a", "a/b"} {
		if written := readFrom(t, filepath.Join(top, group, "cgroup.subtree_control")); written != "+memory" {
			t.Errorf("group %q got %q", group, written)
		}
	}
	if exists(filepath.Join(top, "a/b/c", "cgroup.subtree_control")) {
		t.Error("the group of the processes itself was given controllers for children")
	}
}

func TestANewGroupOfTheFirstVersionGetsProcessorsAndMemory(t *testing.T) {
	top := t.TempDir()
	makeFolder(t, filepath.Join(top, "a"))
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		writeTo(t, filepath.Join(top, name), "0-1\n")
		writeTo(t, filepath.Join(top, "a", name), "\n")
	}
	writeTo(t, filepath.Join(top, "a", "cpuset.mems"), "0\n")
	if err := (hierarchy{point: top, version: 1, controllers: []string{"cpuset"}}).makeGroup("a"); err != nil {
		t.Fatal(err)
	}
	if cpus := readFrom(t, filepath.Join(top, "a", "cpuset.cpus")); cpus != "0-1\n" {
		t.Errorf("processors %q", cpus)
	}
	if mems := readFrom(t, filepath.Join(top, "a", "cpuset.mems")); mems != "0\n" {
		t.Errorf("what somebody had set became %q", mems)
	}
}

func TestProcessesOfAllGroupsBelowAreFound(t *testing.T) {
	top := t.TempDir()
	makeFolder(t, filepath.Join(top, "a", "b"))
	writeTo(t, filepath.Join(top, "cgroup.procs"), "")
	writeTo(t, filepath.Join(top, "a", "cgroup.procs"), "100\n0\n")
	writeTo(t, filepath.Join(top, "a", "b", "cgroup.procs"), "1\n200\n300\n")
	pids, err := membersOf(top)
	if err != nil || !slices.Equal(pids, []int{100, 200, 300}) {
		t.Errorf("got %v, %v; neither 0 nor the machine's first process may be among them", pids, err)
	}
	if pids, err := membersOf(filepath.Join(top, "missing")); err != nil || len(pids) != 0 {
		t.Errorf("a group that is not there has %v, %v", pids, err)
	}
}

func makeFolder(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeTo(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFrom(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
