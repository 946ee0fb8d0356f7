// Command image writes the container image of logstore from binaries that `image/build` has built.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"logstore.dev/image"
)

// sizeMax is the goal for the image; whoever makes it larger decides so here.
const sizeMax = 25_000_000

// options are the command line.
type options struct {
	binaries string
	version  string
	revision string
	output   string
}

func main() {
	var options options
	flag.StringVar(&options.binaries, "binaries", "", "folder with the static binaries logstore and logstore-operator")
	flag.StringVar(&options.version, "version", "", "version, the tag of the image")
	flag.StringVar(&options.revision, "revision", "", "commit that the binaries were built from, if known")
	flag.StringVar(&options.output, "output", "", "file for the archive")
	flag.Parse()
	if err := run(options); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(options options) error {
	if options.binaries == "" || options.version == "" || options.output == "" {
		return fmt.Errorf("-binaries, -version and -output are all needed; image/build gives them")
	}
	spec, err := describe(options)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := image.Write(&archive, spec); err != nil {
		return err
	}
	if archive.Len() > sizeMax {
		return fmt.Errorf("the image has %s, more than its limit of %s (sizeMax in image/cmd/image/main.go)",
			megabytes(archive.Len()), megabytes(sizeMax))
	}
	digest, err := image.Digest(bytes.NewReader(archive.Bytes()))
	if err != nil {
		return err
	}
	if err := replace(options.output, archive.Bytes()); err != nil {
		return fmt.Errorf("failed to write the archive: %w", err)
	}
	fmt.Printf("image:   %s, %s, linux/%s\n", spec.Name, megabytes(archive.Len()), spec.Architecture)
	fmt.Printf("digest:  %s\n", digest)
	fmt.Printf("archive: %s\n", options.output)
	return nil
}

// replace writes a file whole or not at all: a broken one is never taken for an image.
func replace(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// megabytes is a size in the unit of the goal, which a registry shows as well.
func megabytes(size int) string {
	return fmt.Sprintf("%.2f MB", float64(size)/1e6)
}
