package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// The documents are named in https://github.com/opencontainers/image-spec, and manifest.json in
// https://github.com/moby/moby/blob/master/image/spec/spec.md#combined-image-json--filesystem-changeset-format

const (
	mediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	mediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaTypeConfig   = "application/vnd.oci.image.config.v1+json"
	mediaTypeLayer    = "application/vnd.oci.image.layer.v1.tar"

	// The full reference, which containerd takes as the image's name.
	annotationImageName = "io.containerd.image.name"
	// The tag alone, for tools that keep to the OCI layout.
	annotationRefName = "org.opencontainers.image.ref.name"
)

type config struct {
	Architecture string        `json:"architecture"`
	Created      string        `json:"created"`
	OS           string        `json:"os"`
	Config       processConfig `json:"config"`
	RootFS       rootFS        `json:"rootfs"`
	History      []history     `json:"history"`
}

type processConfig struct {
	User       string            `json:"User,omitempty"`
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type layout struct {
	Version string `json:"imageLayoutVersion"`
}

type dockerManifest struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// entry is a file of the archive.
type entry struct {
	name    string
	content []byte
}

// describe returns the files of the archive: the layer, and the documents that lead to it.
func describe(spec Spec, layer []byte) ([]entry, error) {
	config, err := json.Marshal(configOf(spec, layer))
	if err != nil {
		return nil, fmt.Errorf("failed to encode the config: %w", err)
	}
	manifest, err := json.Marshal(manifestOf(spec, config, layer))
	if err != nil {
		return nil, fmt.Errorf("failed to encode the manifest: %w", err)
	}
	documents := []struct {
		name  string
		value any
	}{
		{"oci-layout", layout{Version: "1.0.0"}},
		{"index.json", indexOf(spec, manifest)},
		{"manifest.json", []dockerManifest{{
			Config:   blobName(config),
			RepoTags: []string{spec.Name},
			Layers:   []string{blobName(layer)},
		}}},
	}
	var entries []entry
	for _, document := range documents {
		content, err := json.Marshal(document.value)
		if err != nil {
			return nil, fmt.Errorf("failed to encode %s: %w", document.name, err)
		}
		entries = append(entries, entry{document.name, content})
	}
	for _, blob := range [][]byte{manifest, config, layer} {
		entries = append(entries, entry{blobName(blob), blob})
	}
	return entries, nil
}

func configOf(spec Spec, layer []byte) config {
	created := epoch.UTC().Format("2006-01-02T15:04:05Z")
	return config{
		Architecture: spec.Architecture,
		Created:      created,
		OS:           "linux",
		Config: processConfig{
			User:       spec.User,
			Env:        spec.Env,
			Entrypoint: spec.Entrypoint,
			Labels:     spec.Labels,
		},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{digest(layer)}},
		History: []history{{Created: created, CreatedBy: "logstore.dev/image"}},
	}
}

func manifestOf(spec Spec, config, layer []byte) manifest {
	return manifest{
		SchemaVersion: 2,
		MediaType:     mediaTypeManifest,
		Config:        describeBlob(mediaTypeConfig, config),
		Layers:        []descriptor{describeBlob(mediaTypeLayer, layer)},
		Annotations:   spec.Labels,
	}
}

func indexOf(spec Spec, manifest []byte) index {
	described := describeBlob(mediaTypeManifest, manifest)
	described.Platform = &platform{Architecture: spec.Architecture, OS: "linux"}
	_, tag := splitName(spec.Name)
	described.Annotations = map[string]string{annotationImageName: spec.Name, annotationRefName: tag}
	return index{SchemaVersion: 2, MediaType: mediaTypeIndex, Manifests: []descriptor{described}}
}

func describeBlob(mediaType string, blob []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: digest(blob), Size: int64(len(blob))}
}

func digest(blob []byte) string {
	return "sha256:" + hexSum(blob)
}

func blobName(blob []byte) string {
	return "blobs/sha256/" + hexSum(blob)
}

func hexSum(blob []byte) string {
	sum := sha256.Sum256(blob)
	return hex.EncodeToString(sum[:])
}
