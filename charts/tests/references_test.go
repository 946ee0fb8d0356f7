package tests

import (
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// missing are the objects that another one names and that are not there.
func missing(t *testing.T, all objects) []string {
	t.Helper()
	there := all.names()
	var gone []string
	need := func(by *unstructured.Unstructured, kind, namespace, name string) {
		wanted := &unstructured.Unstructured{Object: map[string]any{"kind": kind}}
		wanted.SetName(name)
		wanted.SetNamespace(namespace)
		if !slices.Contains(there, describe(wanted)) {
			gone = append(gone, describe(by)+" needs "+describe(wanted))
		}
	}
	for _, object := range all {
		switch kind := object.GetKind(); kind {
		case "RoleBinding", "ClusterRoleBinding":
			role := at(t, object.Object, "roleRef").(map[string]any)
			roleNamespace := object.GetNamespace()
			if role["kind"] == "ClusterRole" {
				roleNamespace = ""
			}
			need(object, role["kind"].(string), roleNamespace, role["name"].(string))
			for _, subject := range at(t, object.Object, "subjects").([]any) {
				fields := subject.(map[string]any)
				need(object, fields["kind"].(string), fields["namespace"].(string), fields["name"].(string))
			}
		case "Deployment", "Job":
			need(object, "ServiceAccount", object.GetNamespace(), podOf(t, object).Spec.ServiceAccountName)
		}
	}
	return gone
}

func TestWhatIsNamedIsThere(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		all := render(t, values)
		if create, _, _ := unstructured.NestedBool(values, "serviceAccount", "create"); values["serviceAccount"] != nil && !create {
			account := &unstructured.Unstructured{Object: map[string]any{"kind": "ServiceAccount"}}
			account.SetName("logstore")
			account.SetNamespace(namespace)
			all = append(all, account)
		}
		for _, gone := range missing(t, all) {
			t.Error(gone)
		}
	})
}

func TestAMissingRoleIsFound(t *testing.T) {
	all := render(t, nil).where(func(object *unstructured.Unstructured) bool {
		return describe(object) != "ClusterRole logstore-system-logstore-operator"
	})
	want := []string{"ClusterRoleBinding logstore-system-logstore-operator needs ClusterRole logstore-system-logstore-operator"}
	if gone := missing(t, all); !reflect.DeepEqual(gone, want) {
		t.Errorf("missing: %q", gone)
	}
}

// Services, budgets and monitors find the operator's pods, and no pod of a Job or a test.
func TestSelectorsFindTheOperatorsPodsAlone(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		all := render(t, values)
		service := all.ofKind("Service")[0]
		for _, object := range all {
			var selector map[string]any
			switch object.GetKind() {
			case "Service":
				selector = at(t, object.Object, "spec", "selector").(map[string]any)
			case "Deployment", "PodDisruptionBudget":
				selector = at(t, object.Object, "spec", "selector", "matchLabels").(map[string]any)
			case "ServiceMonitor":
				selector = at(t, object.Object, "spec", "selector", "matchLabels").(map[string]any)
				if !matches(selector, service.GetLabels()) {
					t.Errorf("%s does not find %s", describe(object), describe(service))
				}
				continue
			default:
				continue
			}
			for _, other := range all {
				if pod := podOf(t, other); pod != nil && matches(selector, pod.Labels) != (other.GetKind() == "Deployment") {
					t.Errorf("%s: selector %v and the pods of %s", describe(object), selector, describe(other))
				}
			}
		}
	})
}

func matches(selector map[string]any, given map[string]string) bool {
	wanted := labels.Set{}
	for name, value := range selector {
		wanted[name], _ = value.(string)
	}
	return labels.SelectorFromSet(wanted).Matches(labels.Set(given))
}

// An object that is there twice would be refused, or one would hide the other.
func TestNoObjectIsThereTwice(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		names := render(t, values).names()
		if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
			t.Errorf("objects: %q", names)
		}
	})
}

// unknownPorts are the names of ports that are used and that no container of the operator has.
func unknownPorts(t *testing.T, all objects) []string {
	t.Helper()
	operator := podOf(t, all.ofKind("Deployment")[0]).Spec.Containers[0]
	used := []string{operator.LivenessProbe.HTTPGet.Port.StrVal, operator.ReadinessProbe.HTTPGet.Port.StrVal}
	service := at(t, all.ofKind("Service")[0].Object, "spec", "ports", 0).(map[string]any)
	used = append(used, service["targetPort"].(string))
	// A monitor names the port of the Service.
	var unknown []string
	for _, monitor := range all.ofKind("ServiceMonitor") {
		if name := at(t, monitor.Object, "spec", "endpoints", 0, "port").(string); name != service["name"] {
			unknown = append(unknown, name)
		}
	}
	for _, name := range used {
		if !slices.ContainsFunc(operator.Ports, func(port corev1.ContainerPort) bool { return port.Name == name }) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func TestPortsThatAreNamedAreThere(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		if unknown := unknownPorts(t, render(t, values)); len(unknown) > 0 {
			t.Errorf("ports %q", unknown)
		}
	})
}
