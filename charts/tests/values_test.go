package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// badValues are refused; the error names the field.
var badValues = []struct{ values, field string }{
	{"unknown: 1", "unknown"},
	{"global: 1", "/global"},

	{"nameOverride: 1", "/nameOverride"},
	{"nameOverride: Upper", "/nameOverride"},
	{"nameOverride: " + strings.Repeat("x", 41), "/nameOverride"},
	{"fullnameOverride: 1", "/fullnameOverride"},
	{"fullnameOverride: 1st", "/fullnameOverride"},
	{"fullnameOverride: " + strings.Repeat("x", 41), "/fullnameOverride"},

	{"image: null", "'image'"},
	{"image: logstore", "/image"},
	{"image: {name: x}", "'name'"},
	{"image: {repository: null}", "'repository'"},
	{"image: {registry: 1}", "/image/registry"},
	{"image: {registry: 'https://registry.example'}", "/image/registry"},
	{"image: {repository: 1}", "/image/repository"},
	{"image: {repository: 'logstore:1.0'}", "/image/repository"},
	{"image: {tag: 1.0}", "/image/tag"},
	{"image: {tag: 'a:b'}", "/image/tag"},
	{"image: {tag: " + strings.Repeat("x", 129) + "}", "/image/tag"},
	{"image: {digest: 1}", "/image/digest"},
	{"image: {digest: 'sha256:12'}", "/image/digest"},
	{"image: {pullPolicy: Sometimes}", "/image/pullPolicy"},
	{"image: {pullSecrets: secret}", "/image/pullSecrets"},
	{"image: {pullSecrets: [secret]}", "/image/pullSecrets/0"},
	{"image: {pullSecrets: [{}]}", "'name'"},
	{"image: {pullSecrets: [{name: 1}]}", "/image/pullSecrets/0/name"},
	{"image: {pullSecrets: [{name: ''}]}", "/image/pullSecrets/0/name"},
	{"image: {pullSecrets: [{name: " + strings.Repeat("x", 254) + "}]}", "/image/pullSecrets/0/name"},
	{"image: {pullSecrets: [{name: x, namespace: y}]}", "'namespace'"},

	{"replicas: null", "'replicas'"},
	{"replicas: '2'", "/replicas"},
	{"replicas: -1", "/replicas"},
	{"replicas: 6", "/replicas"},

	{"scope: null", "'scope'"},
	{"scope: Galaxy", "/scope"},
	{"namespaces: null", "'namespaces'"},
	{"{scope: Namespace, namespaces: team-a}", "/namespaces"},
	{"{scope: Namespace, namespaces: [1]}", "/namespaces/0"},
	{"{scope: Namespace, namespaces: [Team]}", "/namespaces/0"},
	{"{scope: Namespace, namespaces: [" + strings.Repeat("x", 64) + "]}", "/namespaces/0"},
	{"{scope: Namespace, namespaces: [a, a]}", "/namespaces"},
	{"{scope: Cluster, namespaces: [a]}", "/namespaces"},

	{"crds: null", "'crds'"},
	{"crds: Job", "/crds"},
	{"crds: {mode: null}", "'mode'"},
	{"crds: {mode: Hook}", "/crds/mode"},
	{"crds: {keep: true}", "'keep'"},

	{"userRoles: null", "'userRoles'"},
	{"userRoles: true", "/userRoles"},
	{"userRoles: {create: null}", "'create'"},
	{"userRoles: {create: 'yes'}", "/userRoles/create"},
	{"userRoles: {name: x}", "'name'"},

	{"serviceAccount: null", "'serviceAccount'"},
	{"serviceAccount: account", "/serviceAccount"},
	{"serviceAccount: {token: true}", "'token'"},
	{"serviceAccount: {create: null, name: x}", "'create'"},
	{"serviceAccount: {create: 'no'}", "/serviceAccount/create"},
	{"serviceAccount: {name: 1}", "/serviceAccount/name"},
	{"serviceAccount: {name: Upper}", "/serviceAccount/name"},
	{"serviceAccount: {name: " + strings.Repeat("x", 254) + "}", "/serviceAccount/name"},
	{"serviceAccount: {annotations: x}", "/serviceAccount/annotations"},
	{"serviceAccount: {create: false}", "/serviceAccount/name"},
	{"serviceAccount: {create: false, name: null}", "'name'"},

	{"log: null", "'log'"},
	{"log: 1", "/log"},
	{"log: ''", "/log"},

	{"extraEnv: {A: b}", "/extraEnv"},
	{"extraEnv: [A=b]", "/extraEnv/0"},
	{"extraEnv: [{value: x}]", "'name'"},
	{"extraEnv: [{name: 1}]", "/extraEnv/0/name"},
	{"extraEnv: [{name: ''}]", "/extraEnv/0/name"},
	{"extraEnv: [{name: LOGSTORE_IMAGE, value: x}]", "/extraEnv/0/name"},
	{"extraEnv: [{name: A, value: 1}]", "/extraEnv/0/value"},
	{"extraEnv: [{name: A, valueFrom: x}]", "/extraEnv/0/valueFrom"},
	{"extraEnv: [{name: A, val: x}]", "'val'"},

	{"resources: 1Gi", "/resources"},
	{"resources: {memory: 1Gi}", "'memory'"},
	{"resources: {requests: 1Gi}", "/resources/requests"},
	{"resources: {limits: 1Gi}", "/resources/limits"},
	{"resources: {limits: {memory: [1Gi]}}", "/resources/limits/memory"},
	{"resources: {claims: x}", "/resources/claims"},

	{"nodeSelector: [x]", "/nodeSelector"},
	{"nodeSelector: {zone: 1}", "/nodeSelector/zone"},
	{"tolerations: {key: x}", "/tolerations"},
	{"tolerations: [x]", "/tolerations/0"},
	{"affinity: x", "/affinity"},
	{"affinity: {podAfinity: {}}", "'podAfinity'"},
	{"affinity: {nodeAffinity: x}", "/affinity/nodeAffinity"},
	{"affinity: {podAffinity: x}", "/affinity/podAffinity"},
	{"affinity: {podAntiAffinity: x}", "/affinity/podAntiAffinity"},
	{"topologySpreadConstraints: {maxSkew: 1}", "/topologySpreadConstraints"},
	{"topologySpreadConstraints: [x]", "/topologySpreadConstraints/0"},
	{"topologySpreadConstraints: [{maxSkew: 1}]", "'topologyKey'"},
	{"priorityClassName: 1", "/priorityClassName"},
	{"podAnnotations: [x]", "/podAnnotations"},
	{"podLabels: [x]", "/podLabels"},
	{"podLabels: {app.kubernetes.io/name: x}", "app.kubernetes.io/name"},

	{"monitoring: null", "'monitoring'"},
	{"monitoring: true", "/monitoring"},
	{"monitoring: {dashboard: true}", "'dashboard'"},
	{"monitoring: {serviceMonitor: null}", "'serviceMonitor'"},
	{"monitoring: {serviceMonitor: true}", "/monitoring/serviceMonitor"},
	{"monitoring: {serviceMonitor: {enabled: null}}", "'enabled'"},
	{"monitoring: {serviceMonitor: {enabled: 1}}", "/monitoring/serviceMonitor/enabled"},
	{"monitoring: {serviceMonitor: {interval: 30}}", "/monitoring/serviceMonitor/interval"},
	{"monitoring: {serviceMonitor: {interval: half an hour}}", "/monitoring/serviceMonitor/interval"},
	{"monitoring: {serviceMonitor: {labels: x}}", "/monitoring/serviceMonitor/labels"},
	{"monitoring: {serviceMonitor: {active: true}}", "'active'"},

	{"test: null", "'test'"},
	{"test: false", "/test"},
	{"test: {size: 1Gi}", "'size'"},
	{"test: {storage: null}", "'storage'"},
	{"test: {storage: 1Gi}", "/test/storage"},
	{"test: {storage: {class: x}}", "'class'"},
	{"test: {storage: {size: null}}", "'size'"},
	{"test: {storage: {size: 1}}", "/test/storage/size"},
	{"test: {storage: {size: 1Gb}}", "/test/storage/size"},
	{"test: {storage: {storageClassName: 1}}", "/test/storage/storageClassName"},
	{"test: {storage: {storageClassName: " + strings.Repeat("x", 254) + "}}", "/test/storage/storageClassName"},
}

// check returns what the schema says to values, over the chart's own.
func check(chart *chart.Chart, values map[string]any) error {
	merged, err := util.CoalesceValues(chart, values)
	if err != nil {
		return err
	}
	return util.ValidateAgainstSchema(chart, merged)
}

func TestBadValuesAreRefusedWithTheField(t *testing.T) {
	chart := load(t, chartFolder)
	for _, bad := range badValues {
		err := check(chart, parse(t, bad.values))
		if err == nil || !strings.Contains(err.Error(), bad.field) {
			t.Errorf("%s: error %v does not name %s", bad.values, err, bad.field)
		}
	}
}

// weaken returns, for each rule of a schema, the schema without that rule.
func weaken(t *testing.T, schema []byte) map[string][]byte {
	t.Helper()
	rules := map[string][]byte{}
	var decoded any
	if err := json.Unmarshal(schema, &decoded); err != nil {
		t.Fatal(err)
	}
	var visit func(path string, value any)
	visit = func(path string, value any) {
		object, _ := value.(map[string]any)
		for name, rule := range object {
			switch name {
			case "type", "pattern", "enum", "const", "minLength", "maxLength", "minimum", "maximum", "required",
				"additionalProperties", "uniqueItems", "maxItems", "if", "then", "not", "propertyNames", "allOf", "$ref":
				delete(object, name)
				weaker, err := json.Marshal(decoded)
				if err != nil {
					t.Fatal(err)
				}
				rules[path+"/"+name] = weaker
				object[name] = rule
			}
			visit(path+"/"+name, rule)
		}
	}
	visit("", decoded)
	return rules
}

// Without a rule, something in badValues is taken, or something good refused: so each rule does what it is for.
func TestEachRuleOfTheSchemaDecidesSomething(t *testing.T) {
	chart := load(t, chartFolder)
	var good, bad []any
	for _, values := range goodValues(t) {
		good = append(good, mergedValues(t, chart, values))
	}
	for _, each := range badValues {
		bad = append(bad, mergedValues(t, chart, parse(t, each.values)))
	}
	rules := weaken(t, chart.Schema)
	if len(rules) < 100 {
		t.Fatalf("only %d rules were found", len(rules))
	}
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		schema := compile(t, rules[rule])
		taken := func(values any) bool { return schema.Validate(values) == nil }
		refused := func(values any) bool { return !taken(values) }
		if !slices.ContainsFunc(bad, taken) && !slices.ContainsFunc(good, refused) {
			t.Errorf("the schema decides the same without %s", rule)
		}
	}
}

// mergedValues are values over the chart's own, as the validator knows them.
func mergedValues(t *testing.T, chart *chart.Chart, values map[string]any) any {
	t.Helper()
	merged, err := util.CoalesceValues(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(merged)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

func compile(t *testing.T, schema []byte) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("values.schema.json", decode(t, schema)); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Where values.yaml and the schema name different values, one of them is not true.
func TestValuesAndSchemaNameTheSame(t *testing.T) {
	chart := load(t, chartFolder)
	var schema map[string]any
	if err := json.Unmarshal(chart.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, values, schema map[string]any)
	compare = func(path string, values, schema map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for name, value := range values {
			property, found := properties[name].(map[string]any)
			if !found {
				t.Errorf("the schema has no %s/%s", path, name)
				continue
			}
			if inner, isObject := value.(map[string]any); isObject && property["properties"] != nil {
				compare(path+"/"+name, inner, property)
			}
		}
		for name := range properties {
			// Values inside of these are a pod's, and have no default here.
			if _, found := values[name]; !found && fmt.Sprint(path, "/", name) != "/global" &&
				path != "/affinity" && path != "/resources" {
				t.Errorf("values.yaml has no %s/%s", path, name)
			}
		}
	}
	compare("", chart.Values, schema)
}
