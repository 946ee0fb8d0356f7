package main

// Every process of the cluster is in a cgroup below topGroup, for two reasons: the kubelets account for their pods there,
// and `down` finds whatever runs, even where nobody recorded it.
//
//	/logstore-cluster/control-plane/etcd   one group for each process beside the nodes
//	/logstore-cluster/node1/system         the node's first process, containerd, kubelet, …
//	/logstore-cluster/node1/kubepods       the pods; the kubelet makes it
//
// cgroup v1 has one tree of groups per controller, and a group may hold processes and groups at once. A new group of the
// cpuset tree has no processor and no memory and takes no process until it gets some.
//
// cgroup v2 has one tree. A controller works in a group when the parent's cgroup.subtree_control names it, and a group
// with such children holds no processes itself (https://docs.kernel.org/admin-guide/cgroup-v2.html, "No Internal Process
// Constraint"). So processes are only in leaves here. The top group of the machine is exempt from that rule; the top
// group that a container sees is not, and its processes must move to a leaf first.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	topGroup = "logstore-cluster"
	// parkingGroup takes the processes of the top group where they must make room.
	parkingGroup = "logstore-cluster-parked"
)

func (node node) group() string { return topGroup + "/" + node.name }

// hierarchy is one tree of groups: cgroup v2, or one controller or more of cgroup v1.
type hierarchy struct {
	point       string
	version     int
	controllers []string
}

func readHierarchies() ([]hierarchy, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	found := findHierarchies(mounts)
	if len(found) == 0 {
		return nil, errors.New("no cgroups are mounted below /sys/fs/cgroup; a cluster needs them (v1 or v2)")
	}
	return found, nil
}

// findHierarchies takes the tree of v2 that a machine may have beside those of v1 for one of them: the kubelet uses no
// controllers there, and runc makes its groups in all.
func findHierarchies(mounts []mounted) []hierarchy {
	var first, second []hierarchy
	for _, mount := range mounts {
		below := strings.HasPrefix(mount.point, "/sys/fs/cgroup/")
		switch {
		case mount.kind == "cgroup" && below:
			first = append(first, hierarchy{point: mount.point, version: 1, controllers: mountedControllers(mount.options)})
		case mount.kind == "cgroup2" && below:
			first = append(first, hierarchy{point: mount.point, version: 1})
		case mount.kind == "cgroup2" && mount.point == "/sys/fs/cgroup":
			second = []hierarchy{{point: mount.point, version: 2}}
		}
	}
	if len(first) > 0 {
		return first
	}
	return second
}

func mountedControllers(options string) []string {
	return slices.DeleteFunc(strings.Split(options, ","), func(option string) bool {
		return option == "rw" || option == "ro"
	})
}

// makeGroup makes a group, and those above it, in every tree, fit to hold processes or the kubelet's groups.
func makeGroup(group string) error {
	hierarchies, err := readHierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		if err := hierarchy.makeGroup(group); err != nil {
			return err
		}
	}
	return nil
}

func (h hierarchy) makeGroup(group string) error {
	parent := h.point
	for _, name := range strings.Split(group, "/") {
		if h.version == 2 {
			if err := enableControllers(parent); err != nil {
				return err
			}
		}
		folder := filepath.Join(parent, name)
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("failed to make cgroup %s: %w", folder, err)
		}
		if slices.Contains(h.controllers, "cpuset") {
			if err := inheritCPUSet(parent, folder); err != nil {
				return err
			}
		}
		parent = folder
	}
	return nil
}

// inheritCPUSet gives a group of cgroup v1 the processors and memory of its parent.
func inheritCPUSet(parent, folder string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return fmt.Errorf("failed to read %s of cgroup %s: %w", name, folder, err)
		}
		if strings.TrimSpace(string(own)) != "" {
			continue
		}
		inherited, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil {
			return fmt.Errorf("failed to read %s of cgroup %s: %w", name, parent, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), inherited, 0); err != nil {
			return fmt.Errorf("failed to set %s of cgroup %s: %w", name, folder, err)
		}
	}
	return nil
}

// enableControllers gives the children of a group of cgroup v2 the controllers that the group has itself.
func enableControllers(folder string) error {
	missing, err := missingIn(folder)
	if err != nil {
		return err
	}
	for _, controller := range missing {
		err := writeControl(folder, "+"+controller)
		if errors.Is(err, syscall.EBUSY) {
			if err = park(folder); err == nil {
				err = writeControl(folder, "+"+controller)
			}
		}
		// The kernel keeps some controllers back, as cpu from a group with realtime processes. The kubelet says which
		// one it misses, if it needs it.
		if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("failed to enable controller %s below cgroup %s: %w", controller, folder, err)
		}
	}
	return nil
}

func missingIn(folder string) ([]string, error) {
	available, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("failed to read the controllers of cgroup %s: %w", folder, err)
	}
	enabled, err := os.ReadFile(filepath.Join(folder, "cgroup.subtree_control"))
	if err != nil {
		return nil, fmt.Errorf("failed to read the enabled controllers of cgroup %s: %w", folder, err)
	}
	return missingControllers(string(available), string(enabled)), nil
}

// missingControllers returns what is available and not enabled.
func missingControllers(available, enabled string) []string {
	already := strings.Fields(enabled)
	return slices.DeleteFunc(strings.Fields(available), func(controller string) bool {
		return slices.Contains(already, controller)
	})
}

func writeControl(folder, change string) error {
	return os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte(change), 0)
}

// park moves the processes of a container's top group to a leaf. Kernel threads cannot move and do not count.
func park(folder string) error {
	leaf := filepath.Join(folder, parkingGroup)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("failed to make cgroup %s: %w", leaf, err)
	}
	return moveProcesses(folder, leaf)
}

// moveProcesses repeats itself, as a process may have started another one meanwhile.
func moveProcesses(from, to string) error {
	for range 10 {
		pids, err := readProcesses(from)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			// One that has ended, or cannot move, is found again or not in the next round.
			_ = os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
		}
	}
	return nil
}

// unpark undoes what enableControllers and park did to the top group of the machine or the container. The controllers
// go first: with them, the group takes no processes back.
func unpark(controllers []string) error {
	hierarchies, err := readHierarchies()
	if err != nil || hierarchies[0].version != 2 {
		return err
	}
	top := hierarchies[0].point
	for _, controller := range controllers {
		if err := writeControl(top, "-"+controller); err != nil && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("failed to disable controller %s below cgroup %s: %w", controller, top, err)
		}
	}
	leaf := filepath.Join(top, parkingGroup)
	if !exists(leaf) {
		return nil
	}
	if err := moveProcesses(leaf, top); err != nil {
		return err
	}
	return removeTree(leaf)
}

// controllersToEnable returns what makeGroup will enable below the top group, for `down` to disable.
func controllersToEnable() ([]string, error) {
	hierarchies, err := readHierarchies()
	if err != nil || hierarchies[0].version != 2 {
		return nil, err
	}
	return missingIn(hierarchies[0].point)
}

// contained is the first thing that a process of the cluster runs: it enters its cgroup, then becomes the program.
func contained(arguments []string) error {
	if len(arguments) < 2 {
		return errUsage
	}
	group, command := arguments[0], arguments[1:]
	hierarchies, err := readHierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		// 0 stands for the process that writes, by whatever number it is known.
		file := filepath.Join(hierarchy.point, group, "cgroup.procs")
		if err := os.WriteFile(file, []byte("0"), 0); err != nil {
			return fmt.Errorf("failed to enter cgroup %s: %w", file, err)
		}
	}
	err = syscall.Exec(command[0], command, os.Environ())
	return fmt.Errorf("failed to run %s: %w", command[0], err)
}

// killGroup ends every process in a group and below it.
func killGroup(group string) error {
	hierarchies, err := readHierarchies()
	if err != nil {
		return err
	}
	waiting := wait{what: "the processes in cgroup " + group + " have ended", limit: endLimit, pause: 20 * time.Millisecond}
	return waiting.until(func() (string, error) {
		left := 0
		for _, hierarchy := range hierarchies {
			pids, err := membersOf(filepath.Join(hierarchy.point, group))
			if err != nil {
				return "", err
			}
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			left = max(left, len(pids))
		}
		if left > 0 {
			return fmt.Sprintf("%d run", left), nil
		}
		return "", nil
	})
}

// membersOf returns the processes of a group and of those below it; none where there is no such group.
func membersOf(folder string) ([]int, error) {
	var all []int
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		pids, err := readProcesses(path)
		all = append(all, pids...)
		return err
	})
	return all, err
}

func readProcesses(folder string) ([]int, error) {
	content, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read the processes of cgroup %s: %w", folder, err)
	}
	var pids []int
	for _, field := range strings.Fields(string(content)) {
		pid, err := strconv.Atoi(field)
		// 0 stands for a process that this namespace cannot see; a negative number would be a whole group to kill().
		if err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// removeGroup removes a group, and those below it, in every tree.
func removeGroup(group string) error {
	hierarchies, err := readHierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		if err := removeTree(filepath.Join(hierarchy.point, group)); err != nil {
			return err
		}
	}
	return nil
}

// removeTree tries again while the kernel still counts a process that has just ended.
func removeTree(folder string) error {
	waiting := wait{what: "cgroup " + folder + " can be removed", limit: endLimit, pause: 10 * time.Millisecond}
	return waiting.until(func() (string, error) {
		if err := removeOnce(folder); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
}

func removeOnce(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeOnce(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(folder); err != nil && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	return nil
}
