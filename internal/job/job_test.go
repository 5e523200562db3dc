package job

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one server of an application.
func node(t *testing.T, store storage.Adapter, code *cloud.Code, change ...func(*Config)) *Jobs {
	t.Helper()
	all, err := schemas.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := code.Compile(cloud.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Store: store, Schemas: all, Hooks: hooks, Request: func() cloud.Request { return cloud.Request{Master: true} }, Grace: time.Second}
	for _, f := range change {
		f(&cfg)
	}
	j := New(cfg)
	j.Start()
	t.Cleanup(j.Stop)
	return j
}

func (j *Jobs) rows(t *testing.T, class string) []*parse.Object {
	t.Helper()
	c, err := j.class(t.Context(), class)
	if err != nil {
		t.Fatal(err)
	}
	var rows []*parse.Object
	for row, err := range j.cfg.Store.Find(t.Context(), c, &query.Find{ClassName: class, Order: []query.Order{{Key: "createdAt"}}, Limit: -1}) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func (j *Jobs) status(t *testing.T, id string) string {
	t.Helper()
	for _, row := range j.rows(t, statusClass) {
		if row.ID() == id {
			return fmt.Sprint(row.Get("status"), ": ", row.Get("message"))
		}
	}
	return "none"
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		defer store.Close()
		var code cloud.Code
		code.Job("good", func(ctx context.Context, req *cloud.JobRequest) error {
			return req.Message(ctx, "did "+req.Params.String("what"))
		})
		code.Job("bad", func(context.Context, *cloud.JobRequest) error { return errors.New("broken") })
		code.Job("panics", func(context.Context, *cloud.JobRequest) error { panic("secret") })
		code.Job("waits", func(ctx context.Context, req *cloud.JobRequest) error { <-ctx.Done(); return ctx.Err() })
		code.Job("tells", func(ctx context.Context, req *cloud.JobRequest) error {
			req.Outcome = "all"
			return req.Message(ctx, "half")
		})
		code.Job("tellsAndFails", func(ctx context.Context, req *cloud.JobRequest) error {
			req.Outcome = "all"
			return errors.New("broken")
		})
		code.Job("quiet", func(context.Context, *cloud.JobRequest) error { return nil })
		code.Job("deaf", func(context.Context, *cloud.JobRequest) error { time.Sleep(time.Minute); return nil })
		j := node(t, store, &code)
		run := func(name string) string {
			id, err := j.Run(t.Context(), name, "api", parse.NewMap("what", "it"), cloud.Request{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return id
		}
		for name, want := range map[string]string{
			"good": "succeeded: did it", "bad": "failed: broken", "panics": "failed: Script failed. Unknown error.", "quiet": "succeeded: <nil>", "tells": "succeeded: all", "tellsAndFails": "failed: broken", "waits": "running: <nil>",
		} {
			if got := j.status(t, run(name)); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		if _, err := j.Run(t.Context(), "none", "api", nil, cloud.Request{}); err == nil || err.Error() != "141 Invalid job." {
			t.Errorf("Run(none) = %v, want 141 Invalid job.", err)
		}
		// Another server cancels.
		other := node(t, store, &cloud.Code{})
		id := run("waits")
		if err := other.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * beat)
		if got, want := j.status(t, id), "failed: The job was cancelled."; got != want {
			t.Errorf("cancelled: %s, want %s", got, want)
		}
		if err := other.Cancel(t.Context(), id); !errors.Is(err, parse.ObjectNotFound) {
			t.Errorf("Cancel() twice = %v, want ObjectNotFound", err)
		}
		waits, deaf := run("waits"), run("deaf")
		j.Stop()
		for _, id := range []string{waits, deaf} {
			if got, want := j.status(t, id), "failed: The server stopped while the job ran."; got != want {
				t.Errorf("stopped: %s, want %s", got, want)
			}
		}
		time.Sleep(2 * time.Minute) // the deaf one ends, and changes nothing
		if got, want := j.status(t, deaf), "failed: The server stopped while the job ran."; got != want {
			t.Errorf("ended late: %s, want %s", got, want)
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		defer store.Close()
		code := cloud.Code{JobTimeout: time.Minute}
		code.Job("waits", func(ctx context.Context, req *cloud.JobRequest) error { <-ctx.Done(); return ctx.Err() })
		j := node(t, store, &code)
		id, err := j.Run(t.Context(), "waits", "api", &parse.Map{}, cloud.Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got, want := j.status(t, id), "failed: The job was not done in time."; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A job of a server that is gone does not run for ever; one that runs long is not mistaken for it.
func TestServerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		defer store.Close()
		var code cloud.Code
		code.Job("long", func(ctx context.Context, req *cloud.JobRequest) error { <-ctx.Done(); return ctx.Err() })
		j := node(t, store, &code)
		id, err := j.Run(t.Context(), "long", "api", &parse.Map{}, cloud.Request{})
		if err != nil {
			t.Fatal(err)
		}
		class, err := j.class(t.Context(), statusClass)
		if err != nil {
			t.Fatal(err)
		}
		now := parse.DateOf(time.Now())
		if err := store.Create(t.Context(), class, parse.NewObject(statusClass, "objectId", "gone", "createdAt", now, "updatedAt", now, "status", running)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if got, want := j.status(t, "gone"), "failed: The server stopped while the job ran."; got != want {
			t.Errorf("gone: %s, want %s", got, want)
		}
		if got, want := j.status(t, id), "running: <nil>"; got != want {
			t.Errorf("long: %s, want %s", got, want)
		}
	})
}

// Of each time there is one run, however many servers there are, whatever their clocks say, and though one of them dies.
func TestScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		defer store.Close()
		var runs atomic.Int64
		var mu sync.Mutex
		times := map[string]int{}
		code := func() *cloud.Code {
			var code cloud.Code
			code.Job("tick", func(_ context.Context, req *cloud.JobRequest) error {
				runs.Add(1)
				mu.Lock()
				defer mu.Unlock()
				times[req.ID]++
				if req.Params.String("a") != "b" || !req.Master {
					return errors.New("what is this?")
				}
				return nil
			})
			return &code
		}
		skewed := func(by time.Duration) func(*Config) {
			return func(c *Config) { c.Now = func() time.Time { return time.Now().Add(by) } }
		}
		a := node(t, store, code())
		node(t, store, code(), skewed(20*time.Second))
		dies := node(t, store, code(), skewed(-20*time.Second))
		node(t, store, &cloud.Code{}) // knows no job
		idle := node(t, store, code(), func(c *Config) { c.NoScheduler = true })
		class, err := a.class(t.Context(), scheduleClass)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now().UTC().Truncate(time.Hour).Add(time.Hour)
		now := parse.DateOf(time.Now())
		row := parse.NewObject(scheduleClass, "objectId", "s", "createdAt", now, "updatedAt", now, "jobName", "tick", "params", `{"a":"b"}`, "startAfter", parse.DateOf(begin).String(), "repeatMinutes", 10.0)
		other := parse.NewObject(scheduleClass, "objectId", "unknown", "createdAt", now, "updatedAt", now, "jobName", "nope", "startAfter", parse.DateOf(begin).String())
		if err := store.Create(t.Context(), class, row, other); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(begin.Add(time.Hour + time.Minute))) // 00, 10, … 60 minutes
		dies.Stop()
		time.Sleep(time.Hour)
		if got, want := runs.Load(), int64(13); got != want {
			t.Errorf("%d runs, want %d", got, want)
		}
		for _, row := range idle.rows(t, statusClass) {
			if row.String("status") != succeeded || row.String("source") != "schedule" || times[row.ID()] != 1 {
				t.Errorf("a run is %v", row)
			}
		}
		last := parse.DateOf(begin.Add(2 * time.Hour)).Time().UnixMilli()
		if got := idle.rows(t, scheduleClass)[0].Get("lastRun"); got != float64(last) {
			t.Errorf("lastRun = %v, want %v", got, last)
		}
	})
}

// A schedule whose run goes on leaves its next time out, unless runs may overlap; other params are another run.
func TestOverlap(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := memory.New()
			defer store.Close()
			var code cloud.Code
			started := map[string]int{}
			var mu sync.Mutex
			code.Job("slow", func(ctx context.Context, req *cloud.JobRequest) error {
				mu.Lock()
				started[req.Params.String("of")]++
				mu.Unlock()
				time.Sleep(15 * time.Minute)
				return nil
			})
			j := node(t, store, &code, func(c *Config) { c.Overlap, c.Grace = overlap, time.Hour })
			node(t, store, &code, func(c *Config) { c.Overlap, c.Grace = overlap, time.Hour })
			class, err := j.class(t.Context(), scheduleClass)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now().UTC().Truncate(time.Hour).Add(time.Hour)
			for _, of := range []string{"a", "b"} {
				now := parse.DateOf(time.Now())
				row := parse.NewObject(scheduleClass, "objectId", of, "createdAt", now, "updatedAt", now, "jobName", "slow", "params", `{"of":"`+of+`"}`, "startAfter", parse.DateOf(begin).String(), "repeatMinutes", 10.0)
				if err := store.Create(t.Context(), class, row); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Until(begin.Add(59 * time.Minute))) // 00, 10, … 50 minutes
			want := map[bool]int{false: 3, true: 6}[overlap]
			mu.Lock()
			defer mu.Unlock()
			for _, of := range []string{"a", "b"} {
				if started[of] != want {
					t.Errorf("overlap %v: %s was started %d times in an hour, want %d", overlap, of, started[of], want)
				}
			}
		})
	}
}

// Runs that have ended are kept as long as the options say; those that go on are kept.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		defer store.Close()
		var code cloud.Code
		code.Job("quick", func(context.Context, *cloud.JobRequest) error { return nil })
		code.Job("long", func(ctx context.Context, req *cloud.JobRequest) error { <-ctx.Done(); return ctx.Err() })
		j := node(t, store, &code, func(c *Config) { c.Keep = 24 * time.Hour })
		run := func(name string) string {
			id, err := j.Run(t.Context(), name, "api", &parse.Map{}, cloud.Request{})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		long, old := run("long"), run("quick")
		time.Sleep(20 * time.Hour)
		young := run("quick")
		time.Sleep(5 * time.Hour)
		for id, want := range map[string]string{long: "running: <nil>", old: "none", young: "succeeded: <nil>"} {
			if got := j.status(t, id); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
}
