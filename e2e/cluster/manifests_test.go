package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestTheFilesOfANodeAreComplete(t *testing.T) {
	if _, err := pluginFolder(); err != nil {
		t.Skip(err)
	}
	paths := newPaths(t.TempDir(), t.TempDir())
	if err := writeNodeFiles(paths, nodes[1]); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"containerd.toml", "kubelet.yaml", "network/logstore.conflist"} {
		content, err := os.ReadFile(paths.node(nodes[1], file))
		if err != nil || strings.Contains(string(content), "{{") || strings.Contains(string(content), "no value") {
			t.Errorf("%s: %v\n%s", file, err, content)
		}
	}
	if !json.Valid([]byte(readFrom(t, paths.node(nodes[1], "network/logstore.conflist")))) {
		t.Error("the network configuration is no JSON")
	}
	if config := readFrom(t, paths.node(nodes[1], "kubelet.yaml")); !strings.Contains(config, "cgroupRoot: /logstore-cluster/node2\n") {
		t.Error("the kubelet would account for its pods elsewhere")
	}
}

func TestAManifestWithoutItsValueIsRefused(t *testing.T) {
	if _, err := manifest("dns.yaml", map[string]string{"DNSImage": dnsImage}); err == nil {
		t.Error("it was filled")
	}
}

func TestTheDriverHasOneName(t *testing.T) {
	content, err := manifest("storage.yaml", nil)
	if err != nil || strings.Count(string(content), ": "+volumeDriver+"\n") != 3 {
		t.Errorf("%v\n%s", err, content)
	}
	if driver := readFrom(t, "csi/identity.go"); !strings.Contains(driver, `driverName = "`+volumeDriver+`"`) {
		t.Error("the driver's own code calls it otherwise")
	}
}
