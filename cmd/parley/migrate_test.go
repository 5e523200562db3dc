package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/internal/migrate"
	"github.com/parley-backend/parley/internal/pgtest"
)

// TestMigrateCopy moves what a server stored in SQLite to PostgreSQL by copies of which most are killed, serves it there, and moves it back.
func TestMigrateCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, back := "sqlite://"+filepath.Join(dir, "app.db"), "sqlite://"+filepath.Join(dir, "back.db")
	target := []string{"TARGET=" + pgtest.Start(t, pgtest.Options{Own: true}).URI("", "", "")}
	p := startServer(t, dir, options("--databaseURI="+file)...)
	p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"ann","password":"secret"}`)
	var requests []string
	for i := range 50 {
		requests = append(requests, fmt.Sprintf(`{"method":"POST","path":"/parse/classes/Thing","body":{"n":%d,"s":"%s","list":[1,{"a":null}],"at":{"__type":"Date","iso":"2020-01-01T00:00:00.123Z"}}}`, i, strings.Repeat("x", 500)))
	}
	for range 60 {
		p.do(http.StatusOK, http.MethodPost, "/batch", `{"requests":[`+strings.Join(requests, ",")+`]}`, asMaster...)
	}
	p.end()

	unfinished(t, file, strings.TrimPrefix(target[0], "TARGET="))
	c := spawn(t, dir, target, append([]string{"serve", "--port=0", "--databaseURI=env:TARGET"}, options()...)...)
	if code := c.wait(); code == 0 || !strings.Contains(c.lastLine(), "unfinished copy of "+file) {
		t.Errorf("serving an unfinished copy = %d, %s, want an error that says so", code, c.lastLine())
	}
	for range 6 {
		c = spawn(t, dir, target, "migrate", "copy", file, "env:TARGET")
		select {
		case <-c.ended:
		case <-time.After(rand.N(300 * time.Millisecond)):
			c.cmd.Process.Kill()
		}
		if c.wait() == 0 {
			break
		}
	}
	var first, second struct {
		Classes []migrate.Class `json:"classes"`
		Resumed bool            `json:"resumed"`
	}
	run := func(to any, from, target string, env []string) {
		t.Helper()
		c := spawn(t, dir, env, "migrate", "copy", "--json", from, target)
		if code := c.wait(); code != 0 {
			t.Fatalf("migrate copy = %d\n%s", code, c.errs)
		}
		if err := json.Unmarshal([]byte(c.out.String()), to); err != nil {
			t.Fatalf("migrate copy printed %s: %v", c.out, err)
		}
		if !strings.Contains(c.errs.String(), "Thing: 3000 objects copied and compared, ") {
			t.Errorf("migrate copy tells %s, want a line for Thing", c.errs)
		}
	}
	if c.wait() != 0 {
		if run(&first, file, "env:TARGET", target); !first.Resumed {
			t.Error("the copy did not go on with what the ones before it did")
		}
	}
	q := startServer(t, t.TempDir(), options("--databaseURI="+strings.TrimPrefix(target[0], "TARGET="))...)
	q.do(http.StatusOK, http.MethodPost, "/login", `{"username":"ann","password":"secret"}`)
	if got := q.do(http.StatusOK, http.MethodGet, "/classes/Thing?count=1&limit=0", "").body["count"]; got != 3000.0 {
		t.Errorf("the copy holds %v objects, want 3000", got)
	}
	q.end()
	run(&first, "env:TARGET", back, target)
	run(&second, back, "sqlite://"+filepath.Join(dir, "third.db"), nil)
	if diff := cmp.Diff(first.Classes, second.Classes); diff != "" || len(first.Classes) < 3 {
		t.Errorf("copies differ: (-PostgreSQL to SQLite +SQLite to SQLite)\n%s", diff)
	}
	again := spawn(t, dir, target, "migrate", "copy", file, "env:TARGET")
	if code := again.wait(); code != 1 || !strings.Contains(again.lastLine(), "the target is not empty") {
		t.Errorf("a copy into what is there = %d, %s, want an error", code, again.lastLine())
	}
	none := spawn(t, dir, nil, "migrate", "copy", "sqlite://none.db", "sqlite://other.db")
	if code := none.wait(); code != 1 || !strings.Contains(none.lastLine(), "FROM: there is no database at none.db") {
		t.Errorf("a copy of nothing = %d, %s, want an error", code, none.lastLine())
	}
}

// unfinished begins a copy and ends it after its first step.
func unfinished(t *testing.T, source, target string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	from, name, endFrom, err := config.OpenDatabase(ctx, source, "", false, log)
	if err != nil {
		t.Fatal(err)
	}
	defer endFrom()
	to, _, endTo, err := config.OpenDatabase(ctx, target, "", true, log)
	if err != nil {
		t.Fatal(err)
	}
	defer endTo()
	if _, err := migrate.Copy(ctx, from, to, migrate.Options{Source: name, Progress: func(migrate.Progress) { cancel() }}); err == nil {
		t.Fatal("the copy was not ended")
	}
}

// TestBar: on a terminal the progress is one line that is drawn over.
func TestBar(t *testing.T) {
	var text strings.Builder
	b := &bar{w: &text, moving: true, began: time.Now()}
	b.show(migrate.Progress{Class: "Thing", Done: 5, Total: 10, AllTotal: 20})
	b.show(migrate.Progress{Class: "A", Done: 10, Total: 10, AllDone: 20, AllTotal: 20, Finished: true})
	b.end()
	want := "\r[#######.......................] 25 %  copying Thing 5 of 10\r[##############################] 100 %  copying A 10 of 10  \n"
	if text.String() != want {
		t.Errorf("the bar = %q, want %q", text.String(), want)
	}
}

// TestMigrateCheck: nothing is wrong with what Parley made; what PostgreSQL could not hold is an error with a status.
func TestMigrateCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := []string{"TARGET=" + pgtest.Start(t, pgtest.Options{}).Database(t)}
	file := "sqlite://" + filepath.Join(dir, "app.db")
	check := func(want int, wantOut string, args ...string) {
		t.Helper()
		c := spawn(t, dir, target, append([]string{"migrate", "check"}, args...)...)
		if code := c.wait(); code != want || !strings.Contains(c.out.String(), wantOut) {
			t.Errorf("migrate check %q = %d, %s%s, want %d and %s", args, code, c.out, c.errs, want, wantOut)
		}
	}
	check(1, "error    database: there is no table _SCHEMA", "env:TARGET")
	p := startServer(t, dir, options("--databaseURI="+strings.TrimPrefix(target[0], "TARGET="))...)
	p.do(http.StatusCreated, http.MethodPost, "/classes/Thing", `{"n":1}`)
	p.end()
	check(0, "everything carries over\n", "env:TARGET")
	check(0, `"errors": 0`, "--json", "env:TARGET")

	p = startServer(t, dir, options("--databaseURI="+file)...)
	id := p.do(http.StatusCreated, http.MethodPost, "/classes/Thing", `{"list":["a\u0000b",{"k":1}]}`).body["objectId"].(string)
	p.end()
	check(1, "error    object Thing/"+id+": the field list holds the character U+0000, which postgres cannot store\n", file)
	check(1, "", "sqlite://none.db")
}
