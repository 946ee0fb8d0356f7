package main

import "testing"

func TestASectionIsAddedAtTheEnd(t *testing.T) {
	if got, want := withSection("# A\n\ntext\n", "## B", "## B\n\nnew\n"), "# A\n\ntext\n\n## B\n\nnew\n"; got != want {
		t.Errorf("%q", got)
	}
}

func TestASectionIsReplacedAndTheRestStays(t *testing.T) {
	const document = "# A\n\ntext\n\n## B\n\nold\n### C\nold\n\n## D\n\nrest\n\n## E\n\nrest\n"
	const want = "# A\n\ntext\n\n## B\n\nnew\n\n## D\n\nrest\n\n## E\n\nrest\n"
	got := withSection(document, "## B", "## B\n\nnew\n")
	if got != want {
		t.Errorf("%q", got)
	}
	if again := withSection(got, "## B", "## B\n\nnew\n"); again != want {
		t.Errorf("the second time it is %q", again)
	}
}
