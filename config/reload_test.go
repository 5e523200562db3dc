package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every option that a reload puts into effect is one that works.
func TestReloadedOptionsExist(t *testing.T) {
	works := map[string]bool{}
	for _, o := range Options() {
		works[o.Name] = o.Effect == Works
	}
	for _, name := range reloaded {
		if !works[name] {
			t.Errorf("%s is no option that works", name)
		}
	}
	for _, k := range keyOptions(&new(Built).Config) {
		if !slices.Contains(reloaded, k.name) {
			t.Errorf("a reload forgets %s", k.name)
		}
	}
}

// A Reloader tells what changed since the last reading that was accepted, and what needs a restart since the start; the sources of
// options that say the same are the same.
func TestReloader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.json")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	put(`{"appId":"a","masterKey":"file:///one","restAPIKey":"a literal key of this test"}`)
	in := Input{File: path, Flags: map[string]string{"host": "127.0.0.1"}}
	values, err := Read(in)
	if err != nil {
		t.Fatal(err)
	}
	built, err := values.Build(log)
	if err != nil {
		t.Fatal(err)
	}
	r := built.Reloader(in, values, Generated{})
	type told struct {
		Changed, Restart []string
		Same, SameSource bool
	}
	master := built.Config.MasterKey
	for i, step := range []struct {
		text   string
		want   told
		accept bool
	}{
		{`{"appId":"a","masterKey":"file:///one","restAPIKey":"a literal key of this test"}`, told{Same: true, SameSource: true}, false},
		{`{"appId":"a","masterKey":"file:///two","restAPIKey":"a literal key of this test"}`, told{Changed: []string{"masterKey"}}, false},
		{`{"appId":"a","masterKey":"file:///one","masterKeyIps":["10.0.0.1"]}`, told{Changed: []string{"masterKeyIps", "restAPIKey"}, SameSource: true}, true},
		{`{"appId":"a","masterKey":"file:///one"}`, told{Changed: []string{"masterKeyIps"}, SameSource: true}, false},
		{`{"appId":"b","masterKey":"file:///one","masterKeyIps":["10.0.0.1"],"databaseURI":"memory:","port":7}`, told{Restart: []string{"appId", "databaseURI", "port"}, SameSource: true}, true},
		{`{"appId":"b","masterKey":"file:///one","masterKeyIps":["10.0.0.1"],"databaseURI":"memory:","port":7}`, told{Restart: []string{"appId", "databaseURI", "port"}, Same: true, SameSource: true}, true},
		{`{"appId":"a","masterKey":"file:///two"}`, told{Changed: []string{"masterKey", "masterKeyIps"}}, true},
	} {
		put(step.text)
		n, err := r.Read(log)
		if err != nil {
			t.Fatalf("step %d: Read failed: %v", i, err)
		}
		got := told{n.Changed, n.Restart, n.Same, n.Config.MasterKey == master}
		slices.Sort(got.Changed)
		slices.Sort(got.Restart)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("step %d: Read of %s (-want +got):\n%s", i, step.text, diff)
		}
		if step.accept {
			r.Accept(n)
		}
	}
	for _, bad := range []string{``, `{`, `{"appId":"a"}`, `{"appId":"a","masterKey":""}`, `{"appId":"a","masterKey":"file:///one","mastrKeyIps":[]}`} {
		put(bad)
		if n, err := r.Read(log); err == nil {
			t.Errorf("Read of %q = %+v, want an error", bad, n)
		}
	}
}
