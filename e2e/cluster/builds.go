package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const kubernetesVersion = "v1.35.4"

// build is a binary of the cluster.
type build struct {
	name string
	// folder holds the module, packagePath the package in it.
	folder      string
	packagePath string
	// sources are the files and folders, in folder, that the binary is made of.
	sources []string
	flags   []string
	// hint says how long the first build takes.
	hint string
}

var builds = []build{
	{
		name: "kube", folder: "e2e/cluster/kube", packagePath: ".", sources: []string{"."},
		flags: []string{"-ldflags", kubernetesStamp()}, hint: "about 5 minutes with two cores",
	},
	{name: "csi", folder: "e2e/cluster/csi", packagePath: ".", sources: []string{"."}, hint: "about 2 minutes with two cores"},
	{name: "dns", folder: "e2e/cluster/dns", packagePath: ".", sources: []string{"."}, hint: "about a minute with two cores"},
	{
		name: "pause", folder: "e2e/cluster", packagePath: "./pause", sources: []string{"pause", "go.mod", "go.sum"},
		hint: "a few seconds",
	},
}

// kubernetesStamp is the version that the programs give. Without it they say v0.0.0 and clients misjudge them.
func kubernetesStamp() string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	server := "k8s.io/component-base/version."
	stamps := []string{
		server + "gitVersion=" + kubernetesVersion, server + "gitMajor=" + major, server + "gitMinor=" + minor,
		server + "gitTreeState=clean", "k8s.io/client-go/pkg/version.gitVersion=" + kubernetesVersion,
	}
	return "-s -w -X " + strings.Join(stamps, " -X ")
}

// keptBuilds is how many versions of a binary stay in the cache: those of a few branches.
const keptBuilds = 4

// ensureBuilds returns the binary of each build, built if the cache does not have it.
func ensureBuilds(paths layout) (map[string]string, error) {
	binaries := map[string]string{}
	for _, build := range builds {
		binary, err := build.ensure(paths)
		if err != nil {
			return nil, err
		}
		binaries[build.name] = binary
	}
	launcher, err := launcherFile()
	if err != nil {
		return nil, err
	}
	markUsed(filepath.Dir(launcher))
	prune(filepath.Join(paths.cache, "cluster"), "launcher")
	return binaries, nil
}

func (b build) ensure(paths layout) (string, error) {
	key, err := b.key(paths.root)
	if err != nil {
		return "", err
	}
	cache := filepath.Join(paths.cache, "cluster")
	folder := filepath.Join(cache, b.name+"-"+key)
	binary := filepath.Join(folder, b.name)
	if !exists(binary) {
		// Two checkouts share the cache; the second one waits for the first and finds its work done.
		if err := b.compileOnce(paths, folder, binary); err != nil {
			return "", err
		}
		prune(cache, b.name)
	}
	markUsed(folder)
	return binary, nil
}

// markUsed keeps the time of the last use, which decides what is pruned.
func markUsed(folder string) {
	now := time.Now()
	_ = os.Chtimes(folder, now, now)
}

func (b build) compileOnce(paths layout, folder, binary string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("failed to make a folder in the cache: %w", err)
	}
	lock, err := os.Create(filepath.Join(folder, "lock"))
	if err != nil {
		return fmt.Errorf("failed to lock %s: %w", folder, err)
	}
	defer lock.Close()
	waiting := wait{what: "another build of " + b.name + " is through", limit: lockLimit, pause: 200 * time.Millisecond}
	err = waiting.until(func() (string, error) {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			return "it holds " + lock.Name(), nil
		}
		return "", nil
	})
	if err != nil || exists(binary) {
		return err
	}
	return b.compile(paths, binary)
}

func (b build) compile(paths layout, binary string) error {
	say("building %s; the first time this takes %s", b.name, b.hint)
	incomplete := binary + ".new"
	arguments := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", incomplete}, b.buildFlags()...)
	command := exec.Command("go", append(arguments, b.packagePath)...)
	command.Dir = filepath.Join(paths.root, b.folder)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	done := make(chan struct{})
	start := time.Now()
	go func() {
		ticker := time.NewTicker(30 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				say("still building %s, %.0f s", b.name, time.Since(start).Seconds())
			}
		}
	}()
	_, err := commandOutput(command)
	close(done)
	if err != nil {
		return fmt.Errorf("failed to build %s: %w", b.name, err)
	}
	say("built %s in %.0f s", b.name, time.Since(start).Seconds())
	return os.Rename(incomplete, binary)
}

func (b build) buildFlags() []string {
	if len(b.flags) > 0 {
		return b.flags
	}
	return []string{"-ldflags", "-s -w"}
}

// key is a hash of what the binary is made of: sources, pinned modules and flags. The Go that builds is left out: a
// machine's own update of it would cost minutes and change nothing for the tests.
func (b build) key(root string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, b.packagePath, b.buildFlags())
	for _, source := range b.sources {
		err := filepath.WalkDir(filepath.Join(root, b.folder, source), func(file string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() || strings.HasSuffix(file, "_test.go") {
				return err
			}
			return hashFile(hash, root, file)
		})
		if err != nil {
			return "", fmt.Errorf("failed to read the sources of %s: %w", b.name, err)
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil))[:16], nil
}

func hashFile(hash io.Writer, root, file string) error {
	name, err := filepath.Rel(root, file)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	return err
}

// prune removes all but the last used versions of a binary. What still runs of them is not disturbed.
func prune(cache, name string) {
	folders, err := filepath.Glob(filepath.Join(cache, name+"-*"))
	if err != nil || len(folders) <= keptBuilds {
		return
	}
	used := func(folder string) int64 {
		info, err := os.Stat(folder)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(folders, func(a, b string) int { return int(min(max(used(b)-used(a), -1), 1)) })
	for _, folder := range folders[keptBuilds:] {
		_ = os.RemoveAll(folder)
	}
}

// programs are the names under which the binaries are called.
var programs = map[string][]string{
	"kube": {
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "helm",
	},
	"csi": {"csi"},
}

// linkPrograms makes target/cluster/bin.
func linkPrograms(paths layout, binaries map[string]string) error {
	if err := os.MkdirAll(paths.in("bin"), 0o755); err != nil {
		return fmt.Errorf("failed to make the folder of programs: %w", err)
	}
	for build, names := range programs {
		for _, name := range names {
			link := paths.binary(name)
			if target, err := os.Readlink(link); err == nil && target == binaries[build] {
				continue
			}
			_ = os.Remove(link)
			if err := os.Symlink(binaries[build], link); err != nil {
				return fmt.Errorf("failed to link %s: %w", name, err)
			}
		}
	}
	return nil
}
