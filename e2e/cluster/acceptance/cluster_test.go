//go:build cluster

// Package acceptance shows on a real machine that the test cluster does what its README says:
//
//	sudo go test -tags cluster -count 1 -v ./acceptance
//
// It starts a cluster and stops it, so none may run before.
package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"logstore.dev/image"
)

const (
	mebibyte = 1 << 20
	limit    = 2 * time.Minute
)

func TestTheCluster(t *testing.T) {
	c := cluster{t: t, run: launcher(t)}
	if output, _ := exec.Command(c.run, "status").CombinedOutput(); !strings.Contains(string(output), "no cluster runs") {
		t.Fatalf("a cluster runs on this machine; stop it first:\n%s", output)
	}
	before := observe(t)
	c.must(c.run, "up")
	defer func() {
		c.must(c.run, "down")
		compare(t, before, observe(t))
	}()
	c.readEnvironment()

	// Each depends on what the ones before it left.
	for _, step := range []struct {
		name string
		act  func(*cluster)
	}{
		{"up again changes nothing", upAgain},
		{"an image is loaded", loadImage},
		{"three pods with claims start, one per zone", startWorkload},
		{"names and services work from every pod, and nothing outside does", checkNetwork},
		{"exec, logs and port-forward work", checkStreams},
		{"a volume ends at its size", fillVolume},
		{"a volume grows while it is in use", growVolume},
		{"a claim of the fixed class is not grown", refuseGrowth},
		{"a force-deleted pod's successor has the volume at once", replacePod},
		{"a node dies and comes back with its data", killNode},
		{"up repairs what has died", repair},
		{"an image that is loaded while a node is down is there when it comes up", loadWhileDown},
		{"every request is in the audit log", checkAudit},
	} {
		c.t = t
		ok := t.Run(step.name, func(t *testing.T) {
			c.t = t
			start := time.Now()
			step.act(&c)
			t.Logf("%.1f s", time.Since(start).Seconds())
		})
		c.t = t
		if !ok {
			c.dump()
			return
		}
	}
}

func TestUpAndDownLeaveNothing(t *testing.T) {
	c := cluster{t: t, run: launcher(t)}
	before := observe(t)
	c.must(c.run, "down")
	for round := range 3 {
		start := time.Now()
		c.must(c.run, "up")
		up := time.Since(start)
		c.must(c.run, "down")
		t.Logf("round %d: up %.1f s, down %.1f s", round+1, up.Seconds(), (time.Since(start) - up).Seconds())
		compare(t, before, observe(t))
	}
}

func upAgain(c *cluster) {
	if output := c.must(c.run, "up"); !strings.Contains(output, "runs already") {
		c.t.Errorf("it does not say that the cluster runs:\n%s", output)
	}
	if output := c.must(c.run, "status"); strings.Count(output, "ready") != 3 {
		c.t.Errorf("not three nodes are ready:\n%s", output)
	}
}

func loadImage(c *cluster) { c.must(c.run, "load", c.buildImage("localhost/logstore-probe:1")) }

func startWorkload(c *cluster) {
	c.kubectl("create", "namespace", "acceptance")
	c.kubectl("apply", "-f", "workload.yaml")
	c.waitReady()
	used := map[string]bool{}
	for _, pod := range pods {
		used[c.nodeOf(pod)] = true
	}
	if len(used) != 3 {
		c.t.Errorf("the pods are on %v", used)
	}
}

func checkNetwork(c *cluster) {
	for _, pod := range pods {
		for _, other := range pods {
			if answer := c.probe(pod, "get", "http://"+other+".probe:8080/"); answer != other {
				c.t.Errorf("from %s, %s answered as %q", pod, other, answer)
			}
		}
		reached := map[string]bool{}
		for range 16 {
			reached[c.probe(pod, "get", "http://balanced.acceptance.svc.cluster.local/")] = true
		}
		if len(reached) != 3 {
			c.t.Errorf("from %s, the service led to %v", pod, reached)
		}
		if output, err := c.try("exec", pod, "--", "/probe", "get", "http://192.0.2.1/"); err == nil || !strings.Contains(output, "unreachable") {
			c.t.Errorf("%s reached the outside, or not at once failed to: %v %s", pod, err, output)
		}
	}
	if output, err := c.try("exec", pods[0], "--", "/probe", "lookup", "nobody.acceptance"); err == nil {
		c.t.Errorf("a name that is not there has addresses: %s", output)
	}
}

func checkStreams(c *cluster) {
	if output := c.kubectl("logs", pods[0]); !strings.Contains(output, "serving as "+pods[0]) {
		c.t.Errorf("logs: %q", output)
	}
	forward := exec.Command(c.program("E2E_KUBECTL"), "--namespace", "acceptance", "port-forward", pods[1], "18080:8080")
	if err := forward.Start(); err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	c.eventually("port-forward answers", func() (bool, string) {
		output, err := exec.Command("go", "run", "./probe", "get", "http://127.0.0.1:18080/").CombinedOutput()
		return err == nil && strings.TrimSpace(string(output)) == pods[1], string(output)
	})
}

func fillVolume(c *cluster) {
	written := c.number(c.probe(pods[0], "fill", "/data/full"))
	c.t.Logf("wrote %d MiB into a claim of 400 MiB", written/mebibyte)
	if written > 400*mebibyte || written < 250*mebibyte {
		c.t.Errorf("wrote %d bytes", written)
	}
	c.probe(pods[0], "write", "/data/full", "")
	c.probe(pods[0], "write", "/data/text", "fits again")
}

func growVolume(c *cluster) {
	before := c.number(c.probe(pods[0], "space", "/data"))
	for _, size := range []int64{600, 1000} {
		start := time.Now()
		c.kubectl("patch", "pvc", "data-"+pods[0], "-p", fmt.Sprintf(`{"spec":{"resources":{"requests":{"storage":"%dMi"}}}}`, size))
		c.eventually("the volume has grown", func() (bool, string) {
			now := c.number(c.probe(pods[0], "space", "/data"))
			return now > before && now > (size-100)*mebibyte, fmt.Sprint(now)
		})
		c.eventually("the claim says so", func() (bool, string) {
			has := c.kubectl("get", "pvc", "data-"+pods[0], "-o", "jsonpath={.status.capacity.storage}")
			return has == fmt.Sprintf("%dMi", size), has
		})
		c.t.Logf("grew to %d MiB in %.1f s", size, time.Since(start).Seconds())
	}
	if restarts := c.kubectl("get", "pod", pods[0], "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); restarts != "0" {
		c.t.Errorf("restarted %s times", restarts)
	}
}

func refuseGrowth(c *cluster) {
	output, err := c.try("patch", "pvc", "fixed-"+pods[0], "-p", `{"spec":{"resources":{"requests":{"storage":"600Mi"}}}}`)
	if err == nil || !strings.Contains(output, "must support resize") {
		c.t.Errorf("%v: %s", err, output)
	}
}

func replacePod(c *cluster) {
	c.probe(pods[1], "write", "/data/text", "survives")
	c.kubectl("delete", "pod", pods[1], "--force", "--grace-period=0")
	c.waitReady()
	if text := c.probe(pods[1], "read", "/data/text"); text != "survives" {
		c.t.Errorf("read %q", text)
	}
}

func killNode(c *cluster) {
	victim := c.nodeOf(pods[2])
	c.probe(pods[2], "write", "/data/text", "after the power cut")
	start := time.Now()
	c.must(c.run, "node-down", victim)
	c.t.Logf("down in %.2f s", time.Since(start).Seconds())
	disk := filepath.Join(filepath.Dir(c.run), "../../target/cluster/nodes", victim) + "/"
	if loops := string(output(c.t, "losetup", "--list", "--noheadings", "--output", "BACK-FILE")); strings.Contains(loops, disk) {
		c.t.Errorf("its volumes are held:\n%s", loops)
	}
	if status, err := exec.Command(c.run, "status").CombinedOutput(); err == nil || !strings.Contains(string(status), "down") {
		c.t.Errorf("status: %v\n%s", err, status)
	}
	c.must(c.run, "node-down", victim)
	// The others go on meanwhile, names included.
	if answer := c.probe(pods[0], "get", "http://"+pods[1]+".probe:8080/"); answer != pods[1] {
		c.t.Errorf("answer %q", answer)
	}
	start = time.Now()
	c.must(c.run, "node-up", victim)
	c.t.Logf("node ready in %.1f s", time.Since(start).Seconds())
	c.eventually("the pod answers", func() (bool, string) {
		answer, err := c.try("exec", pods[0], "--", "/probe", "get", "http://"+pods[2]+".probe:8080/")
		return err == nil && answer == pods[2], answer
	})
	c.t.Logf("pod answers after %.1f s", time.Since(start).Seconds())
	if text := c.probe(pods[2], "read", "/data/text"); text != "after the power cut" {
		c.t.Errorf("read %q", text)
	}
	c.must(c.run, "node-up", victim)
}

func repair(c *cluster) {
	victim := c.nodeOf(pods[2])
	c.killRecorded("kube-scheduler")
	c.must(c.run, "node-down", victim)
	if output := c.must(c.run, "up"); !strings.Contains(output, victim+" is down; starting it again") {
		c.t.Errorf("it does not say what it repairs:\n%s", output)
	}
	c.must(c.run, "status")
	c.waitReady()
}

func loadWhileDown(c *cluster) {
	victim := c.nodeOf(pods[2])
	c.must(c.run, "node-down", victim)
	c.must(c.run, "load", c.buildImage("localhost/logstore-probe:2"))
	c.must(c.run, "node-up", victim)
	c.kubectl("run", "late", "--image", "localhost/logstore-probe:2", "--restart", "Never",
		"--overrides", fmt.Sprintf(`{"spec":{"nodeName":%q}}`, victim), "--", "lookup", "kubernetes.default.svc")
	c.eventually("the pod has run", func() (bool, string) {
		phase := c.kubectl("get", "pod", "late", "-o", "jsonpath={.status.phase}")
		return phase == "Succeeded", phase
	})
}

func checkAudit(c *cluster) {
	content, err := os.ReadFile(c.program("E2E_AUDIT_LOG"))
	if err != nil {
		c.t.Fatal(err)
	}
	log := string(content)
	if !strings.Contains(log, `"name":"late"`) || !strings.Contains(log, `"level":"Metadata"`) {
		c.t.Error("the last pod is not in it")
	}
	if strings.Contains(log, `"stage":"RequestReceived"`) {
		c.t.Error("it holds a stage that is left out")
	}
}

// cluster is how the steps reach it; t is that of the running step.
type cluster struct {
	t   *testing.T
	run string
}

var pods = []string{"probe-0", "probe-1", "probe-2"}

func launcher(t *testing.T) string {
	file, err := filepath.Abs("../run")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func output(t *testing.T, name string, arguments ...string) []byte {
	t.Helper()
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
	return output
}

func (c *cluster) must(name string, arguments ...string) string {
	c.t.Helper()
	return strings.TrimSpace(string(output(c.t, name, arguments...)))
}

// readEnvironment takes over what `run env` exports, as a shell would.
func (c *cluster) readEnvironment() {
	for _, variable := range strings.Split(c.must("sh", "-c", `eval "$("$1" env)"; env`, "sh", c.run), "\n") {
		name, value, found := strings.Cut(variable, "=")
		if found && (strings.HasPrefix(name, "E2E_") || name == "KUBECONFIG" || name == "KUBECACHEDIR") {
			c.t.Setenv(name, value)
		}
	}
}

func (c *cluster) program(variable string) string {
	value := os.Getenv(variable)
	if value == "" {
		c.t.Fatalf("`run env` does not export %s", variable)
	}
	return value
}

func (c *cluster) try(arguments ...string) (string, error) {
	command := exec.Command(c.program("E2E_KUBECTL"), append([]string{"--namespace", "acceptance"}, arguments...)...)
	output, err := command.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

func (c *cluster) kubectl(arguments ...string) string {
	c.t.Helper()
	output, err := c.try(arguments...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return output
}

func (c *cluster) probe(pod string, arguments ...string) string {
	c.t.Helper()
	return c.kubectl(append([]string{"exec", pod, "--", "/probe"}, arguments...)...)
}

func (c *cluster) number(text string) int64 {
	c.t.Helper()
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return number
}

func (c *cluster) nodeOf(pod string) string {
	return c.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
}

func (c *cluster) waitReady() {
	c.t.Helper()
	c.eventually("three pods are ready", func() (bool, string) {
		ready := c.kubectl("get", "statefulset", "probe", "-o", "jsonpath={.status.readyReplicas}")
		return ready == "3", ready
	})
}

func (c *cluster) eventually(what string, look func() (bool, string)) {
	c.t.Helper()
	start := time.Now()
	for {
		so, seen := look()
		if so {
			return
		}
		if time.Since(start) > limit {
			c.t.Fatalf("waited %s in vain until %s: %s", limit, what, seen)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// killRecorded ends one process of the control plane, by the number that `status` prints.
func (c *cluster) killRecorded(name string) {
	for _, line := range strings.Split(c.must(c.run, "status"), "\n") {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == name {
			c.must("kill", "-9", fields[3])
			return
		}
	}
	c.t.Fatalf("%s is not in the status", name)
}

func (c *cluster) buildImage(name string) string {
	folder := c.t.TempDir()
	binary := filepath.Join(folder, "probe")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, output)
	}
	archive := filepath.Join(folder, "probe.tar")
	file, err := os.Create(archive)
	if err != nil {
		c.t.Fatal(err)
	}
	defer file.Close()
	err = image.Write(file, image.Spec{
		Name: name, Architecture: runtime.GOARCH, Entrypoint: []string{"/probe"},
		Files: []image.File{{Path: "/probe", Source: binary, Mode: 0o755}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return archive
}

// dump prints what explains a failure.
func (c *cluster) dump() {
	for _, arguments := range [][]string{{"get", "pods,pvc,pv", "-o", "wide"}, {"get", "events"}, {"describe", "pods"}} {
		output, _ := c.try(arguments...)
		c.t.Log(output)
	}
}
