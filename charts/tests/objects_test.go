package tests

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	release1 "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// hooks are the objects that helm makes only at an event.
func isHook(object *unstructured.Unstructured) bool {
	return object.GetAnnotations()["helm.sh/hook"] != ""
}

func isPermanent(object *unstructured.Unstructured) bool {
	return !isHook(object)
}

func TestTheDefaultsMakeThis(t *testing.T) {
	all := render(t, nil)
	want := []string{
		"ClusterRole logstore-system-logstore-operator",
		"ClusterRole logstore-system-logstore-operator-edit",
		"ClusterRole logstore-system-logstore-operator-view",
		"ClusterRoleBinding logstore-system-logstore-operator",
		"Deployment logstore-system/logstore-operator",
		"Role logstore-system/logstore-operator-leader-election",
		"RoleBinding logstore-system/logstore-operator-leader-election",
		"Service logstore-system/logstore-operator-metrics",
		"ServiceAccount logstore-system/logstore-operator",
	}
	if got := all.where(isPermanent).names(); !reflect.DeepEqual(got, want) {
		t.Errorf("objects: %q", got)
	}
	wantHooks := []string{
		"ClusterRole logstore-system-logstore-operator-crds",
		"ClusterRoleBinding logstore-system-logstore-operator-crds",
		"Job logstore-system/logstore-operator-crds",
		"LogStore logstore-system/test-logstore-operator",
		"Pod logstore-system/test-logstore-operator",
		"ServiceAccount logstore-system/logstore-operator-crds",
	}
	if got := all.where(isHook).names(); !reflect.DeepEqual(got, wantHooks) {
		t.Errorf("hooks: %q", got)
	}
}

func TestScopeNamespaceMakesNothingClusterWide(t *testing.T) {
	for name, watched := range map[string][]string{
		"namespace": {namespace}, "namespaces": {"team-a", "team-b"},
	} {
		all := render(t, goodValues(t)[name])
		wide := all.where(func(object *unstructured.Unstructured) bool { return object.GetNamespace() == "" })
		if len(wide) > 0 {
			t.Errorf("%s: %q", name, wide.names())
		}
		for _, kind := range []string{"Role", "RoleBinding"} {
			for _, namespace := range watched {
				if !slices.Contains(all.names(), kind+" "+namespace+"/logstore-operator") {
					t.Errorf("%s: no %s in %s", name, kind, namespace)
				}
			}
		}
		if got := environment(t, all)["LOGSTORE_NAMESPACES"]; got != strings.Join(watched, ",") {
			t.Errorf("%s: the operator watches %q", name, got)
		}
		for _, object := range all.where(isHook) {
			if !slices.Contains(watched, object.GetNamespace()) {
				t.Errorf("%s: %s is in a namespace that is not watched", name, describe(object))
			}
		}
	}
}

// environment is that of the operator; variables that are taken from a field have the field's path.
func environment(t *testing.T, all objects) map[string]string {
	t.Helper()
	variables := map[string]string{}
	for _, variable := range podOf(t, all.ofKind("Deployment")[0]).Spec.Containers[0].Env {
		if _, twice := variables[variable.Name]; twice {
			t.Errorf("%s is set twice", variable.Name)
		}
		variables[variable.Name] = variable.Value
		if variable.ValueFrom != nil {
			variables[variable.Name] = variable.ValueFrom.FieldRef.FieldPath
		}
	}
	return variables
}

func TestTheOperatorIsToldWhoAndWhereItIs(t *testing.T) {
	all := render(t, nil)
	want := map[string]string{
		"LOGSTORE_IMAGE":           "localhost/logstore:" + workspaceVersion(t),
		"LOGSTORE_LEASE_NAME":      "logstore-operator",
		"LOGSTORE_LEASE_NAMESPACE": "metadata.namespace",
		"LOGSTORE_IDENTITY":        "metadata.name",
		"LOGSTORE_LISTEN":          "[::]:8080",
		"LOGSTORE_LOG":             "info",
	}
	if got := environment(t, all); !reflect.DeepEqual(got, want) {
		t.Errorf("environment: %q", got)
	}
	container := podOf(t, all.ofKind("Deployment")[0]).Spec.Containers[0]
	if want := []string{"logstore-operator", "run"}; !reflect.DeepEqual(container.Command, want) || container.Args != nil {
		t.Errorf("command %q, arguments %q", container.Command, container.Args)
	}
}

// The variables that the chart sets, extraEnv must not: the later one would win.
func TestExtraVariablesCannotBeThoseOfTheChart(t *testing.T) {
	chart := load(t, chartFolder)
	for name := range environment(t, render(t, goodValues(t)["namespace"])) {
		values := map[string]any{"extraEnv": []any{map[string]any{"name": name, "value": "x"}}}
		if err := check(chart, values); err == nil || !strings.Contains(err.Error(), "/extraEnv/0/name") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneRegistryValueReachesEachImage(t *testing.T) {
	digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, want := range map[string]string{
		"defaults":    "localhost/logstore:" + workspaceVersion(t),
		"registry":    "registry.example:5000/mirror/logstore@" + digest,
		"no-registry": "logstore:main",
		"all":         "registry.example/team/stores/logstore:1.2.3_x",
	} {
		all := render(t, goodValues(t)[name])
		if got := environment(t, all)["LOGSTORE_IMAGE"]; got != want {
			t.Errorf("%s: stores run %s, want %s", name, got, want)
		}
		for _, object := range all {
			pod := podOf(t, object)
			if pod == nil {
				continue
			}
			for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				if container.Image != want {
					t.Errorf("%s: %s runs %s, want %s", name, describe(object), container.Image, want)
				}
			}
		}
	}
}

func TestABudgetIsThereOnlyForTwoOperators(t *testing.T) {
	for replicas, want := range map[int]int{0: 0, 1: 0, 2: 1} {
		all := render(t, map[string]any{"replicas": replicas})
		if got := len(all.ofKind("PodDisruptionBudget")); got != want {
			t.Errorf("%d operators: %d budgets", replicas, got)
		}
	}
}

func TestTheDefinitionComesAsAsked(t *testing.T) {
	if all := render(t, goodValues(t)["namespace"]); len(all.ofKind("Job"))+len(all.ofKind("CustomResourceDefinition")) != 0 {
		t.Errorf("with mode None: %q", all.names())
	}
	all := render(t, goodValues(t)["crds-template"])
	definitions := all.ofKind("CustomResourceDefinition")
	if len(definitions) != 1 || len(all.ofKind("Job")) != 0 {
		t.Fatalf("with mode Template: %q", all.names())
	}
	annotations := definitions[0].GetAnnotations()
	if annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("an uninstall deletes the definition: %v", annotations)
	}
	text, err := os.ReadFile(chartFolder + "/files/logstore.dev_logstores.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, string(text))
	if !reflect.DeepEqual(definitions[0].Object["spec"], want["spec"]) {
		t.Error("the definition is changed by the template")
	}
}

// rulesOf are the rules of a role, or of a file with rules.
func rulesOf(t *testing.T, file string) []any {
	t.Helper()
	text, err := os.ReadFile(chartFolder + "/files/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var rules []any
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestRolesHaveTheRulesOfTheFiles(t *testing.T) {
	cluster, one := render(t, nil), render(t, goodValues(t)["namespaces"])
	for _, test := range []struct {
		all        objects
		role, file string
	}{
		{cluster, "ClusterRole logstore-system-logstore-operator", "rules.yaml"},
		{cluster, "ClusterRole logstore-system-logstore-operator-crds", "crd-rules.yaml"},
		{cluster, "Role logstore-system/logstore-operator-leader-election", "lease-rules.yaml"},
		{one, "Role team-a/logstore-operator", "rules.yaml"},
		{one, "Role team-b/logstore-operator", "rules.yaml"},
		{one, "Role logstore-system/logstore-operator-leader-election", "lease-rules.yaml"},
	} {
		found := test.all.where(func(object *unstructured.Unstructured) bool { return describe(object) == test.role })
		if len(found) != 1 || !reflect.DeepEqual(found[0].Object["rules"], any(rulesOf(t, test.file))) {
			t.Errorf("%s has not the rules of %s", test.role, test.file)
		}
	}
}

// A role of the operator names what it needs; it has no Secret, and nothing that stands for everything.
func TestRulesAreNarrow(t *testing.T) {
	for _, file := range []string{"rules.yaml", "lease-rules.yaml", "crd-rules.yaml"} {
		for _, rule := range rulesOf(t, file) {
			fields := rule.(map[string]any)
			for _, name := range []string{"apiGroups", "resources", "verbs"} {
				values, _ := fields[name].([]any)
				if len(values) == 0 || slices.Contains(values, any("*")) || slices.Contains(values, any("secrets")) {
					t.Errorf("%s: %s %v", file, name, values)
				}
			}
		}
	}
}

// What users may do comes through the roles that each cluster has.
func TestUsersRolesAreAggregated(t *testing.T) {
	const to = "rbac.authorization.k8s.io/aggregate-to-"
	for name, want := range map[string][]string{"view": {"admin", "edit", "view"}, "edit": {"admin", "edit"}} {
		role := render(t, nil).where(func(object *unstructured.Unstructured) bool {
			return object.GetName() == "logstore-system-logstore-operator-"+name
		})[0]
		var got []string
		for label, value := range role.GetLabels() {
			if roleName, found := strings.CutPrefix(label, to); found && value == "true" {
				got = append(got, roleName)
			}
		}
		slices.Sort(got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is added to %q", name, got)
		}
	}
}

func sortHooks(t *testing.T, values map[string]any) []*release1.Hook {
	t.Helper()
	files, err := renderFiles(load(t, chartFolder), release, values, true)
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "logstore-operator/templates/NOTES.txt")
	hooks, _, err := releaseutil.SortManifests(files, common.DefaultCapabilities.APIVersions, releaseutil.InstallOrder)
	if err != nil {
		t.Fatal(err)
	}
	return hooks
}

// Helm takes a hook that it does not understand for none at all, so it is helm that reads them here.
func TestHooksRunWhenTheyShallAndLeaveNothing(t *testing.T) {
	const definition, test = "definition", "test"
	weights := map[string]map[string]int{definition: {}, test: {}}
	for _, hook := range sortHooks(t, nil) {
		var purpose string
		var policies []release1.HookDeletePolicy
		switch {
		case reflect.DeepEqual(hook.Events, []release1.HookEvent{release1.HookPreInstall, release1.HookPreUpgrade}):
			purpose = definition
			policies = []release1.HookDeletePolicy{release1.HookBeforeHookCreation, release1.HookSucceeded}
		case reflect.DeepEqual(hook.Events, []release1.HookEvent{release1.HookTest}):
			purpose = test
			policies = []release1.HookDeletePolicy{
				release1.HookBeforeHookCreation, release1.HookSucceeded, release1.HookFailed,
			}
		default:
			t.Fatalf("%s %s runs at %v", hook.Kind, hook.Name, hook.Events)
		}
		weights[purpose][hook.Kind] = hook.Weight
		if !reflect.DeepEqual(hook.DeletePolicies, policies) {
			t.Errorf("%s %s is deleted at %v", hook.Kind, hook.Name, hook.DeletePolicies)
		}
	}
	want := map[string]map[string]int{
		definition: {"ServiceAccount": -1, "ClusterRole": -1, "ClusterRoleBinding": -1, "Job": 0},
		test:       {"LogStore": 0, "Pod": 1},
	}
	if !reflect.DeepEqual(weights, want) {
		t.Errorf("weights: %v", weights)
	}
}

// `helm test --logs` asks for the log of a pod with the name of each hook.
func TestTheObjectsOfTheTestHaveOneName(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)
	for _, release := range []string{release, "a", "7.release.with-dots", strings.Repeat("long-name-", 5) + "end"} {
		all := renderRelease(t, release, nil)
		store, pod := all.ofKind("LogStore")[0], all.ofKind("Pod")[0]
		if store.GetName() != pod.GetName() || !name.MatchString(store.GetName()) {
			t.Errorf("release %s: LogStore %s, Pod %s", release, store.GetName(), pod.GetName())
		}
		server := "http://" + store.GetName() + "." + store.GetNamespace() + ".svc:8000"
		spec := podOf(t, pod).Spec
		for _, container := range append(spec.InitContainers, spec.Containers...) {
			if !slices.Contains(container.Command, server) {
				t.Errorf("release %s: %s speaks not to %s: %q", release, container.Name, server, container.Command)
			}
		}
	}
}

func TestAConstraintWithoutSelectorGetsThatOfTheOperator(t *testing.T) {
	constraints := podOf(t, render(t, goodValues(t)["all"]).ofKind("Deployment")[0]).Spec.TopologySpreadConstraints
	if len(constraints) != 2 {
		t.Fatalf("%d constraints", len(constraints))
	}
	first, second := constraints[0].LabelSelector.MatchLabels, constraints[1].LabelSelector.MatchLabels
	if first["app.kubernetes.io/component"] != "operator" || !reflect.DeepEqual(second, map[string]string{"own": "selector"}) {
		t.Errorf("selectors %v and %v", first, second)
	}
}

// A label of the user counts before the chart's, and does not stand beside it.
func TestLabelsOfTheUserCount(t *testing.T) {
	all := render(t, goodValues(t)["all"])
	pod := podOf(t, all.ofKind("Deployment")[0])
	if pod.Labels["app.kubernetes.io/version"] != "own" || pod.Labels["team"] != "storage" {
		t.Errorf("pod: %v", pod.Labels)
	}
	if labels := all.ofKind("ServiceMonitor")[0].GetLabels(); labels["release"] != "prometheus" {
		t.Errorf("monitor: %v", labels)
	}
}

// What a user sets to null counts as left out.
func TestNullIsTakenForNothing(t *testing.T) {
	values := parse(t, `{podLabels: null, podAnnotations: null, nodeSelector: null, tolerations: null, affinity: null,
		topologySpreadConstraints: null, resources: null, extraEnv: null, priorityClassName: null,
		image: {registry: null, tag: null, digest: null, pullPolicy: null, pullSecrets: null},
		serviceAccount: {name: null, annotations: null}, monitoring: {serviceMonitor: {enabled: true, interval: null, labels: null}},
		test: {storage: {storageClassName: null}}, nameOverride: null, fullnameOverride: null}`)
	chart := load(t, chartFolder)
	if err := check(chart, values); err != nil {
		t.Fatal(err)
	}
	files, err := renderFiles(chart, release, values, false)
	if err != nil {
		t.Fatal(err)
	}
	validator := newValidator()
	for _, object := range split(t, files) {
		if err := validator.validate(object); err != nil {
			t.Errorf("%s: %v", describe(object), err)
		}
	}
}
