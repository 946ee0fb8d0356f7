package main

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed manifests
var manifestFiles embed.FS

// manifest fills the templates of one file with values.
func manifest(name string, values any) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(manifestFiles, "manifests/"+name)
	if err != nil {
		return nil, fmt.Errorf("failed to read manifest %s: %w", name, err)
	}
	var filled strings.Builder
	if err := parsed.Execute(&filled, values); err != nil {
		return nil, fmt.Errorf("failed to fill manifest %s: %w", name, err)
	}
	return []byte(filled.String()), nil
}

func writeManifest(file, name string, values any) error {
	content, err := manifest(name, values)
	if err != nil {
		return err
	}
	return writeFile(file, content, 0o644)
}
