package conformance

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	record = flag.Bool("record", false, "record the answers of the server behind PARLEY_ORACLE_URL in testdata")
	only   = flag.String("only", "*", "glob of corpus file names, without .txt")
)

// TestOracle replays the corpus against the server that it was recorded from.
// PARLEY_ORACLE_URL names a service that starts one: a POST of the options of a
// file answers {"url":"…"}, the mount point of a fresh server with an empty
// database and the keys of this package.
func TestOracle(t *testing.T) {
	control := os.Getenv("PARLEY_ORACLE_URL")
	if control == "" {
		t.Skip("PARLEY_ORACLE_URL is not set: the recordings are not checked against the server they came from")
	}
	for _, f := range corpus(t) {
		t.Run(f.Name, func(t *testing.T) {
			r := &Runner{BaseURL: startOracle(t, control, f.Options), Client: client(t), Expect: func(e *Exchange) *Answer { return e.Want }}
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
				if err := os.WriteFile(filepath.Join("testdata", f.Name), f.Format(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func startOracle(t *testing.T, control, options string) string {
	t.Helper()
	response, err := http.Post(control, "application/json", strings.NewReader(options))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var started struct{ URL string }
	if err := json.Unmarshal(body, &started); err != nil || started.URL == "" {
		t.Fatalf("no server with options %s: %s", options, body)
	}
	return started.URL
}

// corpus reads the files that -only names.
func corpus(t *testing.T) []*File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", *only+".txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no corpus file %q: %v", *only, err)
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

// client opens a connection for each request: an answer that ends its
// connection must not disturb the next one.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
