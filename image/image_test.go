package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func example(t *testing.T) Spec {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("program\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Spec{
		Name:         "localhost:5000/store:1.2",
		Architecture: "amd64",
		Files: []File{
			{Path: "/etc/ssl/certs/ca.crt", Content: []byte("certificate\n")},
			{Path: "/bin/program", Source: source, Mode: 0o755},
			{Path: "/empty", Content: []byte{}},
		},
		Env:        []string{"PATH=/bin"},
		Entrypoint: []string{"program"},
		User:       "65532:65532",
		Labels:     map[string]string{"b": "2", "a": "1"},
	}
}

func write(t *testing.T, spec Spec) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := Write(&archive, spec); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// untar returns the regular files of a tar, and all headers.
func untar(t *testing.T, content []byte) (map[string][]byte, []*tar.Header) {
	t.Helper()
	files := map[string][]byte{}
	var headers []*tar.Header
	reader := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, header)
		if header.Typeflag == tar.TypeReg {
			if files[header.Name], err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func decode[T any](t *testing.T, content []byte) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return value
}

func TestTheSameSpecGivesTheSameBytes(t *testing.T) {
	first := write(t, example(t))
	// Another folder, another time, another order.
	spec := example(t)
	if err := os.Chtimes(spec.Files[1].Source, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	spec.Files[0], spec.Files[2] = spec.Files[2], spec.Files[0]
	if !bytes.Equal(first, write(t, spec)) {
		t.Error("the archives differ")
	}
}

func TestAnotherContentGivesAnotherDigest(t *testing.T) {
	spec := example(t)
	first, err := Digest(bytes.NewReader(write(t, spec)))
	if err != nil {
		t.Fatal(err)
	}
	spec.Files[2].Content = []byte("x")
	second, err := Digest(bytes.NewReader(write(t, spec)))
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("both have digest %s", first)
	}
}

func TestEachDocumentDescribesTheNext(t *testing.T) {
	spec := example(t)
	archive := write(t, spec)
	files, _ := untar(t, archive)
	blob := func(described descriptor, mediaType string) []byte {
		t.Helper()
		content := files["blobs/sha256/"+strings.TrimPrefix(described.Digest, "sha256:")]
		if want := describeBlob(mediaType, content); !reflect.DeepEqual(described, want) {
			t.Errorf("a blob is described as %+v, not %+v", described, want)
		}
		return content
	}

	index := decode[index](t, files["index.json"])
	described := index.Manifests[0]
	if got, err := Digest(bytes.NewReader(archive)); err != nil || got != described.Digest {
		t.Errorf("Digest: %s, %v; index.json says %s", got, err, described.Digest)
	}
	names := map[string]string{annotationImageName: spec.Name, annotationRefName: "1.2"}
	if !reflect.DeepEqual(described.Annotations, names) || *described.Platform != (platform{"amd64", "linux"}) {
		t.Errorf("index.json names the image %+v", described)
	}
	described.Annotations, described.Platform = nil, nil
	manifest := decode[manifest](t, blob(described, mediaTypeManifest))
	configBytes := blob(manifest.Config, mediaTypeConfig)
	layer := blob(manifest.Layers[0], mediaTypeLayer)

	want := config{
		Architecture: "amd64",
		Created:      "1970-01-01T00:00:00Z",
		OS:           "linux",
		Config: processConfig{
			User: "65532:65532", Env: []string{"PATH=/bin"}, Entrypoint: []string{"program"}, Labels: spec.Labels,
		},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{digest(layer)}},
		History: []history{{Created: "1970-01-01T00:00:00Z", CreatedBy: "logstore.dev/image"}},
	}
	if got := decode[config](t, configBytes); !reflect.DeepEqual(got, want) {
		t.Errorf("config: %+v\n  want: %+v", got, want)
	}
	docker := decode[[]dockerManifest](t, files["manifest.json"])
	wantDocker := []dockerManifest{{
		Config: blobName(configBytes), RepoTags: []string{spec.Name}, Layers: []string{blobName(layer)},
	}}
	if !reflect.DeepEqual(docker, wantDocker) {
		t.Errorf("manifest.json: %+v, want %+v", docker, wantDocker)
	}
	if got := string(files["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout: %s", got)
	}
}

func TestTheLayerHoldsTheFilesAndTheFoldersAboveThem(t *testing.T) {
	layer, err := writeLayer(example(t).Files)
	if err != nil {
		t.Fatal(err)
	}
	files, headers := untar(t, layer)
	want := map[string][]byte{
		"bin/program": []byte("program\n"), "empty": {}, "etc/ssl/certs/ca.crt": []byte("certificate\n"),
	}
	if !reflect.DeepEqual(files, want) {
		t.Errorf("files: %q", files)
	}
	var listing []string
	for _, header := range headers {
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || !header.ModTime.Equal(epoch) {
			t.Errorf("%s has an owner or a time: %+v", header.Name, header)
		}
		listing = append(listing, fs.FileMode(header.Mode).String()+" "+header.Name)
	}
	wantListing := []string{
		"-rwxr-xr-x bin/", "-rwxr-xr-x etc/", "-rwxr-xr-x etc/ssl/", "-rwxr-xr-x etc/ssl/certs/",
		"-rwxr-xr-x bin/program", "-rw-r--r-- empty", "-rw-r--r-- etc/ssl/certs/ca.crt",
	}
	if !reflect.DeepEqual(listing, wantListing) {
		t.Errorf("layer: %q", listing)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	tests := []struct {
		breaks func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Name = "localhost:5000/store" }, `image "localhost:5000/store": the name needs a tag`},
		{func(s *Spec) { s.Architecture = "" }, "the architecture is missing"},
		{func(s *Spec) { s.Files[1].Source = "/missing/program" }, "source of /bin/program: open /missing/program: no such file"},
		{func(s *Spec) { s.Files[1].Source = "/" }, "failed to read the source of /bin/program"},
		{func(s *Spec) { s.Files[1].Content = []byte("x") }, "file /bin/program needs exactly one of"},
		{func(s *Spec) { s.Files[0].Content = nil }, "file /etc/ssl/certs/ca.crt needs exactly one of"},
		{func(s *Spec) { s.Files[0].Path = "bin/../x" }, `path "bin/../x" of a file is not absolute`},
		{func(s *Spec) { s.Files[0].Path = "/bin/program" }, "file /bin/program is there twice"},
		{func(s *Spec) { s.Files[0].Path = "/bin" }, "/bin is a file, and a folder above /bin/program"},
		{func(s *Spec) { s.Files[0].Mode = 0o10000 }, "mode 010000 of file /etc/ssl/certs/ca.crt"},
		{func(s *Spec) { s.Files[0].Path = "/" + strings.Repeat("x", 300) }, "failed to write file /xxx"},
	}
	for _, test := range tests {
		spec := example(t)
		test.breaks(&spec)
		var archive bytes.Buffer
		err := Write(&archive, spec)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v does not say %q", err, test.want)
		}
		if archive.Len() != 0 {
			t.Errorf("%q: %d bytes were written", test.want, archive.Len())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAnArchiveThatCannotBeWrittenIsAnError(t *testing.T) {
	err := Write(fullDisk{}, example(t))
	if err == nil || !strings.Contains(err.Error(), "failed to write the archive: disk full") {
		t.Error(err)
	}
}

func TestADigestIsReadOnlyFromAnImage(t *testing.T) {
	for _, archive := range []string{"", "no tar"} {
		if got, err := Digest(strings.NewReader(archive)); err == nil {
			t.Errorf("%q has digest %s", archive, got)
		}
	}
}
