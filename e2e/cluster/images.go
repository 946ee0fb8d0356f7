package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"logstore.dev/image"
)

const (
	pauseImage = "localhost/logstore-pause:1"
	dnsImage   = "localhost/logstore-dns:1"
)

// archive is an image archive that every node has or gets when it comes up.
type archive struct {
	// File is its name in the folder of images: a hash of the content.
	File string `json:"file"`
	// References are the images in it.
	References []string `json:"references"`
}

func (p layout) archive(file string) string { return p.in("images", file) }

// marker says that a node has imported an archive.
func (p layout) marker(node node, file string) string { return p.node(node, "images", file) }

func loadArchives(paths layout) ([]archive, error) {
	var all []archive
	return all, readJSON(paths.in("images.json"), &all)
}

// writeOwnImages makes the images of the cluster itself.
func writeOwnImages(paths layout, binaries map[string]string) error {
	for name, build := range map[string]string{pauseImage: "pause", dnsImage: "dns"} {
		spec := image.Spec{
			Name: name, Architecture: runtime.GOARCH,
			Files:      []image.File{{Path: "/" + build, Source: binaries[build], Mode: 0o755}},
			Entrypoint: []string{"/" + build},
		}
		file := paths.in("images", build+".new")
		if err := writeImage(file, spec); err != nil {
			return err
		}
		if err := addArchive(paths, file); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("failed to remove %s: %w", file, err)
		}
	}
	return nil
}

func writeImage(file string, spec image.Spec) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("failed to make the folder of images: %w", err)
	}
	opened, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("failed to create %s: %w", file, err)
	}
	return errors.Join(image.Write(opened, spec), opened.Close())
}

// addArchive copies an archive to those that every node gets. It replaces the ones whose images it holds anew: a node
// that comes up later must not give a name back to an older image.
func addArchive(paths layout, source string) error {
	references, err := readReferences(source)
	if err != nil {
		return err
	}
	file, err := copyArchive(paths, source)
	if err != nil {
		return err
	}
	all, err := loadArchives(paths)
	if err != nil {
		return err
	}
	kept, replaced := replaceArchive(all, archive{File: file, References: references})
	for _, old := range replaced {
		if err := removeArchive(paths, old); err != nil {
			return err
		}
	}
	return writeJSON(paths.in("images.json"), kept)
}

// replaceArchive adds an archive at the end and takes out the ones that hold nothing which it does not hold too.
func replaceArchive(all []archive, added archive) (kept, replaced []archive) {
	for _, old := range all {
		switch {
		case old.File == added.File:
		case covers(added.References, old.References):
			replaced = append(replaced, old)
		default:
			kept = append(kept, old)
		}
	}
	return append(kept, added), replaced
}

func covers(all, some []string) bool {
	return !slices.ContainsFunc(some, func(reference string) bool { return !slices.Contains(all, reference) })
}

func copyArchive(paths layout, source string) (string, error) {
	content, err := os.ReadFile(source)
	if err != nil {
		return "", fmt.Errorf("failed to read the archive: %w", err)
	}
	file := fmt.Sprintf("%x.tar", sha256.Sum256(content))
	if exists(paths.archive(file)) {
		return file, nil
	}
	return file, writeFile(paths.archive(file), content, 0o644)
}

func removeArchive(paths layout, old archive) error {
	files := []string{paths.archive(old.File)}
	for _, node := range nodes {
		files = append(files, paths.marker(node, old.File))
	}
	for _, file := range files {
		if err := os.RemoveAll(file); err != nil {
			return fmt.Errorf("failed to remove the replaced archive: %w", err)
		}
	}
	return nil
}

// readReferences returns the names of the images in an archive, as `docker save` and OCI layouts tell them.
func readReferences(file string) ([]string, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("failed to open the archive: %w", err)
	}
	defer opened.Close()
	var found []string
	for entries := tar.NewReader(opened); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not an image archive (a plain tar): %w", file, err)
		}
		names, err := referencesIn(header.Name, entries)
		if err != nil {
			return nil, fmt.Errorf("failed to read %s of %s: %w", header.Name, file, err)
		}
		found = append(found, names...)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) == 0 {
		return nil, fmt.Errorf("archive %s names no image", file)
	}
	return found, nil
}

func referencesIn(name string, content io.Reader) ([]string, error) {
	var found []string
	switch name {
	case "manifest.json":
		var manifests []struct{ RepoTags []string }
		if err := json.NewDecoder(content).Decode(&manifests); err != nil {
			return nil, err
		}
		for _, manifest := range manifests {
			found = append(found, manifest.RepoTags...)
		}
	case "index.json":
		var index struct {
			Manifests []struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"manifests"`
		}
		if err := json.NewDecoder(content).Decode(&index); err != nil {
			return nil, err
		}
		for _, manifest := range index.Manifests {
			if reference := manifest.Annotations["io.containerd.image.name"]; reference != "" {
				found = append(found, reference)
			}
		}
	}
	return found, nil
}

// load gives an archive to all nodes that are up, and remembers it for the others.
func load(paths layout, source string) error {
	if err := ensureOwn(paths); err != nil {
		return err
	}
	if err := addArchive(paths, source); err != nil {
		return err
	}
	if err := importEverywhere(paths); err != nil {
		return err
	}
	references, err := readReferences(source)
	if err != nil {
		return err
	}
	say("every node that is up has %v", references)
	return nil
}

// importEverywhere imports what the running nodes lack, all at once.
func importEverywhere(paths layout) error {
	errs := make([]error, len(nodes))
	var group sync.WaitGroup
	for number, node := range nodes {
		running, err := loadProcess(paths, node.name)
		if err != nil {
			return err
		}
		if !running.alive() {
			continue
		}
		group.Go(func() {
			// The way through /proc leads to the node's own /run.
			socket := fmt.Sprintf("/proc/%d/root%s", running.PID, runtimeSocket)
			if err := waitForRuntime(socket, paths.log(node.name+"-containerd")); err != nil {
				errs[number] = err
				return
			}
			errs[number] = importMissing(paths, node, func(file string) error {
				_, err := commandOutput(exec.Command("ctr", importCommand(socket, file)...))
				return err
			})
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// importAll runs inside a node.
func (n *nodeProcesses) importAll(self node) error {
	return importMissing(n.paths, self, func(file string) error {
		return n.run("ctr", importCommand(runtimeSocket, file)...)
	})
}

func importCommand(socket, file string) []string {
	return []string{"--address", socket, "--namespace", runtimeContents, "images", "import", file}
}

func importMissing(paths layout, node node, importArchive func(string) error) error {
	all, err := loadArchives(paths)
	if err != nil {
		return err
	}
	for _, archive := range all {
		marker := paths.marker(node, archive.File)
		if exists(marker) {
			continue
		}
		if err := importArchive(paths.archive(archive.File)); err != nil {
			return fmt.Errorf("%s failed to import %v: %w", node.name, archive.References, err)
		}
		if err := writeFile(marker, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}
