package job

import (
	"context"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// often is the longest time between two looks at the schedules, so that a new one is seen.
const often = 15 * time.Second

// schedule starts what is due until the service stops.
func (j *Jobs) schedule() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-t.C:
		}
		wait := often
		next, err := j.look(j.ctx)
		if err != nil && j.ctx.Err() == nil {
			j.cfg.Log.Error("reading the schedules of jobs", "error", err.Error())
		}
		if !next.IsZero() {
			wait = min(max(next.Sub(j.cfg.Now()), 10*time.Millisecond), often)
		}
		t.Reset(wait)
	}
}

// look starts all jobs that are due now, and returns when the next one will be; zero for not known.
func (j *Jobs) look(ctx context.Context) (next time.Time, err error) {
	class, err := j.class(ctx, scheduleClass)
	if err != nil {
		return next, err
	}
	var rows []*parse.Object
	for row, err := range j.cfg.Store.Find(ctx, class, &query.Find{ClassName: class.Name, Limit: -1}) {
		if err != nil {
			return next, err
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		p, ok := planOf(row)
		if !ok || !j.cfg.Hooks.HasJob(row.String("jobName")) { // another server may know the job
			continue
		}
		var last time.Time
		if ms, ok := row.Get("lastRun").(float64); ok {
			last = time.UnixMilli(int64(ms)).UTC()
		}
		now := j.cfg.Now().UTC()
		due, is, then := p.due(last, now)
		if is {
			if err := j.startDue(ctx, class, row, due); err != nil {
				j.cfg.Log.Error("a scheduled job cannot be started", "job", row.String("jobName"), "schedule", row.ID(), "error", err.Error())
			}
		}
		if !then.IsZero() && then.After(now) && (next.IsZero() || then.Before(next)) {
			next = then
		}
	}
	return next, nil
}

// startDue starts the job of a schedule if this server is the first to say so. lastRun is the time for which it ran, not the time at which: all servers
// reckon the same times whatever their clocks say, so of each time there is one run. A server that dies between the two writes
// leaves this one time out.
func (j *Jobs) startDue(ctx context.Context, class *schema.Class, row *parse.Object, due time.Time) error {
	unchanged := []query.Node{equal("objectId", row.ID())}
	if last, has := row.Lookup("lastRun"); has && last != nil {
		unchanged = append(unchanged, equal("lastRun", last))
	} else {
		unchanged = append(unchanged, equal("lastRun", nil))
	}
	won, err := j.cfg.Store.Update(ctx, class, query.AndOf(unchanged...), parse.NewMap("lastRun", float64(due.UnixMilli())), 1)
	if err != nil || len(won) == 0 {
		return err
	}
	name, params := row.String("jobName"), &parse.Map{}
	if text := row.String("params"); text != "" {
		if params, err = parse.DecodeMap([]byte(text), parse.Limits{}); err != nil {
			j.cfg.Log.Warn("the params of a schedule are no JSON object; the job gets none", "job", row.String("jobName"), "schedule", row.ID())
			params = &parse.Map{}
		}
	}
	if !j.cfg.Overlap {
		before, err := j.goesOn(ctx, name, params)
		if err != nil {
			return err
		}
		if before != "" {
			j.cfg.Log.Warn("a scheduled job is left out: the run before goes on", "job", name, "schedule", row.ID(), "due", due, "run", before)
			return nil
		}
	}
	_, err = j.Run(ctx, name, "schedule", params, j.cfg.Request())
	return err
}

// goesOn returns a run of a job with these params that a schedule started, on whichever server, and that has not ended; "" for none. Runs do not
// name their schedule: Parse Server's class has no field for it.
func (j *Jobs) goesOn(ctx context.Context, name string, params *parse.Map) (string, error) {
	class, err := j.class(ctx, statusClass)
	if err != nil {
		return "", err
	}
	where := query.AndOf(j.unfinished(), equal("jobName", name), equal("source", "schedule"))
	for run, err := range j.cfg.Store.Find(ctx, class, &query.Find{ClassName: class.Name, Where: where, Limit: -1}) {
		if err != nil {
			return "", err
		}
		if other, ok := run.Get("params").(*parse.Map); ok && other.Equal(params) {
			return run.ID(), nil
		}
	}
	return "", nil
}
