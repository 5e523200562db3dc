package conformance

import (
	"os"
	"path/filepath"
	"slices"
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
		if cells := strings.Split(line, " | "); len(cells) == 2 && strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "|--") {
			documented[strings.TrimPrefix(cells[0], "| ")] = true
		}
	}
	delete(documented, "difference") // the head of the table
	used := map[string]bool{}
	var ofCloud []*File
	for _, path := range cloudPaths(t) {
		ofCloud = append(ofCloud, cloudFile(t, path))
	}
	for _, file := range slices.Concat(corpus(t), ofCloud, handovers(t)) {
		for _, e := range file.Exchanges {
			for _, reason := range []string{e.Divergence, e.Reason} {
				if reason == "" {
					continue
				}
				used[reason] = true
				if !documented[reason] {
					t.Errorf("%s:%d: %q is not in docs/divergences.md", file.Name, e.Line, reason)
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

// handovers reads what happens to the database that make oracle hands over.
func handovers(t *testing.T) []*File {
	t.Helper()
	names, err := filepath.Glob("../interop/oracle/handover/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no story of a hand-over: %v", err)
	}
	var files []*File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(filepath.Base(name), text)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
