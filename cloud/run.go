package cloud

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/parley-backend/parley/parse"
)

// maxDepth is how many functions and triggers may stand in each other: a trigger that saves its own object would never end.
const maxDepth = 32

type depthKey struct{}

func depthOf(ctx context.Context) int {
	depth, _ := ctx.Value(depthKey{}).(int)
	return depth
}

// scope is one run: what its clients have in common.
type scope struct {
	// exclusive: the clients work in a transaction, which belongs to one goroutine and ends with the run.
	exclusive bool
	depth     int
	ctx       context.Context // of the run

	mu    sync.Mutex
	ended bool
}

var errEnded = parse.Errorf(parse.ScriptFailed, "The transaction that this client belongs to has ended.")

// enter begins a call of a client. In a transaction there is one at a time, and it ends with the run.
func (s *scope) enter(ctx context.Context) (context.Context, func(), error) {
	if s == nil {
		return ctx, func() {}, nil
	}
	ctx = context.WithValue(ctx, depthKey{}, max(s.depth, depthOf(ctx)))
	if !s.exclusive {
		return ctx, func() {}, nil
	}
	s.mu.Lock()
	if s.ended || s.ctx == nil {
		s.mu.Unlock()
		return nil, nil, errEnded
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel(); s.mu.Unlock() }, nil
}

// end waits for the call that is under way, and lets no other begin.
func (s *scope) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

// Run runs the trigger of a kind and a class, if there is one; req is the request type of the kind. What req holds counts only when there
// is no error: a trigger that did not end in time may still be at work on it.
//
// An error is a *parse.Error: the one that the trigger returned, or code 141 (142 for a validator) with its text.
func (h *Hooks) Run(ctx context.Context, kind Kind, class string, req requests) error {
	t := h.trigger(kind, class)
	if t == nil {
		return nil
	}
	done, failed := kind.events()
	return h.run(ctx, work{t.String(), t.validators, true, t.timeout, done, failed}, req, func(ctx context.Context) error { return t.run(ctx, req) })
}

// Call runs a function. The result is a value of package parse; given tells whether there is one.
func (h *Hooks) Call(ctx context.Context, req *FunctionRequest) (result any, given bool, err error) {
	f := h.now().functions[req.Function]
	if f == nil {
		return nil, false, parse.Errorf(parse.ScriptFailed, "Invalid function: \"%s\"", req.Function)
	}
	var made, encoded any // looked at only when the run has ended
	err = h.run(ctx, work{"function " + req.Function, f.validators, false, f.timeout, FunctionSuccess, FunctionError}, req, func(ctx context.Context) error {
		var err error
		if made, err = f.run(ctx, req); err != nil {
			return err
		}
		if encoded, err = Value(made); err != nil {
			return parse.Errorf(parse.ScriptFailed, "The result of the function cannot be encoded: %v", err)
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return encoded, made != nil, nil
}

// RunJob runs a job to its end, in the goroutine of the caller: a job is not given up before it returns, whatever its context says. An
// unknown one is code 141. Errors are those of [Hooks.Run]; a job whose time-out is over, or whose context has ended, may return whatever it likes.
func (h *Hooks) RunJob(ctx context.Context, req *JobRequest) error {
	j := h.now().jobs[req.Job]
	if j == nil {
		return parse.Errorf(parse.ScriptFailed, "Invalid job.")
	}
	what := "job " + req.Job
	if req.scope == nil {
		req.scope = &scope{}
	}
	if req.Log == nil {
		req.Log = h.log.With("cloud", what, "run", req.ID)
	}
	if j.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, j.timeout, errJobTimeout)
		defer cancel()
	}
	err := h.guarded(what, func() error { return j.run(ctx, req) })
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, cause)) {
		return asParse(cause, parse.ScriptFailed)
	}
	return asParse(err, parse.ScriptFailed)
}

var errJobTimeout = parse.Errorf(parse.Timeout, "The job was not done in time.")

// Watch tells all who registered with onLiveQueryEvent, one after the other. Their errors are logged.
func (h *Hooks) Watch(ctx context.Context, req *LiveEventRequest) {
	for _, w := range h.now().watchers {
		each := *req // none may keep another from hearing it as it was
		what := "onLiveQueryEvent"
		if err := h.run(ctx, work{what: what, timeout: w.timeout, done: After, failed: After}, &each, func(ctx context.Context) error { return w.run(ctx, &each) }); err != nil {
			h.log.Warn("onLiveQueryEvent failed", "event", req.Event, "error", err.Error())
		}
	}
}

// work is what one run is about.
type work struct {
	what       string
	validators []Validator
	skips      bool // a validator may leave it out
	timeout    time.Duration
	// done and failed are how it may end.
	done, failed Event
}

// run runs f after its validators, in a goroutine of its own: whoever asked is answered in time even if f does not look at its context.
func (h *Hooks) run(ctx context.Context, w work, req requests, f func(context.Context) error) (err error) {
	base, what := req.base(), w.what
	depth := depthOf(ctx) + 1
	if depth > maxDepth {
		return parse.Errorf(parse.ScriptFailed, "Cloud code stands in itself more than %d times: does a trigger save its own object?", maxDepth)
	}
	if base.scope == nil {
		base.scope = &scope{}
	}
	if base.Log == nil {
		base.Log = h.log.With("cloud", what)
	}
	var cancel context.CancelFunc
	if w.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	ctx = context.WithValue(ctx, depthKey{}, depth)
	base.scope.depth, base.scope.ctx = depth, ctx
	scope := base.scope // f may do to base what it likes
	if h.levels != nil {
		who, began := *base, time.Now()
		defer func() { h.tell(ctx, w, &who, began, err) }()
	}
	defer func() {
		cancel() // what its clients still do in a transaction ends now
		scope.end()
	}()

	ended := make(chan error, 1)
	go func() {
		ended <- h.guarded(what, func() error {
			skip, err := validate(ctx, w.validators, req)
			if err != nil || skip && w.skips {
				return err
			}
			return f(ctx)
		})
	}()
	select {
	case err := <-ended:
		return h.told(ctx, what, err)
	case <-ctx.Done():
		select { // both at once: what was done counts
		case err := <-ended:
			return h.told(ctx, what, err)
		default:
		}
		return h.told(ctx, what, ctx.Err())
	}
}

// guarded turns a panic into an error of this one call.
func (h *Hooks) guarded(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			h.log.Error("panic in cloud code", "cloud", what, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = parse.Errorf(parse.ScriptFailed, "%s", unknown)
		}
	}()
	return f()
}

// unknown is the text of a failure that gives none.
const unknown = "Script failed. Unknown error."

// told turns what cloud code returned into what the client is told.
func (h *Hooks) told(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			h.log.Warn("cloud code was not done in time", "cloud", what)
		}
		return &parse.Error{Code: parse.Timeout, Message: "The request was not completed in time.", Err: err}
	}
	return asParse(err, parse.ScriptFailed)
}

// asParse returns the *parse.Error in err, or one of the code with the text of err.
func asParse(err error, code parse.Code) error {
	var told *parse.Error
	if errors.As(err, &told) {
		if error(told) == err {
			return told
		}
		wrapped := *told
		wrapped.Err = err
		return &wrapped
	}
	var plain parse.Code
	if errors.As(err, &plain) {
		return &parse.Error{Code: plain, Message: plain.Name()}
	}
	if text := err.Error(); text != "" {
		return &parse.Error{Code: code, Message: text}
	}
	return &parse.Error{Code: code, Message: unknown}
}
