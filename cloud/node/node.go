package node

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// Options say which code runs, and how. Main is required.
type Options struct {
	// Main is the main file of the code.
	Main string
	// Node is the program Node.js; "" is the one in the path.
	Node string
	// NodeArgs are given to it, as --enable-source-maps.
	NodeArgs []string
	// Workers is the number of processes. 0 is one: code that keeps something in a variable finds it again.
	Workers int
	// MaxMemory bounds the heap of each worker in MiB; 0 leaves it to Node. On Linux a worker that takes 256 MiB more than that is ended, with 0 one
	// that takes three quarters of the memory of the machine or the container.
	MaxMemory int
	// Env is the environment of the workers; nil is that of this process.
	Env []string
	// Watch loads the code anew when a file beside or below it changes.
	Watch bool
	// Every is how often Watch looks; 0 is half a second.
	Every time.Duration
	// Timeout bounds a run, see [cloud.Code].
	Timeout time.Duration
	// LoadTimeout bounds the loading of the code; 0 is a minute.
	LoadTimeout time.Duration
	// Grace is how long a worker may be silent after a call has run out of time, before it counts as stuck; 0 is three seconds.
	Grace time.Duration
	// Drain is how long calls may still run in workers whose code was replaced, or that are closed; 0 is 30 s.
	Drain time.Duration

	// AppID and ServerURL are what the code finds in Parse.applicationId and Parse.serverURL.
	AppID, ServerURL string
	Log              *slog.Logger
	// OnChange is called with the code of the workers when they have registered something else than before; nil when nobody listens.
	OnChange func(*cloud.Code)
}

// Runtime is running code.
type Runtime struct {
	o        Options
	log      *slog.Logger
	path     string // of Node
	main     string
	restarts atomic.Int64
	reloads  atomic.Int64
	lastCall atomic.Uint64
	client   *cloud.Client

	mu      sync.Mutex // held while the pool is exchanged
	pool    atomic.Pointer[pool]
	stop    context.CancelFunc
	aside   sync.WaitGroup
	closing sync.Once
}

// Start starts the workers and waits until they have loaded the code. What the code asks while it is loaded, and later outside of calls,
// goes through client. Errors say what mends them where that is known, see [Hint].
func Start(ctx context.Context, client *cloud.Client, o Options) (*Runtime, error) {
	o.Workers = max(o.Workers, 1)
	or := func(d *time.Duration, normal time.Duration) {
		if *d <= 0 {
			*d = normal
		}
	}
	or(&o.LoadTimeout, time.Minute)
	or(&o.Grace, 3*time.Second)
	or(&o.Drain, 30*time.Second)
	or(&o.Every, 500*time.Millisecond)
	if o.Env == nil {
		o.Env = os.Environ()
	}
	r := &Runtime{o: o, log: o.Log, client: client}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if r.main, err = mainFile(o.Main); err != nil {
		return nil, err
	}
	if r.path, err = findNode(ctx, o.Node); err != nil {
		return nil, err
	}
	seen := r.look()
	p := r.newPool()
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	r.pool.Store(p)
	background, stop := context.WithCancel(context.Background())
	r.stop = stop
	if o.Watch {
		r.aside.Go(func() { r.watch(background, seen) })
	}
	return r, nil
}

func (r *Runtime) newPool() *pool {
	p := &pool{o: &r.o, log: r.log, node: r.path, main: r.main, source: source(), restarts: &r.restarts, lastCall: &r.lastCall}
	p.server = func() *cloud.Client { return r.client }
	p.changed = func(list []any) {
		if r.o.OnChange != nil && r.pool.Load() == p {
			r.o.OnChange(r.code(list))
		}
	}
	return p
}

// call has one of the workers run a call.
func (r *Runtime) call(ctx context.Context, client *cloud.Client, what string, message *parse.Map) (*parse.Map, error) {
	for {
		p := r.pool.Load()
		reply, err := p.call(ctx, client, what, message)
		if err == error(errClosed) && r.pool.Load() != p {
			continue // the code was loaded anew meanwhile
		}
		return reply, err
	}
}

// Close ends the workers. Calls under way get the time that Options.Drain allows.
func (r *Runtime) Close() {
	r.closing.Do(func() {
		r.stop()
		r.aside.Wait()
		r.pool.Load().close(r.o.Drain)
	})
}

// Status is what there is to tell of running code.
type Status struct {
	// Workers is how many there are to be, Ready how many are there.
	Workers, Ready int
	// Calls under way.
	Calls int
	// Restarts counts workers that ended by themselves or had to be ended, Reloads how often changed code was loaded.
	Restarts, Reloads int64
	// Node and SDK are versions.
	Node, SDK string
}

// Status returns the state of the moment.
func (r *Runtime) Status() Status {
	p := r.pool.Load()
	s := Status{Workers: r.o.Workers, Restarts: r.restarts.Load(), Reloads: r.reloads.Load()}
	p.mu.Lock()
	workers := append([]*process(nil), p.workers...)
	s.Node, s.SDK = p.node1, p.sdk
	p.mu.Unlock()
	for _, w := range workers {
		if w != nil && !w.isDead() {
			s.Ready++
			s.Calls += w.load()
		}
	}
	return s
}
