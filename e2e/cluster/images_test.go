package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"logstore.dev/image"
)

func TestAnArchiveReplacesTheOnesWhoseImagesItHolds(t *testing.T) {
	all := []archive{{"1.tar", []string{"a:1"}}, {"2.tar", []string{"a:1", "b:1"}}, {"3.tar", []string{"c:1"}}}
	kept, replaced := replaceArchive(all, archive{"4.tar", []string{"a:1"}})
	if !reflect.DeepEqual(kept, []archive{all[1], all[2], {"4.tar", []string{"a:1"}}}) || !reflect.DeepEqual(replaced, all[:1]) {
		t.Errorf("kept %v, replaced %v", kept, replaced)
	}
}

func TestAnArchiveThatIsLoadedAgainMovesToTheEnd(t *testing.T) {
	all := []archive{{"1.tar", []string{"a:1", "b:1"}}, {"2.tar", []string{"a:1"}}}
	kept, replaced := replaceArchive(all, all[0])
	if !reflect.DeepEqual(kept, []archive{all[0]}) || !reflect.DeepEqual(replaced, all[1:]) {
		t.Errorf("kept %v, replaced %v", kept, replaced)
	}
}

func TestTheReferencesOfOurOwnArchivesAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	spec := image.Spec{
		Name: "localhost/thing:1", Architecture: "amd64", Files: []image.File{{Path: "/thing", Content: []byte("x")}},
	}
	if err := writeImage(file, spec); err != nil {
		t.Fatal(err)
	}
	references, err := readReferences(file)
	if err != nil || !reflect.DeepEqual(references, []string{"localhost/thing:1"}) {
		t.Errorf("got %v, %v", references, err)
	}
}

func TestWhatIsNoArchiveIsRefusedByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.txt")
	writeTo(t, file, strings.Repeat("no tar ", 200))
	for _, source := range []string{file, file + ".missing"} {
		if _, err := readReferences(source); err == nil || !strings.Contains(err.Error(), source) {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestAReplacedArchiveIsForgottenByTheNodes(t *testing.T) {
	paths := newPaths(t.TempDir(), t.TempDir())
	source := filepath.Join(t.TempDir(), "image.tar")
	add := func(content string) archive {
		err := writeImage(source, image.Spec{
			Name: "localhost/thing:1", Architecture: "amd64", Files: []image.File{{Path: "/thing", Content: []byte(content)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := addArchive(paths, source); err != nil {
			t.Fatal(err)
		}
		all, err := loadArchives(paths)
		if err != nil || len(all) != 1 {
			t.Fatalf("got %v, %v", all, err)
		}
		return all[0]
	}
	var imported []string
	importAll := func() {
		err := importMissing(paths, nodes[0], func(file string) error {
			imported = append(imported, filepath.Base(file))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	first := add("one")
	importAll()
	importAll()
	second := add("two")
	importAll()
	// The first one again: the node has its content, yet the name leads to the second one by now.
	if again := add("one"); again.File != first.File {
		t.Fatal("the same content has another name")
	}
	importAll()
	if want := []string{first.File, second.File, first.File}; !reflect.DeepEqual(imported, want) {
		t.Errorf("imported %v", imported)
	}
	if entries, _ := os.ReadDir(paths.in("images")); len(entries) != 1 {
		t.Errorf("the folder of images holds %v", entries)
	}
}
