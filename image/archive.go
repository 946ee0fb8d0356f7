package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
)

// writeArchive writes the entries as they come: the small documents stand before the layer.
func writeArchive(w io.Writer, entries []entry) error {
	archive := tar.NewWriter(w)
	for _, folder := range []string{"/blobs", "/blobs/sha256"} {
		if err := archive.WriteHeader(folderHeader(folder)); err != nil {
			return err
		}
	}
	for _, entry := range entries {
		if err := writeFile(archive, entry.name, 0o644, entry.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// Digest returns the digest of the image in an archive, by which a registry and a container runtime know it.
func Digest(archive io.Reader) (string, error) {
	for entries := tar.NewReader(archive); ; {
		header, err := entries.Next()
		if err != nil {
			return "", fmt.Errorf("failed to find index.json in the archive: %w", err)
		}
		if header.Name != "index.json" {
			continue
		}
		var index index
		if err := json.NewDecoder(entries).Decode(&index); err != nil {
			return "", fmt.Errorf("failed to read index.json of the archive: %w", err)
		}
		if len(index.Manifests) != 1 {
			return "", fmt.Errorf("index.json of the archive names %d images, not one", len(index.Manifests))
		}
		return index.Manifests[0].Digest, nil
	}
}
