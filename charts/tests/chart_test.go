package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// lintWarnings are what `helm lint` has to say beyond information.
func lintWarnings(folder string, values map[string]any) []string {
	var warnings []string
	for _, message := range lint.RunAll(folder, values, namespace).Messages {
		if message.Severity > support.InfoSev {
			warnings = append(warnings, message.Error())
		}
	}
	return warnings
}

func TestHelmLintHasNothingToSay(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		for _, warning := range lintWarnings(chartFolder, values) {
			t.Error(warning)
		}
	})
}

func TestHelmLintFindsABrokenTemplate(t *testing.T) {
	folder := copyChart(t)
	broken := []byte("apiVersion: v1\nkind: Service\nmetadata: {name: Not_A_Name}\n")
	if err := os.WriteFile(filepath.Join(folder, "templates", "broken.yaml"), broken, 0o644); err != nil {
		t.Fatal(err)
	}
	if warnings := lintWarnings(folder, nil); !strings.Contains(strings.Join(warnings, "\n"), "Not_A_Name") {
		t.Errorf("warnings: %q", warnings)
	}
}

func copyChart(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "logstore-operator")
	if err := os.CopyFS(folder, os.DirFS(chartFolder)); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestAMisspelledValueInATemplateIsAnError(t *testing.T) {
	folder := copyChart(t)
	misspelled := []byte("name: {{ .Values.replica }}\n")
	if err := os.WriteFile(filepath.Join(folder, "templates", "misspelled.yaml"), misspelled, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := renderFiles(load(t, folder), release, nil, true); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("error: %v", err)
	}
}

// As `helm package` does; the package must render like the folder, so nothing is left out of it.
func TestThePackageRendersLikeTheFolder(t *testing.T) {
	file, err := chartutil.Save(load(t, chartFolder), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(file) != "logstore-operator-"+workspaceVersion(t)+".tgz" {
		t.Errorf("package %s", filepath.Base(file))
	}
	want, err := renderFiles(load(t, chartFolder), release, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := renderFiles(load(t, file), release, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s of the package differs", name)
		}
	}
}

// workspaceVersion is the version of the binaries, which the image's tag has too.
func workspaceVersion(t *testing.T) string {
	t.Helper()
	manifest, err := os.ReadFile("../../Cargo.toml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version = "(.*)"$`).FindSubmatch(manifest)
	if version == nil {
		t.Fatal("Cargo.toml has no version")
	}
	return string(version[1])
}

func TestTheChartHasTheVersionOfTheBinaries(t *testing.T) {
	metadata, version := load(t, chartFolder).Metadata, workspaceVersion(t)
	if metadata.Version != version || metadata.AppVersion != version {
		t.Errorf("chart %s for %s; the workspace has %s", metadata.Version, metadata.AppVersion, version)
	}
}

func TestTheDefinitionInTheChartIsTheGeneratedOne(t *testing.T) {
	const copied, generated = chartFolder + "/files/logstore.dev_logstores.yaml", "../../crds/logstore.dev_logstores.yaml"
	want, err := os.ReadFile(generated)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GENERATED") != "" {
		if err := os.WriteFile(copied, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(copied); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not %s (%v): run make generate", copied, generated, err)
	}
}

func TestEachRuleSaysWhichCallNeedsIt(t *testing.T) {
	for _, name := range []string{"rules.yaml", "lease-rules.yaml", "crd-rules.yaml"} {
		text, err := os.ReadFile(filepath.Join(chartFolder, "files", name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("{{")) {
			t.Errorf("%s is a template; other tests read it as it is", name)
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "- ") && (i == 0 || !strings.HasPrefix(lines[i-1], "# ")) {
				t.Errorf("%s, line %d: %s has no comment", name, i+1, line)
			}
		}
	}
}

// The notes are commands to copy; their names must be those of the objects.
func TestTheNotesNameWhatIsThere(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		files, err := renderFiles(load(t, chartFolder), release, values, true)
		if err != nil {
			t.Fatal(err)
		}
		notes := files["logstore-operator/templates/NOTES.txt"]
		all := render(t, values)
		deployment, test := all.ofKind("Deployment")[0], all.ofKind("LogStore")[0]
		for _, want := range []string{
			"kubectl --namespace " + namespace + " rollout status deployment/" + deployment.GetName() + "\n",
			"kubectl --namespace " + test.GetNamespace() + " wait --for=condition=Ready logstore/notes",
			"kubectl --namespace " + test.GetNamespace() + " exec --stdin notes-a-0",
			"helm test " + release + " --namespace " + namespace,
		} {
			if !strings.Contains(notes, want) {
				t.Errorf("the notes do not say %q:\n%s", want, notes)
			}
		}
		if slices.Contains(strings.Split(notes, "\n"), "<no value>") {
			t.Errorf("the notes miss a value:\n%s", notes)
		}
	})
}
