// Command image writes the image of the probe: image PROGRAM ARCHIVE.
package main

import (
	"fmt"
	"os"
	"runtime"

	"logstore.dev/image"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "image: give the program and the archive")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(program, archive string) error {
	file, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	return image.Write(file, image.Spec{
		Name:         "localhost/logstore-probe:e2e",
		Architecture: runtime.GOARCH,
		Files:        []image.File{{Path: "/bin/http-probe", Source: program, Mode: 0o755}},
		Env:          []string{"PATH=/bin"},
		User:         "65532:65532",
	})
}
