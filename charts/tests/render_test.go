// Package tests holds the tests of the charts. Nothing here needs a cluster: helm's own code lints, renders and packages,
// and Kubernetes' own schemas say what is an object.
//
// Run them with -count=1: go remembers a result as long as the files of this module are the same, and the charts are beside
// it.
package tests

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	chartFolder = "../logstore-operator"
	release     = "logstore-operator"
	namespace   = "logstore-system"
)

func load(t *testing.T, path string) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// parse reads YAML as a user writes it; a key that is there twice is an error.
func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &value); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return value
}

// goodValues are the values with which the chart is rendered, by name: the defaults, and each file in values.
func goodValues(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values: %v", err)
	}
	values := map[string]map[string]any{"defaults": nil}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		values[strings.TrimSuffix(filepath.Base(file), ".yaml")] = parse(t, string(text))
	}
	return values
}

// withEachValues runs a test for each of the good values.
func withEachValues(t *testing.T, test func(t *testing.T, values map[string]any)) {
	values := goodValues(t)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t.Run(name, func(t *testing.T) { test(t, values[name]) })
	}
}

// renderFiles renders a chart as `helm install` does, and returns the text of each template.
//
// Strict, a value that is not there is an error and not an empty text: so a misspelled one is found. Helm itself is not.
func renderFiles(chart *chart.Chart, release string, values map[string]any, strict bool) (map[string]string, error) {
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	given, err := util.ToRenderValues(chart, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: strict}.Render(chart, given)
}

// render returns the objects that the chart becomes.
func render(t *testing.T, values map[string]any) objects {
	t.Helper()
	return renderRelease(t, release, values)
}

func renderRelease(t *testing.T, release string, values map[string]any) objects {
	t.Helper()
	files, err := renderFiles(load(t, chartFolder), release, values, true)
	if err != nil {
		t.Fatal(err)
	}
	return split(t, files)
}

// split returns the objects that the texts of templates hold.
func split(t *testing.T, files map[string]string) objects {
	t.Helper()
	var all objects
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for _, text := range strings.Split(files[name], "\n---\n") {
			if object := parse(t, text); len(object) > 0 {
				all = append(all, &unstructured.Unstructured{Object: object})
			}
		}
	}
	return all
}

type objects []*unstructured.Unstructured

func (all objects) where(holds func(*unstructured.Unstructured) bool) objects {
	var found objects
	for _, object := range all {
		if holds(object) {
			found = append(found, object)
		}
	}
	return found
}

func (all objects) ofKind(kind string) objects {
	return all.where(func(object *unstructured.Unstructured) bool { return object.GetKind() == kind })
}

// names are the names of the objects with their kind and namespace, in order.
func (all objects) names() []string {
	var names []string
	for _, object := range all {
		names = append(names, describe(object))
	}
	slices.Sort(names)
	return names
}

func describe(object *unstructured.Unstructured) string {
	name := object.GetName()
	if object.GetNamespace() != "" {
		name = object.GetNamespace() + "/" + name
	}
	return object.GetKind() + " " + name
}

// at returns what is at a path of an object; a part such as [0] is the place in a list.
func at(t *testing.T, value any, path ...any) any {
	t.Helper()
	for i, part := range path {
		switch part := part.(type) {
		case string:
			fields, ok := value.(map[string]any)
			if !ok || fields[part] == nil {
				t.Fatalf("there is nothing at %v", path[:i+1])
			}
			value = fields[part]
		case int:
			list, ok := value.([]any)
			if !ok || part >= len(list) {
				t.Fatalf("there is nothing at %v", path[:i+1])
			}
			value = list[part]
		}
	}
	return value
}
