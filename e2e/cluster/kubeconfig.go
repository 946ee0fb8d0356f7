package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

const apiPort = "6443"

func apiURL() string { return "https://" + hostAddress + ":" + apiPort }

// writeKubeconfig writes how one client reaches the API server. The certificates are in the file, so that it can be
// copied elsewhere.
func writeKubeconfig(paths layout, name, file string, authority, client pair) error {
	key, err := client.keyPEM()
	if err != nil {
		return err
	}
	named := func(field string, value map[string]any) []map[string]any {
		return []map[string]any{{"name": name, field: value}}
	}
	content, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1",
		"kind":       "Config",
		"clusters": named("cluster", map[string]any{
			"server":                     apiURL(),
			"certificate-authority-data": base64.StdEncoding.EncodeToString(authority.certificatePEM()),
		}),
		"users": named("user", map[string]any{
			"client-certificate-data": base64.StdEncoding.EncodeToString(client.certificatePEM()),
			"client-key-data":         base64.StdEncoding.EncodeToString(key),
		}),
		"contexts":        named("context", map[string]any{"cluster": name, "user": name}),
		"current-context": name,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode kubeconfig %s: %w", file, err)
	}
	// JSON is YAML, which is what the readers of a kubeconfig expect.
	return writeFile(file, append(content, '\n'), 0o600)
}
