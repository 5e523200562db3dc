package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/pgtest"
)

// onceEndless is cloud code with a job that does not end when it runs for the first time.
const onceEndless = `
const fs = require('fs');
Parse.Cloud.job('work', request => {
  try {
    fs.writeFileSync('FLAG', '', { flag: 'wx' });
  } catch {
    return 'did it';
  }
  request.message('began');
  return new Promise(() => {});
});
`

// TestKilledInAJob kills one of two servers on one PostgreSQL while it runs a job of a schedule: the run is failed once the server has been
// silent long enough, and the schedule goes on, with one run for each of its times, though the server is started again.
func TestKilledInAJob(t *testing.T) {
	t.Parallel()
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
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "main.js")
	write(t, main, strings.Replace(onceEndless, "FLAG", filepath.Join(dir, "flag"), 1))
	uri := pgtest.Start(t, pgtest.Options{}).Database(t)
	start := func(name string) *process {
		return startServer(t, dir, options("--databaseURI="+uri+"&pool_max_conns=4", "--cloud="+main, "--node="+name,
			"--dataDir="+filepath.Join(dir, name), "--jobs.lostAfter=10")...)
	}
	key := []string{"X-Parse-Master-Key", masterKey}
	type run struct{ Source, Status, Message string }
	runs := func(p *process) []run {
		a, err := p.try(http.MethodGet, "/classes/_JobStatus?order=createdAt&where="+url.QueryEscape(`{"jobName":"work"}`), "", key...)
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ Results []run }
		if err := json.Unmarshal([]byte(a.text), &body); err != nil {
			t.Fatalf("%s: %v", a.text, err)
		}
		return body.Results
	}

	dies := start("dies")
	// It is due now and then each minute, the next time in 40 seconds.
	begin := time.Now().UTC().Add(-20 * time.Second)
	dies.do(http.StatusCreated, http.MethodPost, "/cloud_code/jobs", fmt.Sprintf(`{"job_schedule":{"jobName":"work","params":"{}","startAfter":%q,"repeatMinutes":1,"lastRun":%d}}`,
		begin.Format("2006-01-02T15:04:05.000Z"), begin.Add(-time.Minute).UnixMilli()), key...)
	dies.await("the job to begin", func() bool {
		found := runs(dies)
		return len(found) == 1 && found[0] == run{"schedule", "running", "began"}
	})
	if err := dies.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	dies.wait()
	other, again := start("other"), start("dies")
	other.await("the run to be failed", func() bool { return runs(other)[0].Status == "failed" })
	var got []run
	for deadline := time.Now().Add(4 * time.Minute); len(got) < 2 || got[1].Status == "running"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the schedule does not go on: %v", got)
		}
		got = runs(other)
	}
	want := []run{{"schedule", "failed", "The server stopped while the job ran."}, {"schedule", "succeeded", "did it"}}
	if diff := cmp.Diff(want, got[:2]); diff != "" {
		t.Errorf("the runs: %s", diff)
	}
	// Both servers saw each time, and one of them ran it.
	passed := int(time.Since(begin)/time.Minute) + 1
	if n := len(runs(other)); n > passed {
		t.Errorf("%d runs, want no more than the %d times that were due", n, passed)
	}
	other.end()
	again.end()
}
