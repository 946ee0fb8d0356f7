package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// The schemas are those that an API server of this version publishes; its source archive holds them. It is no dependency
// of this module, because no code of it is used, so its checksum stands here and not in go.sum.
const (
	kubernetes    = "k8s.io/kubernetes@v1.35.4"
	kubernetesSum = "h1:o/8dBC/pHVpYoGV4OAIytAlNPZbdYVTXJHoYvXC4qzM="
)

var kubernetesFolder = sync.OnceValues(func() (string, error) {
	output, err := exec.Command("go", "mod", "download", "-json", kubernetes).Output()
	var module struct{ Dir, Sum, Error string }
	if decodeErr := json.Unmarshal(output, &module); decodeErr != nil || err != nil {
		return "", fmt.Errorf("failed to download %s: %v %v %s", kubernetes, err, decodeErr, module.Error)
	}
	if module.Sum != kubernetesSum {
		return "", fmt.Errorf("%s has checksum %s, want %s", kubernetes, module.Sum, kubernetesSum)
	}
	return module.Dir, nil
})

// validator says what is wrong with an object.
type validator struct {
	compiler *jsonschema.Compiler
	// Where the schema of a kind is, by apiVersion and kind.
	locations map[string]string
	// The API versions whose kinds are in locations.
	known map[string]bool
}

func newValidator() *validator {
	return &validator{jsonschema.NewCompiler(), map[string]string{}, map[string]bool{}}
}

// validate checks an object against the schema of its kind, which takes no field that it does not name, and against the
// Go type, which knows formats such as quantities too.
func (v *validator) validate(object *unstructured.Unstructured) error {
	if object.GetAPIVersion() == "monitoring.coreos.com/v1" {
		return decodeStrictly(object, new(monitoring.ServiceMonitor))
	}
	if err := v.load(object.GetAPIVersion()); err != nil {
		return err
	}
	location, found := v.locations[object.GetAPIVersion()+" "+object.GetKind()]
	if !found {
		return fmt.Errorf("Kubernetes has no %s in %s", object.GetKind(), object.GetAPIVersion())
	}
	schema, err := v.compiler.Compile(location)
	if err != nil {
		return err
	}
	// Through JSON: the validator knows its types, not those of YAML.
	text, err := json.Marshal(object.Object)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return err
	}
	if object.GetKind() == "LogStore" || object.GetKind() == "CustomResourceDefinition" {
		return nil
	}
	codec := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	_, _, err = codec.Decode(text, nil, nil)
	return err
}

func decodeStrictly(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true)
}

// load makes the kinds of an API version known.
func (v *validator) load(apiVersion string) error {
	if v.known[apiVersion] {
		return nil
	}
	v.known[apiVersion] = true
	if apiVersion == "logstore.dev/v1alpha1" {
		return v.loadLogStore()
	}
	return v.loadKubernetes(apiVersion)
}

func (v *validator) loadKubernetes(apiVersion string) error {
	folder, err := kubernetesFolder()
	if err != nil {
		return err
	}
	name := "apis__" + strings.ReplaceAll(apiVersion, "/", "__")
	if !strings.Contains(apiVersion, "/") {
		name = "api__" + apiVersion
	}
	text, err := os.ReadFile(filepath.Join(folder, "api", "openapi-spec", "v3", name+"_openapi.json"))
	if err != nil {
		return fmt.Errorf("Kubernetes has no API %s: %w", apiVersion, err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("failed to read the schemas of %s: %w", apiVersion, err)
	}
	refuseUnknownFields(document)
	resource := "kubernetes:///" + name
	if err := v.compiler.AddResource(resource, document); err != nil {
		return err
	}
	schemas := document.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)
	for name, schema := range schemas {
		kinds, _ := schema.(map[string]any)["x-kubernetes-group-version-kind"].([]any)
		for _, kind := range kinds {
			fields := kind.(map[string]any)
			version := strings.TrimPrefix(fmt.Sprintf("%v/%v", fields["group"], fields["version"]), "/")
			v.locations[fmt.Sprintf("%s %v", version, fields["kind"])] = resource + "#/components/schemas/" + name
		}
	}
	return nil
}

func (v *validator) loadLogStore() error {
	text, err := os.ReadFile(chartFolder + "/files/logstore.dev_logstores.yaml")
	if err != nil {
		return err
	}
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(text, &definition.Object); err != nil {
		return err
	}
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil || len(versions) != 1 {
		return fmt.Errorf("the definition of LogStore has %d versions, not one: %v", len(versions), err)
	}
	schema, _, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema")
	if err != nil {
		return err
	}
	// The API server adds what every object has.
	fields := schema["properties"].(map[string]any)
	fields["apiVersion"], fields["kind"], fields["metadata"] = true, true, true
	refuseUnknownFields(schema)
	const resource = "kubernetes:///logstore"
	v.locations["logstore.dev/v1alpha1 LogStore"] = resource
	return v.compiler.AddResource(resource, schema)
}

// refuseUnknownFields closes each object that names its fields, as an API server does with fieldValidation=Strict.
func refuseUnknownFields(value any) {
	switch value := value.(type) {
	case map[string]any:
		_, fields := value["properties"].(map[string]any)
		_, open := value["additionalProperties"]
		if fields && !open && value["x-kubernetes-preserve-unknown-fields"] != true {
			value["additionalProperties"] = false
		}
		for _, part := range value {
			refuseUnknownFields(part)
		}
	case []any:
		for _, part := range value {
			refuseUnknownFields(part)
		}
	}
}

func TestEachObjectIsOneOfKubernetes(t *testing.T) {
	validator := newValidator()
	withEachValues(t, func(t *testing.T, values map[string]any) {
		for _, object := range render(t, values) {
			if err := validator.validate(object); err != nil {
				t.Errorf("%s: %v", describe(object), err)
			}
		}
	})
}

func TestABrokenObjectIsRefused(t *testing.T) {
	tests := []struct{ object, want string }{
		{"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {}, template: {spec: {containers: " +
			"[{name: x, imagee: y}]}}}}", "'imagee' not allowed"},
		{"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {}}}", "'template'"},
		{"{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replicas: two}}", "/spec/replicas"},
		{"{apiVersion: apps/v1, kind: Deploymint, metadata: {name: x}}", "no Deploymint in apps/v1"},
		{"{apiVersion: apps/v7, kind: Deployment, metadata: {name: x}}", "no API apps/v7"},
		{"{apiVersion: v1, kind: Service, metadata: {name: x, label: {}}, spec: {}}", "'label' not allowed"},
		{"{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: x, resources: {limits: " +
			"{memory: 1Gx}}}]}}", "quantities must match"},
		{"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: x}, spec: {maxUnavailable: [1]}}",
			"/spec/maxUnavailable"},
		{"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: x}, rules: [{resources: [x]}]}", "'verbs'"},
		{"{apiVersion: logstore.dev/v1alpha1, kind: LogStore, metadata: {name: x}, spec: {storage: {sise: 1Gi}}}",
			"'sise' not allowed"},
		{"{apiVersion: logstore.dev/v1alpha1, kind: LogStore, metadata: {name: x}, spec: {storage: {size: 1Gi, " +
			"whenDeleted: Maybe}}}", "/spec/storage/whenDeleted"},
		{"{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: x}, spec: {selektor: {}}}",
			`unknown field "spec.selektor"`},
	}
	validator := newValidator()
	for _, test := range tests {
		err := validator.validate(&unstructured.Unstructured{Object: parse(t, test.object)})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v does not say %q", err, test.want)
		}
	}
}
