package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/parse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// modules is where `make deps` puts the SDK. Without it, or without Node, the test is skipped.
func modules(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed: cloud code in JavaScript needs it")
	}
	path, err := filepath.Abs("../../interop/jssdk/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "parse")); err != nil {
		t.Skip("the SDK is not installed: run `make deps`")
	}
	return path
}

// standIn is a server that counts 1 for the public, 2 for a user and 3 for the master.
type standIn struct {
	cloud.Server
	asked atomic.Int64
}

func (s *standIn) Ask(_ context.Context, ask cloud.Ask) (*cloud.Answer, error) {
	s.asked.Add(1)
	count := 1.0
	switch {
	case ask.Master:
		count = 3
	case ask.SessionToken == "r:ann":
		count = 2
	}
	return &cloud.Answer{Status: 200, Body: parse.NewMap("results", []any{}, "count", count, "result", ask.Path)}, nil
}

// bed is code that runs.
type bed struct {
	*Runtime
	hooks  *cloud.Hooks
	server *standIn
	log    *buffer
}

type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t testing.TB, o Options) *bed {
	t.Helper()
	b := &bed{server: &standIn{}, log: &buffer{}}
	path := modules(t)
	if o.Main == "" {
		o.Main = "testdata/faults.js"
	}
	o.Env = append(os.Environ(), "NODE_PATH="+path, "PARLEY_TEST_MARK=here")
	o.AppID, o.ServerURL = "app", "http://localhost:1337/parse"
	o.Log = slog.New(slog.NewTextHandler(b.log, nil))
	var err error
	if b.hooks, err = (*cloud.Code)(nil).Compile(cloud.Options{Log: o.Log}); err != nil {
		t.Fatal(err)
	}
	o.OnChange = func(code *cloud.Code) {
		if err := b.hooks.SetLayer(cloud.JavaScriptLayer, code); err != nil {
			t.Error(err)
		}
	}
	if b.Runtime, err = Start(t.Context(), cloud.NewClient(b.server), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.hooks.SetLayer(cloud.JavaScriptLayer, b.Code()); err != nil {
		t.Fatal(err)
	}
	return b
}

// call calls a function as a user.
func (b *bed) call(name string) (any, bool, error) {
	req := &cloud.FunctionRequest{Function: name, Params: &parse.Map{}, Header: http.Header{}}
	req.User, req.SessionToken, req.Context = parse.NewObject("_User", "objectId", "ann"), credential.NewSecret("r:ann"), &parse.Map{}
	req.Bind(b.server, false)
	return b.hooks.Call(context.Background(), req)
}

// TestFaults has everything go wrong that can: the call fails with an error that says so, and the next one succeeds.
func TestFaults(t *testing.T) {
	const late = "The request was not completed in time."
	for _, c := range []struct {
		name     string
		code     parse.Code
		text     string // begin of it
		restarts bool
	}{
		{"throw", 141, "thrown", false},
		{"object", 141, `{"a":1}`, false},
		{"reject", 777, "rejected", false},
		{"nothing", 141, "Script failed.", false},
		{"loop", 124, late, true},
		{"lateLoop", 124, late, true},
		{"slow", 124, late, false},
		{"forever", 124, late, false},
		{"exit", 141, "The cloud code did not finish: its process was ended by process.exit in function exit.", true},
		{"abort", 141, "The cloud code did not finish: its process ended (signal: aborted", true},
		{"kill", 141, "The cloud code did not finish: its process ended (signal: killed", true},
		{"allocate", 141, "The cloud code did not finish: its process ran out of memory.", true},
		{"unhandled", 141, "nobody waits", false},
		{"timer", 141, "in a timer", false},
		{"circular", 141, "The result cannot be encoded: ", false},
		{"bigint", 141, "The result cannot be encoded: ", false},
		{"deep", 141, "What the cloud code says cannot be read: ", false},
		{"huge", 141, "The result cannot be encoded: ", false},
		{"unsaved", 141, "The result cannot be encoded: Cannot create a pointer to an unsaved ", false},
		{"giant", 141, "The cloud code did not finish: its process said something that nobody understands.", true},
		{"closes", 141, "The cloud code did not finish: its process ", true},
		{"buffers", 141, "The cloud code did not finish: its process was ended, because it took more than 456 MiB of memory.", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.name == "buffers" && runtime.GOOS != "linux" {
				t.Skip("what a process takes beside its heap is looked at on Linux only")
			}
			o := Options{MaxMemory: 200, Grace: time.Second, Timeout: 20 * time.Second}
			if c.name == "huge" {
				o.MaxMemory = 1000
			}
			if c.code == 124 {
				o.Timeout = 2 * time.Second
			}
			b := start(t, o)
			_, _, err := b.call(c.name)
			var told *parse.Error
			if !errors.As(err, &told) || told.Code != c.code || !strings.HasPrefix(told.Message, c.text) {
				t.Fatalf("%s = %v, want code %d, %s\n%s", c.name, err, c.code, c.text, b.log)
			}
			if result := b.eventually(t, "ok"); result != "ok" {
				t.Errorf("afterwards ok = %v", result)
			}
			if restarts := b.Status().Restarts; (restarts > 0) != c.restarts {
				t.Errorf("%d restarts, want some: %t\n%s", restarts, c.restarts, b.log)
			}
		})
	}
}

// eventually calls a function until it does not run out of time: the machine may be slow, and a worker that loops is noticed later.
func (b *bed) eventually(t *testing.T, name string) any {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		result, _, err := b.call(name)
		if err == nil {
			return result
		}
		if time.Now().After(end) {
			t.Fatalf("%s = %v\n%s", name, err, b.log)
		}
	}
}

// TestOthersSurvive: of two calls, the one that ends the process fails, and so does the one that it was busy with; what had not begun is done by the next process.
func TestOthersSurvive(t *testing.T) {
	b := start(t, Options{Timeout: time.Minute})
	slow := make(chan error, 1)
	go func() {
		_, _, err := b.call("slow")
		slow <- err
	}()
	for b.Status().Calls == 0 {
		time.Sleep(time.Millisecond)
	}
	b.call("state") // slow has begun
	_, _, err := b.call("exit")
	if !errors.Is(err, parse.ScriptFailed) {
		t.Errorf("exit = %v, want 141", err)
	}
	if err := <-slow; !errors.Is(err, parse.ScriptFailed) {
		t.Errorf("slow = %v, want 141", err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if result, _, err := b.call("ok"); err != nil || result != "ok" {
				t.Errorf("ok while the worker starts anew = %v, %v", result, err)
			}
		})
	}
	all.Wait()
	if n, _, err := b.call("state"); err != nil || n != 1.0 {
		t.Errorf("state = %v, %v, want 1: the process is new", n, err)
	}
}

// TestGarbage: what a worker says that means nothing is no harm to it or to others.
func TestGarbage(t *testing.T) {
	b := start(t, Options{Timeout: time.Minute})
	for range 2 {
		if result, _, err := b.call("garbage"); result != "said" || err != nil {
			t.Fatalf("garbage = %v, %v, want said\n%s", result, err, b.log)
		}
	}
	if result, _, err := b.call("ok"); result != "ok" || err != nil || b.Status().Restarts != 0 {
		t.Errorf("ok = %v, %v after %d restarts, want ok after none", result, err, b.Status().Restarts)
	}
}

// TestManyCallsWhenAWorkerDies: each of a hundred calls that are under way ends, with its result or with the error that says why there is none.
func TestManyCallsWhenAWorkerDies(t *testing.T) {
	b := start(t, Options{Timeout: time.Minute, Workers: 2})
	var all sync.WaitGroup
	var done, lost atomic.Int64
	for i := range 100 {
		all.Go(func() {
			name := "brief"
			if i == 50 {
				name = "kill"
			}
			result, _, err := b.call(name)
			var told *parse.Error
			switch {
			case err == nil && result == "brief":
				done.Add(1)
			case errors.As(err, &told) && strings.HasPrefix(told.Message, "The cloud code did not finish: its process ended (signal: killed"):
				lost.Add(1)
			default:
				t.Errorf("%s = %v, %v", name, result, err)
			}
		})
	}
	all.Wait()
	if done.Load() == 0 || lost.Load() == 0 {
		t.Errorf("%d calls were done and %d lost, want some of both", done.Load(), lost.Load())
	}
	if result := b.eventually(t, "ok"); result != "ok" {
		t.Errorf("afterwards ok = %v", result)
	}
}

// TestRights: what the code asks has the rights that it names.
func TestRights(t *testing.T) {
	b := start(t, Options{})
	result, _, err := b.call("asks")
	if want := `{"public":1,"master":3,"user":2,"key":true}`; err != nil || string(parse.Marshal(result)) != want {
		t.Errorf("asks = %s, %v, want %s", parse.Marshal(result), err, want)
	}
	if result, given, err := b.call("null"); result != nil || !given || err != nil {
		t.Errorf("null = %v, %t, %v, want a result that is null", result, given, err)
	}
	var told *parse.Error
	if _, _, err := b.call("object"); !errors.As(err, &told) || string(parse.Marshal(told.Value)) != `{"a":1}` {
		t.Errorf("object = %v, want an error that holds the object", err)
	}
	if result, _, err := b.call("env"); result != "here" || err != nil {
		t.Errorf("env = %v, %v", result, err)
	}
}

// TestForm: a file of a form is a Buffer, and what only looks like Bytes is not.
func TestForm(t *testing.T) {
	b := start(t, Options{})
	file := parse.NewMap("filename", "a.txt", "contentType", "text/plain", "data", parse.Bytes("hello"))
	req := &cloud.FunctionRequest{Function: "form", Params: parse.NewMap("file", file, "bytes", parse.Bytes("x"), "deep", parse.NewMap("file", file)), Header: http.Header{}}
	req.Context = &parse.Map{}
	req.Bind(b.server, false)
	result, _, err := b.hooks.Call(t.Context(), req)
	if want := `"a.txt text/plain hello Bytes Bytes"`; err != nil || string(parse.Marshal(result)) != want {
		t.Errorf("form = %s, %v, want %s", parse.Marshal(result), err, want)
	}
}

// TestForeverEnds: code that nobody waits for is not answered any more.
func TestForeverEnds(t *testing.T) {
	b := start(t, Options{Timeout: time.Second})
	if _, _, err := b.call("forever"); !errors.Is(err, parse.Timeout) {
		t.Fatalf("forever = %v, want 124", err)
	}
	b.eventually(t, "ok") // the cancellation was read before this call
	before := b.server.asked.Load()
	b.eventually(t, "ok")
	b.eventually(t, "ok")
	if after := b.server.asked.Load(); after > before+1 {
		t.Errorf("it has asked %d times more", after-before)
	}
}

// TestLog: what the code says is in the log with its level; a flood of it holds up nothing.
func TestLog(t *testing.T) {
	b := start(t, Options{Timeout: time.Minute})
	if _, _, err := b.call("log"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`level=INFO msg="from the log" cloud="function log"`, `level=WARN msg="from the console" cloud="function log"`} {
		for end := time.Now().Add(20 * time.Second); !strings.Contains(b.log.String(), want); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the log has no %s:\n%s", want, b.log)
			}
		}
	}
	if result, _, err := b.call("chatty"); err != nil || result != "said" {
		t.Errorf("chatty = %v, %v", result, err)
	}
}

// TestNoOrphans: a worker ends with the server.
func TestNoOrphans(t *testing.T) {
	b := start(t, Options{Workers: 2})
	if s := b.Status(); s.Ready != 2 || s.Workers != 2 || !strings.HasPrefix(s.Node, "v") || !strings.HasPrefix(s.SDK, "js") {
		t.Errorf("Status() = %+v", s)
	}
	workers := slices.Clone(b.pool.Load().workers)
	b.Close()
	for _, w := range workers {
		if err := syscall.Kill(w.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("worker %d is still there: %v", w.number, err)
		}
	}
	if _, _, err := b.call("ok"); !errors.Is(err, parse.ScriptFailed) {
		t.Errorf("a call after Close = %v, want 141", err)
	}
}

// write puts files into a folder that finds the SDK.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	next := filepath.Join(dir, name+".new") // a file that changes is there whole
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestReload: changed code takes over, code that is broken does not.
func TestReload(t *testing.T) {
	modules(t)
	dir := t.TempDir()
	write(t, dir, "part.js", "module.exports = 'one';")
	write(t, dir, "main.js", "const part = require('./part'); Parse.Cloud.define('ok', () => part);")
	b := start(t, Options{Main: filepath.Join(dir, "main"), Watch: true, Every: 20 * time.Millisecond})
	if got, _, err := b.call("ok"); got != "one" || err != nil {
		t.Fatalf("ok = %v, %v, want one", got, err)
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not within a minute\n%s", what, b.log)
			}
		}
	}
	write(t, dir, "part.js", "module.exports = 'three';")
	until("new code", func() bool { got, _, err := b.call("ok"); return err == nil && got == "three" })
	write(t, dir, "main.js", "Parse.Cloud.define('ok', () => { broken")
	until("the broken code is told of", func() bool { return strings.Contains(b.log.String(), "the old one stays") })
	if got, _, err := b.call("ok"); got != "three" || err != nil {
		t.Errorf("ok = %v, %v, want three", got, err)
	}
	write(t, dir, "main.js", "Parse.Cloud.define('other', () => 4);")
	until("another function", func() bool { got, _, err := b.call("other"); return err == nil && got == 4.0 })
	if _, _, err := b.call("ok"); err == nil || err.Error() != parse.Errorf(parse.ScriptFailed, `Invalid function: "ok"`).Error() {
		t.Errorf("a function that is no more = %v", err)
	}
	if n := b.Status().Reloads; n != 2 {
		t.Errorf("%d reloads, want 2", n)
	}
}

// TestReloadUnderCalls: no call fails because the code is loaded anew.
func TestReloadUnderCalls(t *testing.T) {
	modules(t)
	dir := t.TempDir()
	text := func(version int) string {
		return fmt.Sprintf("Parse.Cloud.define('brief', async () => { await new Promise(done => setTimeout(done, 5)); return %d; });", version)
	}
	write(t, dir, "main.js", text(0))
	b := start(t, Options{Main: filepath.Join(dir, "main.js"), Watch: true, Every: 20 * time.Millisecond, Timeout: time.Minute})
	ctx, stop := context.WithCancel(t.Context())
	var newest atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for ctx.Err() == nil {
				result, _, err := b.call("brief")
				version, ok := result.(float64)
				if err != nil || !ok {
					t.Errorf("brief = %v, %v", result, err)
					return
				}
				for seen := newest.Load(); int64(version) > seen && !newest.CompareAndSwap(seen, int64(version)); seen = newest.Load() {
				}
			}
		})
	}
	for version := 1; version <= 3; version++ {
		write(t, dir, "main.js", text(version))
		for end := time.Now().Add(time.Minute); newest.Load() < int64(version); time.Sleep(5 * time.Millisecond) {
			if t.Failed() || time.Now().After(end) {
				t.Errorf("version %d does not run\n%s", version, b.log)
				version = 3
				break
			}
		}
	}
	stop()
	all.Wait()
}

// TestLoading: files of both kinds are loaded, and what cannot be says why.
func TestLoading(t *testing.T) {
	path := modules(t)
	for _, c := range []struct {
		file, text string
		package_   string
		want       string // registration, or begin of the error
	}{
		{"main.js", "Parse.Cloud.define('a', () => 1);", "", "function a"},
		{"main.js", "import fs from 'fs'; await 1; Parse.Cloud.define('b' + typeof fs.readFileSync, () => 1);", `{"type":"module"}`, "function bfunction"},
		{"main.mjs", "Parse.Cloud.beforeSave(Parse.User, () => {}, {requireUser: true}); export {};", "", "beforeSave of _User (requireUser)"},
		{"main.cjs", "const P = require('parse/node'); P.Cloud.beforeSave(P.File, () => {}, () => {});", "", "beforeSave of @File (a function)"},
		{"main.js", "class A extends Parse.Object { constructor() { super('Alpha'); } } A.className = 'Alpha'; Parse.Cloud.afterFind(A, () => {});", "", "afterFind of Alpha"},
		{"main.js", "Parse.Cloud.job('j', () => {});", "", "job j"},
		{"main.js", "Parse.Cloud.beforeLogin(() => {}); ", "", "beforeLogin of _User"},
		{"main.js", "Parse.Cloud.beforeConnect(() => {}); ", "", "beforeConnect of @Connect"},
		{"main.js", "Parse.Cloud.onLiveQueryEvent(() => {}); ", "", "onLiveQueryEvent"},
		{"main.js", "throw new Error('on purpose');", "", "the cloud code cannot be loaded: Error: on purpose"},
		{"main.js", "const a = ;", "", "the cloud code cannot be loaded: DIR/main.js:1\nconst a = ;"},
		{"main.js", "require('no-such-module');", "", "the cloud code cannot be loaded: Error: Cannot find module 'no-such-module'"},
		{"main.js", "Parse.Cloud.beforeSave('_Session', () => {});", "", "the cloud code cannot be loaded: Only the afterLogout trigger is allowed for the _Session class."},
		{"main.js", "Parse.Cloud.define('a', () => {}, {requireUsers: true});", "", "the cloud code cannot be loaded: requireUsers is not a supported parameter for Cloud Function validations."},
		{"main.js", "process.exit(5);", "", "the cloud code cannot be loaded: its process was ended by process.exit"},
		{"main.js", "Parse.Cloud.beforeSave('not a class', () => {});", "", "problem: "},
	} {
		dir := t.TempDir()
		write(t, dir, c.file, c.text)
		if c.package_ != "" {
			write(t, dir, "package.json", c.package_)
		}
		report, err := Check(t.Context(), Options{Main: filepath.Join(dir, c.file), Env: append(os.Environ(), "NODE_PATH="+path)})
		got := strings.Replace(fmt.Sprint(err), dir, "DIR", 1)
		if err == nil {
			got = ""
			for _, p := range report.Problems {
				got += "problem: " + p
			}
			if got == "" {
				for _, r := range report.Registrations {
					got += r.String()
				}
			}
		}
		if err == nil && got != c.want && !strings.HasPrefix(c.want, "problem") || !strings.HasPrefix(got, c.want) {
			t.Errorf("Check(%s) = %s, want %s", c.text, got, c.want)
		}
	}
}

// TestMissing: what is not installed is told with the command that mends it.
func TestMissing(t *testing.T) {
	modules(t)
	dir := t.TempDir()
	write(t, dir, "main.js", "")
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Main: filepath.Join(dir, "main.js"), Env: []string{"PATH=" + os.Getenv("PATH")}}, "the Parse SDK is not installed beside the cloud code: run: cd " + real + " && npm install parse"},
		{Options{Main: filepath.Join(dir, "nothing.js")}, "there is no cloud code in " + filepath.Join(dir, "nothing.js") + ": correct the option cloud, which names the main file"},
		{Options{Main: filepath.Join(dir, "main.js"), Node: "no-such-node"}, "cloud code needs Node.js, and there is no program no-such-node: correct the option cloudNode"},
	} {
		_, err := Start(t.Context(), cloud.NewClient(nil), c.o)
		var hint *Hint
		if !errors.As(err, &hint) || err.Error() != c.want {
			t.Errorf("Start(%s) = %v, want %s", c.o.Main, err, c.want)
		}
	}
}

// BenchmarkFunction is the round trip of an empty function, one after the other and many at once.
func BenchmarkFunction(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "pipelined"}[parallel], func(b *testing.B) {
			bed := start(b, Options{})
			b.ReportAllocs()
			if !parallel {
				for b.Loop() {
					if _, _, err := bed.call("ok"); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := bed.call("ok"); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
