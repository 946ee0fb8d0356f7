package main

import (
	"os"
	"path"
	"reflect"
	"sort"
	"strings"
	"testing"
)

// instructions returns the instructions of the last stage of a Dockerfile, each as its words.
func instructions(t *testing.T, file string) [][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stage [][]string
	for _, line := range strings.Split(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "FROM":
			stage = [][]string{words}
		default:
			stage = append(stage, words)
		}
	}
	return stage
}

// The image of `make image` and that of `Dockerfile` must be one: whoever builds with an engine gets what is tested here.
// Run with -count=1: go remembers a result as long as the files of this module are the same.
func TestTheDockerfileSaysTheSame(t *testing.T) {
	spec, err := describe(example(t))
	if err != nil {
		t.Fatal(err)
	}
	var paths, environment, other []string
	user, entrypoint, labels := "", []string(nil), map[string]string{}
	for _, words := range instructions(t, "../../../Dockerfile") {
		switch words[0] {
		case "COPY":
			for _, source := range words[1 : len(words)-1] {
				if strings.HasPrefix(source, "--") {
					continue
				}
				destination := words[len(words)-1]
				if strings.HasSuffix(destination, "/") {
					destination += path.Base(source)
				}
				paths = append(paths, destination)
			}
		case "ENV":
			environment = append(environment, words[1:]...)
		case "USER":
			user = words[1]
		case "ENTRYPOINT", "CMD":
			entrypoint = append(entrypoint, words...)
		case "LABEL":
			name, value, _ := strings.Cut(strings.Join(words[1:], " "), "=")
			labels[name] = strings.Trim(value, `"`)
		default:
			other = append(other, strings.Join(words, " "))
		}
	}
	var wantPaths []string
	for _, file := range spec.Files {
		wantPaths = append(wantPaths, file.Path)
	}
	sort.Strings(paths)
	sort.Strings(wantPaths)
	spec.Labels["org.opencontainers.image.version"] = "$VERSION"
	spec.Labels["org.opencontainers.image.revision"] = "$REVISION"
	for _, compared := range []struct {
		what      string
		got, want any
	}{
		{"files", paths, wantPaths},
		{"ENV", environment, spec.Env},
		{"USER", user, spec.User},
		{"ENTRYPOINT", entrypoint, spec.Entrypoint},
		{"LABEL", labels, spec.Labels},
		{"other instructions", other, []string{"FROM scratch", "ARG VERSION", "ARG REVISION"}},
	} {
		if !reflect.DeepEqual(compared.got, compared.want) {
			t.Errorf("%s of Dockerfile: %q, of the image: %q", compared.what, compared.got, compared.want)
		}
	}
}

// What the image is built from is in the context of an engine; what is not needed, as target, stays outside.
func TestTheContextHoldsWhatTheDockerfileCopies(t *testing.T) {
	ignore, err := os.ReadFile("../../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, line := range strings.Fields(string(ignore)) {
		if name, found := strings.CutPrefix(line, "!"); found {
			taken[name] = true
			if _, err := os.Stat("../../../" + name); err != nil {
				t.Errorf(".dockerignore takes %s: %v", name, err)
			}
		}
	}
	manifest, err := os.ReadFile("../../../Cargo.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, members, _ := strings.Cut(string(manifest), "members = [")
	members, _, found := strings.Cut(members, "]")
	if !found {
		t.Fatal("Cargo.toml names no members")
	}
	needed := []string{"Cargo.toml", "Cargo.lock", "image"}
	for _, member := range strings.Split(members, ",") {
		folder, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(member), `"`), "/")
		needed = append(needed, folder)
	}
	for _, name := range needed {
		if !taken[name] {
			t.Errorf(".dockerignore leaves out %s", name)
		}
	}
	if taken["target"] || !strings.HasPrefix(string(ignore), "*\n") {
		t.Error(".dockerignore begins with * and takes only what is needed")
	}
}
