// Package kind checks what is shipped for kind: the configuration with kind's own loader, and the script with kind itself,
// on a stand-in for the container engine.
package kind

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/cluster"
)

// standIn puts the stand-ins on the PATH and returns the folder of their notes.
func standIn(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	programs, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	t.Setenv("STAND_IN", folder)
	// A person's own settings must not reach the test.
	for _, name := range []string{"KUBECONFIG", "E2E_KEEP", "E2E_KUBECTL", "E2E_HELM", "E2E_KIND_CLUSTER", "KIND_EXPERIMENTAL_PROVIDER"} {
		t.Setenv(name, "")
	}
	return folder
}

// create lets kind do all up to Kubernetes itself: load, check and carry out the configuration.
func create(t *testing.T, config string) error {
	t.Helper()
	return cluster.NewProvider(cluster.ProviderWithDocker()).Create("logstore-e2e",
		cluster.CreateWithConfigFile(config), cluster.CreateWithStopBeforeSettingUpKubernetes(true),
		cluster.CreateWithKubeconfigPath(filepath.Join(t.TempDir(), "kubeconfig")))
}

var zone = regexp.MustCompile(`topology\.kubernetes\.io/zone=(zone-\d)`)

func TestKindMakesThreeWorkersInThreeZonesOfTheConfiguration(t *testing.T) {
	folder := standIn(t)
	if err := create(t, "kind.yaml"); err != nil {
		t.Fatalf("%v\n%s", err, read(t, folder, "calls"))
	}
	zones := map[string]string{}
	for _, node := range strings.Fields(read(t, folder, "nodes")) {
		found := zone.FindStringSubmatch(read(t, folder, node+"_kind_kubeadm.conf"))
		if found != nil {
			zones[node] = found[1]
			continue
		}
		zones[node] = ""
	}
	want := map[string]string{
		"logstore-e2e-control-plane": "", "logstore-e2e-worker": "zone-1", "logstore-e2e-worker2": "zone-2", "logstore-e2e-worker3": "zone-3",
	}
	if len(zones) != len(want) {
		t.Errorf("the nodes are %v", zones)
	}
	for node, zone := range want {
		if zones[node] != zone {
			t.Errorf("%s is in zone %q, not %q", node, zones[node], zone)
		}
	}
}

func TestKindRefusesABrokenConfiguration(t *testing.T) {
	good := read(t, ".", "kind.yaml")
	for name, broken := range map[string]string{
		"a misspelt field": strings.Replace(good, "labels:", "lables:", 1),
		"an unknown role":  strings.Replace(good, "role: worker", "role: walker", 1),
		"another version":  strings.Replace(good, "v1alpha4", "v1alpha9", 1),
		"no control plane": strings.Replace(good, "  - role: control-plane\n", "", 1),
		"no YAML":          strings.Replace(good, "nodes:", "nodes: [", 1),
	} {
		t.Run(name, func(t *testing.T) {
			folder := standIn(t)
			config := filepath.Join(folder, "kind.yaml")
			if broken == good {
				t.Fatal("the configuration is not broken")
			}
			if err := os.WriteFile(config, []byte(broken), 0o644); err != nil {
				t.Fatal(err)
			}
			err := create(t, config)
			if err == nil {
				t.Fatal("kind took it")
			}
			if strings.Contains(read(t, folder, "calls"), "docker run") {
				t.Error("kind had begun to make nodes")
			}
			t.Log(err)
		})
	}
}

// runScript runs the script of a checkout that holds only what it needs, with kind itself.
func runScript(t *testing.T, environment ...string) (output string, err error) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "check out")
	folder := filepath.Join(root, "e2e", "kind")
	for _, name := range []string{"run", "kind.yaml"} {
		copyFile(t, name, filepath.Join(folder, name))
	}
	archive := filepath.Join(root, "target", "image", "logstore.tar")
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive, []byte("the image"), 0o644); err != nil {
		t.Fatal(err)
	}
	binaries := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(binaries, "kind"), "sigs.k8s.io/kind")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	// From another folder, as a person may call it.
	script := exec.Command(filepath.Join(folder, "run"))
	script.Dir = t.TempDir()
	script.Env = append(os.Environ(), environment...)
	script.Env = append(script.Env, "PATH="+os.Getenv("PATH")+":"+binaries)
	printed, err := script.CombinedOutput()
	if left, _ := filepath.Glob(filepath.Join(root, "target", "kind")); len(left) > 0 && !strings.Contains(strings.Join(environment, " "), "E2E_KEEP=") {
		t.Errorf("the script left %v", left)
	}
	return string(printed), err
}

func TestTheScriptRunsTheTestsOnAClusterOfItsOwn(t *testing.T) {
	folder := standIn(t)
	output, err := runScript(t)
	calls := read(t, folder, "calls")
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, output, calls)
	}
	inOrder(t, calls,
		"docker run --name logstore-e2e-worker3", "make -C ", " import ", "docker kill --signal KILL logstore-e2e-worker2",
		"docker start logstore-e2e-worker2", "wait --for=condition=Ready node/logstore-e2e-worker2", "docker rm ")
	for _, want := range []string{
		"E2E_LOAD=kind load image-archive --name logstore-e2e\n", "/e2e/kind/run node-down\n", "/e2e/kind/run node-up\n", "/target/kind/kubeconfig\n",
	} {
		if environment := read(t, folder, "environment"); !strings.Contains(environment, want) {
			t.Errorf("%q is not in\n%s", want, environment)
		}
	}
	for _, node := range []string{"logstore-e2e-worker", "logstore-e2e-worker2", "logstore-e2e-worker3"} {
		if image := read(t, folder, node+".image"); image != "the image" {
			t.Errorf("node %s got the image %q", node, image)
		}
	}
	if config := read(t, folder, "kubeconfig"); !strings.Contains(config, "kind-logstore-e2e") {
		t.Errorf("the tests got\n%s", config)
	}
}

func TestTheClusterIsDeletedWhenTheTestsFailAndTheScriptFailsAsTheyDo(t *testing.T) {
	folder := standIn(t)
	output, err := runScript(t, "TESTS_END=7")
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 7 {
		t.Errorf("the script ended with %v\n%s", err, output)
	}
	inOrder(t, read(t, folder, "calls"), "make -C ", "docker rm ")
}

func TestTheClusterStaysWhenAPersonWantsToLookAtIt(t *testing.T) {
	folder := standIn(t)
	output, err := runScript(t, "E2E_KEEP=1")
	if err != nil || !strings.Contains(output, "kind delete cluster --name logstore-e2e") {
		t.Errorf("%v\n%s", err, output)
	}
	if strings.Contains(read(t, folder, "calls"), "docker rm ") {
		t.Error("it was deleted")
	}
}

func TestAClusterOfThatNameIsLeftAlone(t *testing.T) {
	folder := standIn(t)
	if err := os.WriteFile(filepath.Join(folder, "nodes"), []byte("logstore-e2e-control-plane\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	output, err := runScript(t)
	if err == nil || !strings.Contains(output, "cluster logstore-e2e exists") {
		t.Errorf("%v\n%s", err, output)
	}
	if calls := read(t, folder, "calls"); strings.Contains(calls, "docker rm ") || strings.Contains(calls, "make ") {
		t.Errorf("it was touched:\n%s", calls)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	standIn(t)
	output, err := runScript(t, "KIND_EXPERIMENTAL_PROVIDER=no-such-engine")
	if err == nil || !strings.Contains(output, "no-such-engine is not on the PATH") {
		t.Errorf("%v\n%s", err, output)
	}
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Fatalf("%q is missing, or not where it belongs, in\n%s", part, text)
		}
		rest = after
	}
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
