package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential/credentialtest"
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

const looking = `const fs = require('fs');
const read = path => { try { return fs.readFileSync(path, 'latin1'); } catch (thrown) { return thrown.code; } };
Parse.Cloud.define('look', () => JSON.stringify([process.env, process.argv, process.execArgv]) + read('/proc/self/environ') + read('/proc/self/cmdline'));
Parse.Cloud.define('parent', () => (read('/proc/' + process.ppid + '/environ') === 'EACCES' ? 'refused' : 'readable'));
Parse.Cloud.define('pid', () => process.pid);
Parse.Cloud.define('loop', () => { for (;;) {} });
`

// TestCloudCodeOfServer: no credential of the server is within the reach of cloud code, and a worker that does nothing but loop ends with a server that is killed.
func TestCloudCodeOfServer(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed: cloud code in JavaScript needs it")
	}
	modules, err := filepath.Abs("../../interop/jssdk/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "parse")); err != nil {
		t.Skip("the SDK is not installed: run `make deps`")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.js"), []byte(looking), 0o600); err != nil {
		t.Fatal(err)
	}
	p := spawn(t, dir, []string{
		"NODE_PATH=" + modules, "NAMED_BY_THE_TEST=" + masterKey, "PARSE_SERVER_MASTER_KEY=env:NAMED_BY_THE_TEST", "PARSE_SERVER_READ_ONLY_MASTER_KEY=" + readOnlyKey,
		"PARSE_SERVER_MAINTENANCE_KEY=" + maintenanceKey, "PARSE_SERVER_APPLICATION_ID=" + appID, "OF_THE_APP=kept",
	}, "serve", "--host=127.0.0.1", "--port=0", "--cloud=./main.js")
	p.await("the server to begin", func() bool {
		m := served.FindStringSubmatch(p.out.String())
		if m != nil {
			p.url = "http://127.0.0.1:" + m[1] + m[2]
		}
		return m != nil
	})
	call := func(name string) string {
		var answer struct{ Result any }
		if err := json.Unmarshal([]byte(p.do(http.StatusOK, http.MethodPost, "/functions/"+name, `{}`).text), &answer); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(answer.Result)
	}
	if seen := call("look"); !strings.Contains(seen, `"OF_THE_APP":"kept"`) {
		t.Errorf("the code sees the environment %s", seen)
	} else if leaked := credentialtest.Leaks(seen, canaries...); leaked != nil {
		t.Errorf("the code sees %q", leaked)
	}
	switch seen := call("parent"); {
	case runtime.GOOS != "linux":
	case os.Getuid() == 0:
		t.Log("as root: whether a worker can read the environment of the server is looked at as another user only")
	case seen != "refused":
		t.Errorf("the environment of the server is %s, want refused", seen)
	}

	pid := call("pid")
	aside := make(chan struct{})
	go func() {
		defer close(aside)
		r, err := http.NewRequest(http.MethodPost, p.url+"/functions/loop", strings.NewReader("{}"))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("X-Parse-Application-Id", appID)
		if a, err := http.DefaultClient.Do(r); err == nil {
			a.Body.Close()
		}
	}()
	if runtime.GOOS == "linux" {
		eventually(t, "the worker to loop", func() bool { return stateOf(pid) == "R" })
	}
	p.cmd.Process.Kill()
	<-p.ended
	<-aside
	if runtime.GOOS != "linux" {
		t.Skip("that a process which loops ends with the one that started it is known of Linux only")
	}
	eventually(t, "the worker to end", func() bool { state := stateOf(pid); return state == "" || state == "Z" })
}

// stateOf is the letter of the state of a process, "" when there is none.
func stateOf(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(1, len(rest))]
}
