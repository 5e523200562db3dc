package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDivergencesAreDocumented holds the corpus against docs/divergences.md: each reason for another answer stands there, and
// each row of its tables stands in the corpus.
func TestDivergencesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/divergences.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); len(cells) == 2 && strings.HasPrefix(line, "| ") {
			documented[strings.TrimPrefix(cells[0], "| ")] = true
		}
	}
	delete(documented, "difference") // the head of the table
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	used := map[string]bool{}
	for _, name := range files {
		file, err := readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range file.Sections {
			for _, e := range section.Exchanges {
				if e.Divergence == "" {
					continue
				}
				used[e.Divergence] = true
				if !documented[e.Divergence] {
					t.Errorf("%s:%d: %q is not in docs/divergences.md", name, e.Line, e.Divergence)
				}
			}
		}
	}
	for reason := range documented {
		if !used[reason] {
			t.Errorf("docs/divergences.md: no exchange diverges because %q", reason)
		}
	}
}
