// Package image writes container images without a container engine.
//
// An image has one layer. The archive is an OCI image layout and a `docker save` archive at once, so that `ctr images
// import`, `docker load` and `kind load image-archive` all take it. The same [Spec] with the same files gives the same
// bytes, wherever and whenever it is written.
//
//	Spec → layer (layer.go) → config, manifest, index (documents.go) → archive (archive.go)
package image

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Spec says what an image holds.
type Spec struct {
	// Name is the reference under which the image is loaded, with registry and tag: localhost/logstore:0.1.0.
	Name string
	// Architecture is the processor as Go and OCI call it: amd64, arm64.
	Architecture string
	// Files are the contents; their order does not matter. The folders above them are added.
	Files []File
	// Env holds NAME=value.
	Env []string
	// Entrypoint is what runs where a container names no command; none where empty.
	Entrypoint []string
	// User is the user, or user:group, of the process.
	User string
	// Labels are kept in the config and, as annotations, in the manifest.
	Labels map[string]string
}

// File is a regular file of the image, owned by root.
type File struct {
	// Path is absolute, in the image.
	Path string
	// Source is the file on this machine that holds the content.
	Source string
	// Content is the content itself; exactly one of Source and Content is given.
	Content []byte
	// Mode holds the permissions; 0 stands for 0644.
	Mode int64
}

// Write writes the archive of an image. Nothing is written where the image cannot be made; the layer is held in memory.
func Write(w io.Writer, spec Spec) error {
	if err := check(spec); err != nil {
		return fmt.Errorf("image %q: %w", spec.Name, err)
	}
	layer, err := writeLayer(spec.Files)
	if err != nil {
		return fmt.Errorf("image %q: %w", spec.Name, err)
	}
	entries, err := describe(spec, layer)
	if err != nil {
		return fmt.Errorf("image %q: %w", spec.Name, err)
	}
	if err := writeArchive(w, entries); err != nil {
		return fmt.Errorf("image %q: failed to write the archive: %w", spec.Name, err)
	}
	return nil
}

func check(spec Spec) error {
	if _, tag := splitName(spec.Name); tag == "" {
		return fmt.Errorf("the name needs a tag, as in localhost/logstore:0.1.0")
	}
	if spec.Architecture == "" {
		return fmt.Errorf("the architecture is missing, as in amd64 or arm64")
	}
	seen := map[string]bool{}
	for _, file := range spec.Files {
		if err := checkFile(file); err != nil {
			return err
		}
		if seen[file.Path] {
			return fmt.Errorf("file %s is there twice", file.Path)
		}
		seen[file.Path] = true
	}
	return checkFolders(seen)
}

func checkFile(file File) error {
	switch {
	case !path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path || file.Path == "/":
		return fmt.Errorf("path %q of a file is not absolute and clean, as in /bin/logstore", file.Path)
	case (file.Source == "") == (file.Content == nil):
		return fmt.Errorf("file %s needs exactly one of a source and a content", file.Path)
	case file.Mode < 0 || file.Mode > 0o7777:
		return fmt.Errorf("mode %#o of file %s is not between 0 and 07777", file.Mode, file.Path)
	}
	return nil
}

// checkFolders refuses a file that is also a folder above another one.
func checkFolders(files map[string]bool) error {
	for file := range files {
		for folder := path.Dir(file); folder != "/"; folder = path.Dir(folder) {
			if files[folder] {
				return fmt.Errorf("%s is a file, and a folder above %s", folder, file)
			}
		}
	}
	return nil
}

// splitName splits a reference at its tag. The colon before a port is not one: a slash follows it.
func splitName(name string) (repository, tag string) {
	colon := strings.LastIndex(name, ":")
	if colon <= 0 || strings.Contains(name[colon:], "/") || strings.Contains(name, "@") {
		return name, ""
	}
	return name[:colon], name[colon+1:]
}
