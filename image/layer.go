package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path"
	"sort"
	"strings"
	"time"
)

// epoch is the time of everything in an image: the real one would make each build another image.
var epoch = time.Unix(0, 0)

// writeLayer returns the tar that holds the files and the folders above them. It is not compressed: what a compressor
// writes changes with its version, and a registry compresses what is pushed to it.
func writeLayer(files []File) ([]byte, error) {
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	for _, folder := range folders(files) {
		if err := archive.WriteHeader(folderHeader(folder)); err != nil {
			return nil, fmt.Errorf("failed to write folder %s: %w", folder, err)
		}
	}
	for _, file := range sorted(files) {
		content, err := read(file)
		if err != nil {
			return nil, err
		}
		if err := writeFile(archive, name(file.Path), mode(file), content); err != nil {
			return nil, fmt.Errorf("failed to write file %s: %w", file.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("failed to end the layer: %w", err)
	}
	return layer.Bytes(), nil
}

func read(file File) ([]byte, error) {
	if file.Source == "" {
		return file.Content, nil
	}
	content, err := os.ReadFile(file.Source)
	if err != nil {
		return nil, fmt.Errorf("failed to read the source of %s: %w", file.Path, err)
	}
	return content, nil
}

func mode(file File) int64 {
	if file.Mode == 0 {
		return 0o644
	}
	return file.Mode
}

func sorted(files []File) []File {
	files = append([]File(nil), files...)
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files
}

// folders returns the folders above the files, each once and after the one it is in.
func folders(files []File) []string {
	seen := map[string]bool{}
	var folders []string
	for _, file := range files {
		for folder := path.Dir(file.Path); folder != "/" && !seen[folder]; folder = path.Dir(folder) {
			seen[folder] = true
			folders = append(folders, folder)
		}
	}
	sort.Strings(folders)
	return folders
}

// name is a path as it stands in a tar: relative to the root.
func name(path string) string {
	return strings.TrimPrefix(path, "/")
}

func folderHeader(folder string) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeDir,
		Name:     name(folder) + "/",
		Mode:     0o755,
		ModTime:  epoch,
		Format:   tar.FormatUSTAR,
	}
}

func writeFile(archive *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     int64(len(content)),
		Mode:     mode,
		ModTime:  epoch,
		Format:   tar.FormatUSTAR,
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}
