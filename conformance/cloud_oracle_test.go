package conformance

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestCloudOracle is [TestOracle] for testdata/cloud, with its main.js as cloud code.
func TestCloudOracle(t *testing.T) {
	control := os.Getenv("PARLEY_ORACLE_URL")
	if control == "" {
		t.Skip("PARLEY_ORACLE_URL is not set: the recordings are not checked against the server they came from")
	}
	f := cloudCorpus(t)
	code, err := filepath.Abs(filepath.Join("testdata", "cloud", "main.js"))
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]any{}
	if err := json.Unmarshal([]byte(f.Options), &options); err != nil {
		t.Fatal(err)
	}
	options["cloud"] = code
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{BaseURL: startOracle(t, control, string(text)), Client: client(t), Expect: func(e *Exchange) *Answer { return e.Want }}
	if *record {
		r.Record = func(e *Exchange, a *Answer) { e.Want = a }
	}
	failures, err := r.Run(context.Background(), f)
	for _, failure := range failures {
		t.Error(failure)
	}
	if err != nil {
		t.Fatal(err)
	}
	if *record {
		if err := os.WriteFile(filepath.Join("testdata", "cloud", f.Name), f.Format(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cloudCorpus reads what was recorded with main.js.
func cloudCorpus(t *testing.T) *File {
	t.Helper()
	return cloudFile(t, filepath.Join("testdata", "cloud", "cloud.txt"))
}

// cloudPaths names all files of testdata/cloud.
func cloudPaths(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "cloud", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no corpus of cloud code: %v", err)
	}
	return paths
}

func cloudFile(t *testing.T, path string) *File {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(filepath.Base(path), text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
