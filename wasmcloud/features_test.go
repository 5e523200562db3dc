package wasmcloud_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every feature in testdata/features.tsv has tests that are there, and is a row of the conformance suite; what has none says why, and is
// not important.
func TestEveryFeatureHasATest(t *testing.T) {
	table, err := os.ReadFile(filepath.Join("testdata", "features.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, checks := conformanceRows(t)
	functions := map[string]map[string]bool{} // of packages
	var names []string
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) != 4 || !slices.Contains([]string{"1", "2", "3"}, cells[1]) || cells[3] == "" {
			t.Errorf("%q is not name, importance, text and tests", line)
			continue
		}
		name, importance := cells[0], cells[1]
		names = append(names, name)
		if why, open := strings.CutPrefix(cells[3], "open: "); open {
			t.Logf("%s (importance %s) has no test: %s", name, importance, why)
			if importance != "1" {
				t.Errorf("%s has no test, and its importance is %s", name, importance)
			}
			continue
		}
		for _, test := range strings.Fields(cells[3]) {
			if check, isCheck := strings.CutPrefix(test, "hosttest/"); isCheck {
				if !checks[check] {
					t.Errorf("%s: the conformance suite has no check %s", name, check)
				}
				continue
			}
			at := strings.LastIndex(test, ".")
			folder, function := test[:max(at, 0)], test[at+1:]
			if functions[folder] == nil {
				functions[folder] = testsIn(t, folder)
			}
			if !functions[folder][function] {
				t.Errorf("%s: package %q has no %s", name, folder, function)
			}
		}
	}
	if !slices.Equal(names, rows) {
		t.Errorf("the features are\n%q\nand those of the conformance suite\n%q", names, rows)
	}
}

// conformanceRows reads the names in the table of hosttest, and which of them have a check.
func conformanceRows(t *testing.T) (names []string, checks map[string]bool) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("hosttest", "rows.go"))
	if err != nil {
		t.Fatal(err)
	}
	checks = map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\t\\{name: \"(\\w+)\", feature: `[^`]*`, (check|why): ").FindAllStringSubmatch(string(source), -1) {
		names = append(names, row[1])
		checks[row[1]] = row[2] == "check"
	}
	return names, checks
}

// testsIn are the tests, benchmarks and fuzz targets of a folder of the repository.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, is := d.(*ast.FuncDecl)
			if is && f.Recv == nil && slices.ContainsFunc([]string{"Test", "Benchmark", "Fuzz"}, func(kind string) bool { return strings.HasPrefix(f.Name.Name, kind) }) {
				all[f.Name.Name] = true
			}
		}
	}
	return all
}
