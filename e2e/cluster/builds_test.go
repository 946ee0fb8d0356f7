package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheKeyOfABuildFollowsItsSourcesAndNothingElse(t *testing.T) {
	root := t.TempDir()
	makeFolder(t, filepath.Join(root, "module"))
	writeTo(t, filepath.Join(root, "module", "main.go"), "package main")
	build := build{name: "thing", folder: "module", packagePath: ".", sources: []string{"."}}
	key := func() string {
		key, err := build.key(root)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := key()
	writeTo(t, filepath.Join(root, "module", "main_test.go"), "package main")
	if key() != first {
		t.Error("a test changed it")
	}
	writeTo(t, filepath.Join(root, "module", "go.sum"), "pinned")
	second := key()
	if second == first {
		t.Error("other pinned modules did not change it")
	}
	build.flags = []string{"-race"}
	if key() == second {
		t.Error("another flag did not change it")
	}
}

func TestTheKeyDoesNotDependOnTheFolderOfTheCheckout(t *testing.T) {
	var keys [2]string
	for number := range keys {
		root := t.TempDir()
		makeFolder(t, filepath.Join(root, "module"))
		writeTo(t, filepath.Join(root, "module", "main.go"), "package main")
		var err error
		keys[number], err = build{name: "thing", folder: "module", packagePath: ".", sources: []string{"."}}.key(root)
		if err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] != keys[1] {
		t.Errorf("got %v: a fresh clone would build all anew", keys)
	}
}

func TestTheOldestVersionsArePruned(t *testing.T) {
	cache := t.TempDir()
	for age := range keptBuilds + 2 {
		folder := filepath.Join(cache, "thing-"+string(rune('a'+age)))
		makeFolder(t, folder)
		used := time.Now().Add(-time.Duration(age) * time.Hour)
		if err := os.Chtimes(folder, used, used); err != nil {
			t.Fatal(err)
		}
	}
	makeFolder(t, filepath.Join(cache, "other-a"))
	prune(cache, "thing")
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(left) != keptBuilds+1 || !exists(filepath.Join(cache, "thing-a")) || exists(filepath.Join(cache, "thing-f")) {
		t.Errorf("left are %v", left)
	}
}

func TestTheStampGivesTheVersionInAllItsForms(t *testing.T) {
	for _, want := range []string{"gitVersion=v1.35.4", "gitMajor=1", "gitMinor=35"} {
		if !strings.Contains(kubernetesStamp(), want) {
			t.Errorf("%s is missing", want)
		}
	}
}
