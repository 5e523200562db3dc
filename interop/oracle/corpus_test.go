package oracle

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-backend/parley/conformance"
)

var (
	update = flag.Bool("update", false, "write the table of what was compared into README.md")
	only   = flag.String("only", "*", "glob of corpus file names, without .txt")
)

// A topic is a row of the table: files of the corpus.
type topic struct {
	title string
	files string // names without .txt
}

// topics are all of them; TestCorpus wants every file in one.
var topics = []topic{
	{"Routes, keys, headers", "auth sdk strict cors addresses"},
	{"Types and values", "types values"},
	{"Operators of updates", "ops"},
	{"Find, get, count", "find"},
	{"Constraints", "query"},
	{"Places", "geo"},
	{"Aggregation", "aggregate"},
	{"Users, sessions", "users sessions lockout policy internal"},
	{"Roles, ACLs", "roles members"},
	{"Audiences, products, the master key's classes", "audiences"},
	{"Class-level permissions, protected fields", "clp"},
	{"Schemas, indexes", "schemas"},
	{"Batches, transactions", "batch"},
	{"Config", "config"},
	{"Installations", "installations"},
	{"Limits", "complexity ratelimit"},
	{"Texts of errors", "detailed"},
	{"Cloud functions", "functions"},
	{"Triggers", "cloud triggers"},
	{"Jobs", "jobs"},
	{"Webhooks", "hooks"},
}

// counts are the numbers of a row.
type counts struct {
	exchanges, alike int
	mongo            int // listed: Parley answers as Parse Server does on MongoDB
	own              int // listed: Parley's own
	unexplained      int
}

func (c *counts) add(d counts) {
	c.exchanges += d.exchanges
	c.alike += d.alike
	c.mongo += d.mongo
	c.own += d.own
	c.unexplained += d.unexplained
}

// TestCorpus compares the three servers, exchange by exchange.
func TestCorpus(t *testing.T) {
	needed(t)
	files := corpus(t)
	var mu sync.Mutex
	measured := map[string]counts{}
	t.Run("files", func(t *testing.T) {
		for _, f := range files {
			t.Run(strings.TrimSuffix(f.Name, ".txt"), func(t *testing.T) {
				t.Parallel()
				c := compare(t, f)
				mu.Lock()
				defer mu.Unlock()
				measured[strings.TrimSuffix(f.Name, ".txt")] = c
			})
		}
	})
	if *record {
		return
	}
	table := tabulate(t, measured)
	fmt.Printf("\n%s\n", table)
	if *update && !t.Failed() && *only == "*" {
		if err := writeTable("../../README.md", table); err != nil {
			t.Error(err)
		}
	}
}

// A corpusFile is a file with its path, and with the options that the servers are started with.
type corpusFile struct {
	*conformance.File
	path string
}

// corpus reads the files that -only names.
func corpus(t *testing.T) []corpusFile {
	t.Helper()
	var all []corpusFile
	for _, folder := range []string{"../../conformance/testdata", "../../conformance/testdata/cloud"} {
		paths, err := filepath.Glob(filepath.Join(folder, *only+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			f := corpusFile{read(t, path), path}
			if code := conformance.CloudCode(path); code != "" {
				f.Options = withCode(t, f.Options, code)
			}
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no corpus file %q", *only)
	}
	return all
}

// withCode adds to the options of a file the cloud code that both servers run.
func withCode(t *testing.T, text, code string) string {
	t.Helper()
	path, err := filepath.Abs(code)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	all["cloud"] = path
	with, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(with)
}

func read(t *testing.T, path string) *conformance.File {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := conformance.Parse(filepath.Base(path), text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// compare plays a file against three fresh servers; with -record it writes down what Parse Server answers, and asks nobody else.
func compare(t *testing.T, f corpusFile) counts {
	t.Helper()
	sink := httptest.NewServer(conformance.Sink())
	t.Cleanup(sink.Close)
	vars := map[string]string{"sink": sink.URL}
	if *record {
		s := startParseServer(t, f.Options, newDatabase(t, true))
		r := &conformance.Runner{BaseURL: s.url, Client: newClient(t), Vars: vars, Record: func(e *conformance.Exchange, a *conformance.Answer) { e.Want = a }}
		if _, err := r.Run(t.Context(), f.File); err != nil {
			t.Fatal(err)
		}
		f.Options = read(t, f.path).Options
		if err := os.WriteFile(f.path, f.Format(), 0o644); err != nil {
			t.Fatal(err)
		}
		return counts{}
	}
	unexplained := map[int]bool{} // by line
	for _, side := range []struct {
		name   string
		start  func() *server
		expect func(*conformance.Exchange) *conformance.Answer
	}{
		{"Parse Server", func() *server { return startParseServer(t, f.Options, newDatabase(t, true)) }, func(e *conformance.Exchange) *conformance.Answer { return e.Want }},
		{"Parley on SQLite", func() *server { return startParley(t, f.Options, "sqlite://"+filepath.Join(t.TempDir(), "db")) }, (*conformance.Exchange).Expected},
		{"Parley on PostgreSQL", func() *server { return startParley(t, f.Options, newDatabase(t, false)) }, (*conformance.Exchange).ExpectedOnPostgres},
	} {
		s := side.start()
		r := &conformance.Runner{BaseURL: s.url, Client: newClient(t), Vars: vars, Expect: side.expect}
		failures, err := r.Run(t.Context(), f.File)
		if err != nil {
			t.Errorf("%s: %v", side.name, err)
		}
		for _, failure := range failures {
			unexplained[failure.Line] = true
			t.Errorf("%s: %v", side.name, failure)
		}
		s.stop(t)
	}
	var c counts
	for _, e := range f.Exchanges {
		c.exchanges++
		switch {
		case unexplained[e.Line]:
			c.unexplained++
		case e.Parley == nil && e.Postgres == nil:
			c.alike++
		case strings.HasSuffix(e.Divergence, ", as on MongoDB"):
			c.mongo++
		default:
			c.own++
		}
	}
	return c
}
