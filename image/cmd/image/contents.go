package main

import (
	"fmt"
	"path/filepath"

	"logstore.dev/image"
	"logstore.dev/image/certificates"
)

const (
	// user is a number, so that a cluster can see that it is not root, and belongs to nobody on the host.
	user = "65532:65532"
	// certificatesFile is where most programs and libraries look first.
	certificatesFile = "/etc/ssl/certs/ca-certificates.crt"
)

// programs are the binaries of the image, each in /bin.
var programs = []string{"logstore", "logstore-operator"}

// describe says what the image holds. `Dockerfile` says the same; a test compares the two.
func describe(options options) (image.Spec, error) {
	bundle, err := certificates.Bundle()
	if err != nil {
		return image.Spec{}, err
	}
	spec := image.Spec{
		Name:   "localhost/logstore:" + options.version,
		Files:  []image.File{{Path: certificatesFile, Content: bundle}},
		Env:    []string{"PATH=/bin"},
		User:   user,
		Labels: labels(options),
	}
	for _, program := range programs {
		source := filepath.Join(options.binaries, program)
		architecture, err := checkStatic(source)
		if err != nil {
			return image.Spec{}, err
		}
		if spec.Architecture != "" && spec.Architecture != architecture {
			return image.Spec{}, fmt.Errorf("%s is for %s, the other binary for %s: build both anew with image/build",
				source, architecture, spec.Architecture)
		}
		spec.Architecture = architecture
		spec.Files = append(spec.Files, image.File{Path: "/bin/" + program, Source: source, Mode: 0o755})
	}
	return spec, nil
}

// labels are those of https://github.com/opencontainers/image-spec/blob/main/annotations.md that hold for a commit, not
// for a build: none has a date.
func labels(options options) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "logstore",
		"org.opencontainers.image.description": "A replicated append-only log over HTTP, and its operator",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     options.version,
	}
	if options.revision != "" {
		labels["org.opencontainers.image.revision"] = options.revision
	}
	return labels
}
