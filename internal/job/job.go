// Package job runs the jobs of the cloud code: on request, and by the schedules that are stored in the class _JobSchedule.
//
// job.go runs one job and writes its _JobStatus; schedule.go says when a schedule is due; scheduler.go starts what is due, once
// across all servers of an application.
package job

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Options say how jobs run. The zero value is good.
type Options struct {
	// NoScheduler leaves schedules alone.
	NoScheduler bool
	// Overlap lets a schedule start its job while the run before goes on; otherwise that time is left out.
	Overlap bool
	// Lost is how long a server may say nothing of a job that runs before the others take it for failed; 0 is 2 minutes, and less than
	// 10 s is 10 s.
	Lost time.Duration
	// Keep is how long a run that has ended stays in _JobStatus; 0 is for ever.
	Keep time.Duration
}

// Config is what the service needs.
type Config struct {
	Options
	Store   storage.Adapter
	Schemas *schemas.Schemas
	Hooks   *cloud.Hooks
	// Request returns what a job that a schedule starts knows of who asks.
	Request func() cloud.Request
	// Grace is how long Stop waits for jobs whose context has ended; 0 is 10 s.
	Grace time.Duration
	Log   *slog.Logger
	Now   func() time.Time
}

const (
	statusClass   = "_JobStatus"
	scheduleClass = "_JobSchedule"

	// beat is how often a server says that its jobs run, and asks whether they are to end.
	beat = 2 * time.Second
)

// The statuses of a job.
const (
	running    = "running"
	cancelling = "cancelling"
	succeeded  = "succeeded"
	failed     = "failed"
)

var (
	errCancelled = parse.Errorf(parse.ScriptFailed, "The job was cancelled.")
	errStopped   = parse.Errorf(parse.ScriptFailed, "The server stopped while the job ran.")
)

// Jobs is the service. It is safe for concurrent use.
type Jobs struct {
	cfg  Config
	ctx  context.Context
	stop context.CancelCauseFunc
	aux  sync.WaitGroup // the heartbeat and the scheduler

	mu      sync.Mutex
	stopped bool
	running map[string]context.CancelCauseFunc // by the objectId of their _JobStatus
	jobs    sync.WaitGroup
}

// New returns the service. Jobs may be started at once, schedules count from Start on.
func New(cfg Config) *Jobs {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Lost == 0 {
		cfg.Lost = 2 * time.Minute
	}
	cfg.Lost = max(cfg.Lost, 5*beat)
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	j := &Jobs{cfg: cfg, running: map[string]context.CancelCauseFunc{}}
	j.ctx, j.stop = context.WithCancelCause(context.Background())
	return j
}

// Start begins to watch over jobs, and to start what is due.
func (j *Jobs) Start() {
	j.aux.Go(j.watch)
	if !j.cfg.NoScheduler {
		j.aux.Go(j.schedule)
	}
}

// Stop ends the contexts of all jobs, and waits for them as long as Config.Grace says. One that has not returned then is
// marked as failed all the same.
func (j *Jobs) Stop() {
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
	j.stop(errStopped)
	j.aux.Wait()
	done := make(chan struct{})
	go func() { j.jobs.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-time.After(j.cfg.Grace):
	}
	j.mu.Lock()
	ids := make([]string, 0, len(j.running))
	for id := range j.running {
		ids = append(ids, id)
	}
	j.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), j.cfg.Grace)
	defer cancel()
	for _, id := range ids {
		j.cfg.Log.Error("a job does not end although its context has", "run", id)
		_ = j.finish(ctx, id, "", errStopped)
	}
}

// Run starts a job and returns the objectId of its _JobStatus, without waiting for it. An unknown job is code 141. source is "api" or "schedule".
func (j *Jobs) Run(ctx context.Context, name, source string, params *parse.Map, request cloud.Request) (string, error) {
	if !j.cfg.Hooks.HasJob(name) {
		return "", parse.Errorf(parse.ScriptFailed, "Invalid job.")
	}
	class, err := j.cfg.Schemas.Evolve(ctx, statusClass, &parse.Map{}, nil)
	if err != nil {
		return "", err
	}
	id, now := parse.NewID(parse.IDSize), parse.DateOf(j.cfg.Now())
	row := parse.NewObject(statusClass, "objectId", id, "createdAt", now, "updatedAt", now, "jobName", name, "source", source, "status", running, "params", params,
		"_rperm", []any{}, "_wperm", []any{})
	if err := j.cfg.Store.Create(ctx, class, row); err != nil {
		return "", err
	}
	run, cancel := context.WithCancelCause(j.ctx)
	j.mu.Lock()
	if j.stopped {
		j.mu.Unlock()
		cancel(errStopped)
		return "", errors.Join(errStopped, j.finish(ctx, id, "", errStopped))
	}
	j.running[id] = cancel
	j.jobs.Add(1)
	j.mu.Unlock()
	req := &cloud.JobRequest{Request: request, Job: name, ID: id, Params: params, Tell: func(ctx context.Context, text string) error { return j.tell(ctx, id, text) }}
	go func() {
		defer j.jobs.Done()
		err := j.cfg.Hooks.RunJob(run, req)
		ctx, done := context.WithTimeout(context.WithoutCancel(run), time.Minute)
		defer done()
		if e := j.finish(ctx, id, req.Outcome, err); e != nil {
			j.cfg.Log.Error("the end of a job cannot be stored", "job", name, "run", id, "error", e.Error())
		}
		j.mu.Lock()
		delete(j.running, id)
		j.mu.Unlock()
		cancel(nil)
	}()
	return id, nil
}

// Cancel asks a job to end: its context does, on whichever server it runs. One that does not run is ObjectNotFound.
func (j *Jobs) Cancel(ctx context.Context, id string) error {
	n, err := j.update(ctx, query.AndOf(equal("objectId", id), equal("status", running)), parse.NewMap("status", cancelling))
	if err != nil {
		return err
	}
	if n == 0 {
		return parse.Errorf(parse.ObjectNotFound, "Object not found.")
	}
	j.end(id)
	return nil
}

// end ends the context of a job that runs here.
func (j *Jobs) end(id string) {
	j.mu.Lock()
	cancel := j.running[id]
	j.mu.Unlock()
	if cancel != nil {
		cancel(errCancelled)
	}
}

func equal(key string, value any) query.Node {
	return &query.Constraint{Key: key, Op: query.Eq, Arg: value}
}

func (j *Jobs) update(ctx context.Context, where query.Node, changes *parse.Map) (int, error) {
	class, err := j.class(ctx, statusClass)
	if err != nil {
		return 0, err
	}
	changes.Set("updatedAt", parse.DateOf(j.cfg.Now()))
	changed, err := j.cfg.Store.Update(ctx, class, where, changes, -1)
	return len(changed), err
}

func (j *Jobs) class(ctx context.Context, name string) (*schema.Class, error) {
	if class, ok := j.cfg.Schemas.Class(name); ok {
		return class, nil
	}
	return j.cfg.Schemas.Evolve(ctx, name, &parse.Map{}, nil)
}

// tell stores a message of a job that runs.
func (j *Jobs) tell(ctx context.Context, id, text string) error {
	_, err := j.update(ctx, query.AndOf(equal("objectId", id), j.unfinished()), parse.NewMap("message", text))
	return err
}

func (j *Jobs) unfinished() query.Node {
	return &query.Constraint{Key: "status", Op: query.In, Arg: []any{running, cancelling}}
}

// finish stores how a job ended; the message of one that succeeded is its outcome, or the last that it told. What is finished stays as it is.
func (j *Jobs) finish(ctx context.Context, id, outcome string, failure error) error {
	changes := parse.NewMap("status", succeeded, "finishedAt", parse.DateOf(j.cfg.Now()))
	if outcome != "" {
		changes.Set("message", outcome)
	}
	if failure != nil {
		var told *parse.Error
		text := "Script failed."
		if errors.As(failure, &told) {
			text = told.Message
		}
		changes.Set("status", failed)
		changes.Set("message", text)
	}
	_, err := j.update(ctx, query.AndOf(equal("objectId", id), j.unfinished()), changes)
	return err
}

// watch says that the jobs of this server run, ends those that are to be cancelled, and gives up those of servers that are gone.
func (j *Jobs) watch() {
	t := time.NewTicker(beat)
	defer t.Stop()
	each := max(int(j.cfg.Lost/beat)/4, 1) // looking for lost jobs
	for n := 0; ; n++ {
		select {
		case <-j.ctx.Done():
			return
		case <-t.C:
		}
		if err := j.pulse(j.ctx, n%each == 0); err != nil && j.ctx.Err() == nil {
			j.cfg.Log.Error("watching over jobs", "error", err.Error())
		}
	}
}

func (j *Jobs) pulse(ctx context.Context, all bool) error {
	j.mu.Lock()
	ids := make([]any, 0, len(j.running))
	for id := range j.running {
		ids = append(ids, id)
	}
	j.mu.Unlock()
	class, err := j.class(ctx, statusClass)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		mine := query.AndOf(&query.Constraint{Key: "objectId", Op: query.In, Arg: ids}, j.unfinished())
		rows, err := j.cfg.Store.Update(ctx, class, mine, parse.NewMap("updatedAt", parse.DateOf(j.cfg.Now())), -1)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.String("status") == cancelling {
				j.end(row.ID())
			}
		}
	}
	if !all {
		return nil
	}
	now := j.cfg.Now()
	gone := query.AndOf(j.unfinished(), &query.Constraint{Key: "updatedAt", Op: query.Lt, Arg: parse.DateOf(now.Add(-j.cfg.Lost))})
	_, err = j.cfg.Store.Update(ctx, class, gone, parse.NewMap("status", failed, "message", errStopped.Message, "finishedAt", parse.DateOf(now)), -1)
	if err != nil || j.cfg.Keep == 0 {
		return err
	}
	old := query.AndOf(&query.Constraint{Key: "status", Op: query.In, Arg: []any{succeeded, failed}},
		&query.Constraint{Key: "finishedAt", Op: query.Lt, Arg: parse.DateOf(now.Add(-j.cfg.Keep))})
	_, err = j.cfg.Store.Delete(ctx, class, old, -1)
	return err
}
