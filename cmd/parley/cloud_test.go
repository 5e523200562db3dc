package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCloudCheck(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed: cloud code in JavaScript needs it")
	}
	if _, err := os.Stat("../../interop/jssdk/node_modules/parse"); err != nil {
		t.Skip("the SDK is not installed: run `make deps`")
	}
	var out, errs strings.Builder
	if err := run(t.Context(), []string{"cloud", "check", "../../interop/jssdk/cloud/main.js"}, nil, &out, &errs); err != nil {
		t.Fatalf("cloud check = %v\n%s", err, errs.String())
	}
	for _, want := range []string{"main.js (Node.js v", "\n  function hello\n", "\n  job recount\n", "\n  beforeSave of Review (requireUser, fields)\n", "\n  beforeLogin of _User\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("cloud check says nothing of %q:\n%s", want, out.String())
		}
	}

	dir := t.TempDir()
	modules, err := filepath.Abs("../../interop/jssdk/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "main.js")
	if err := os.WriteFile(file, []byte("Parse.Cloud.define('a', () => 1);\nParse.Cloud.define('a', () => 2);\nParse.Cloud.afterSave('no class', () => {});"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	err = run(t.Context(), []string{"cloud", "check", "--json", file}, nil, &out, &errs)
	var report struct {
		Registrations []map[string]any
		Problems      []string
		Warnings      []string
	}
	if e := json.Unmarshal([]byte(out.String()), &report); e != nil {
		t.Fatalf("%v: %s", e, out.String())
	}
	if err == nil || len(report.Problems) != 1 || len(report.Warnings) != 1 {
		t.Errorf("a file with a problem and a warning = %v, %s", err, out.String())
	}
	want := []map[string]any{{"what": "function", "name": "a"}, {"what": "trigger", "kind": "afterSave", "class": "no class"}}
	if diff := cmp.Diff(want, report.Registrations); diff != "" {
		t.Errorf("registrations: %s", diff)
	}
}
