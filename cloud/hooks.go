package cloud

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a server adds to the code of its application.
type Options struct {
	// Log gets what goes wrong and is the Log of requests; nil discards it.
	Log *slog.Logger
	// ClientTimeout is the Timeout of code that names none; 0 is 30 s.
	ClientTimeout time.Duration
	// Levels have the log tell of each run.
	Levels Levels
}

// The layers of cloud code. Of what two of them register under one name, the earlier one runs: Parse Server loads webhooks first
// and lets cloud code replace them.
const (
	GoLayer         = "go" // what [Code.Compile] compiles
	JavaScriptLayer = "javascript"
	WebhooksLayer   = "webhooks"
)

var layers = []string{GoLayer, JavaScriptLayer, WebhooksLayer}

// Hooks is compiled code, ready to run: layers of it, which may be replaced while it runs. A nil *Hooks has no trigger and no function.
// It is safe for concurrent use.
type Hooks struct {
	log     *slog.Logger
	levels  Levels
	timeout time.Duration

	mu      sync.Mutex
	layers  map[string]*table
	changed []func()
	live    atomic.Pointer[table] // all layers together; nil when they are empty
}

// table is what there is to run.
type table struct {
	triggers  map[slot]*trigger
	functions map[string]*function
	jobs      map[string]*job
	watchers  []*watcher
}

func (t *table) empty() bool {
	return len(t.triggers)+len(t.functions)+len(t.jobs)+len(t.watchers) == 0
}

// Compile ends the registration, and makes the code the layer [GoLayer] of new Hooks; c may be nil. It returns an error that
// names every registration that is wrong. A server calls it; it may be called more than once.
func (c *Code) Compile(o Options) (*Hooks, error) {
	h := &Hooks{log: o.Log, levels: o.Levels, timeout: o.ClientTimeout, layers: map[string]*table{}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.timeout == 0 {
		h.timeout = 30 * time.Second
	}
	if err := h.SetLayer(GoLayer, c); err != nil {
		return nil, err
	}
	return h, nil
}

// SetLayer replaces all that a layer has registered by what is registered in code, at once: a run that has begun ends as it began, and
// one that begins sees either all of the old layer or all of the new one. Nil or empty code leaves nothing. code does not change afterwards.
//
// An error names every registration that is wrong; the layer is what it was then.
func (h *Hooks) SetLayer(name string, code *Code) error {
	if !slices.Contains(layers, name) {
		return fmt.Errorf("cloud code: there is no layer %q", name)
	}
	compiled, err := code.compile(h.timeout)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.layers[name] = compiled
	h.live.Store(h.merged())
	for _, f := range h.changed {
		f()
	}
	return nil
}

// OnChange calls f after each change of a layer, one call after the other. f must not change layers.
func (h *Hooks) OnChange(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = append(h.changed, f)
}

func (c *Code) compile(normal time.Duration) (*table, error) {
	if c == nil {
		return &table{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = true
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = normal
	}
	t := &table{triggers: map[slot]*trigger{}, functions: map[string]*function{}, jobs: map[string]*job{}}
	for at, from := range c.triggers {
		made := *from
		made.timeout = timeout
		t.triggers[at] = &made
	}
	for name, from := range c.defined {
		made := *from
		made.timeout = timeout
		t.functions[name] = &made
	}
	for name, from := range c.jobs {
		made := *from
		made.timeout = c.JobTimeout
		t.jobs[name] = &made
	}
	for _, from := range c.watchers {
		t.watchers = append(t.watchers, &watcher{run: from.run, timeout: timeout})
	}
	return t, nil
}

// merged is all layers together, nil when there is nothing in them.
func (h *Hooks) merged() *table {
	all := &table{triggers: map[slot]*trigger{}, functions: map[string]*function{}, jobs: map[string]*job{}}
	for _, name := range slices.Backward(layers) {
		if layer := h.layers[name]; layer != nil {
			maps.Copy(all.triggers, layer.triggers)
			maps.Copy(all.functions, layer.functions)
			maps.Copy(all.jobs, layer.jobs)
			all.watchers = append(all.watchers, layer.watchers...)
		}
	}
	if all.empty() {
		return nil
	}
	return all
}

// nothing is the table of Hooks without code.
var nothing = &table{}

// now is what there is to run at this moment.
func (h *Hooks) now() *table {
	if h == nil {
		return nothing
	}
	if t := h.live.Load(); t != nil {
		return t
	}
	return nothing
}

// Any tells whether there is anything to run.
func (h *Hooks) Any() bool { return h != nil && h.live.Load() != nil }

// Has tells whether there is a trigger.
func (h *Hooks) Has(kind Kind, class string) bool { return h.trigger(kind, class) != nil }

func (h *Hooks) trigger(kind Kind, class string) *trigger {
	t := h.now()
	if len(t.triggers) == 0 {
		return nil
	}
	return t.triggers[slot{kind, class}]
}

// HasJob tells whether there is a job.
func (h *Hooks) HasJob(name string) bool { return h.now().jobs[name] != nil }

// Jobs returns the names of all jobs, sorted.
func (h *Hooks) Jobs() []string { return slices.Sorted(maps.Keys(h.now().jobs)) }

// Functions returns the names of all functions, sorted.
func (h *Hooks) Functions() []string { return slices.Sorted(maps.Keys(h.now().functions)) }

// Watched tells whether somebody wants to hear of connections of live queries.
func (h *Hooks) Watched() bool { return len(h.now().watchers) > 0 }

// Log is where the server writes about cloud code.
func (h *Hooks) Log() *slog.Logger { return h.log }
