package tests

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// podOf returns the pod that an object is, or makes; nil where it makes none.
func podOf(t *testing.T, object *unstructured.Unstructured) *corev1.PodTemplateSpec {
	t.Helper()
	template := object.Object
	switch object.GetKind() {
	case "Pod":
	case "Deployment", "Job":
		template = at(t, template, "spec", "template").(map[string]any)
	default:
		return nil
	}
	var pod corev1.PodTemplateSpec
	fields := map[string]any{"metadata": template["metadata"], "spec": template["spec"]}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

// violations are what the restricted Pod Security Standard, in its newest form, has against a pod.
func violations(t *testing.T, metadata *metav1.ObjectMeta, spec *corev1.PodSpec) []string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	var found []string
	for _, result := range evaluator.EvaluatePod(restricted, metadata, spec) {
		if !result.Allowed {
			found = append(found, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	return found
}

func TestEachPodIsRestricted(t *testing.T) {
	withEachValues(t, func(t *testing.T, values map[string]any) {
		for _, object := range render(t, values) {
			pod := podOf(t, object)
			if pod == nil {
				continue
			}
			for _, violation := range violations(t, &pod.ObjectMeta, &pod.Spec) {
				t.Errorf("%s: %s", describe(object), violation)
			}
			for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				security := container.SecurityContext
				if security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
					t.Errorf("%s: container %s can write to its image", describe(object), container.Name)
				}
			}
			if user := pod.Spec.SecurityContext.RunAsUser; user == nil || *user != 65532 {
				t.Errorf("%s is not run by the user of the image", describe(object))
			}
		}
	})
}

func TestAPodWithMoreRightsIsFound(t *testing.T) {
	pod := podOf(t, render(t, nil).ofKind("Deployment")[0])
	pod.Spec.HostNetwork = true
	pod.Spec.Containers[0].SecurityContext.Capabilities.Drop = nil
	found := strings.Join(violations(t, &pod.ObjectMeta, &pod.Spec), "\n")
	for _, want := range []string{"host namespaces", "unrestricted capabilities"} {
		if !strings.Contains(found, want) {
			t.Errorf("%q is not in: %s", want, found)
		}
	}
}
