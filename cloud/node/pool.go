package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// pool are the workers that have loaded the same state of the code. A change of the code makes a new pool.
type pool struct {
	o      *Options
	log    *slog.Logger
	node   string
	main   string
	source string
	server func() *cloud.Client // for what the code asks outside of calls

	ctx   context.Context // ends when the pool is closed
	stop  context.CancelFunc
	aside sync.WaitGroup
	says  chan said
	lost  atomic.Int64 // lines that came faster than the log took them

	restarts *atomic.Int64
	lastCall *atomic.Uint64
	// changed is called with the list of what is registered, when that has changed after the start.
	changed func([]any)

	mu      sync.Mutex
	workers []*process    // ready for calls; nil for one that is starting
	ready   chan struct{} // closed when a worker becomes ready; then there is a new one
	list    []any         // as the last worker announced it
	node1   string        // version of Node
	sdk     string
	odds    []string
}

// said is a line for the log.
type said struct{ level, text, what string }

// open starts all workers and waits until they have loaded the code. Close the pool afterwards, unless there is an error.
func (p *pool) open(ctx context.Context) error {
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.ready, p.says = make(chan struct{}), make(chan said, 1024)
	p.workers = make([]*process, p.o.Workers)
	p.aside.Go(p.logging)
	failed := make([]error, p.o.Workers)
	var starting sync.WaitGroup
	for i := range p.workers {
		starting.Go(func() {
			w, err := p.start(ctx, i)
			if failed[i] = err; err != nil {
				return
			}
			p.admit(w)
			p.aside.Go(func() { p.keep(w) })
		})
	}
	starting.Wait()
	for _, err := range failed {
		if err != nil {
			p.close(0)
			return err
		}
	}
	return nil
}

// start starts one worker and waits until it is ready.
func (p *pool) start(ctx context.Context, number int) (*process, error) {
	w, err := spawn(p, number)
	if err != nil {
		return nil, fmt.Errorf("starting Node.js: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.LoadTimeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	select {
	case err = <-w.loaded:
	case <-ctx.Done():
		err = fmt.Errorf("the cloud code was not loaded: %w", ctx.Err())
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("the cloud code was not loaded within %v: does it wait for something that does not come?", p.o.LoadTimeout)
		}
	}
	if err != nil {
		w.kill("was ended")
		<-w.ended
		return nil, err
	}
	return w, nil
}

// admit lets a worker have calls.
func (p *pool) admit(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers[w.number] = w
	close(p.ready)
	p.ready = make(chan struct{})
}

// keep starts a worker anew when it has ended, until the pool is closed.
func (p *pool) keep(w *process) {
	for {
		began := time.Now()
		<-w.ended
		p.mu.Lock()
		p.workers[w.number] = nil
		p.mu.Unlock()
		if p.ctx.Err() != nil {
			return
		}
		p.log.Error("a worker of the cloud code ended and is started anew", "worker", w.number, "why", "it "+w.reason())
		// One that ends as soon as it runs is not worth all of the machine.
		wait := time.Duration(0)
		if time.Since(began) < 5*time.Second {
			wait = 100 * time.Millisecond
		}
		next := p.again(w.number, wait)
		if next == nil {
			return
		}
		w = next
		p.restarts.Add(1)
		p.admit(w)
	}
}

const longestWait = 5 * time.Second

// again starts a worker until it is ready; nil when the pool is closed.
func (p *pool) again(number int, wait time.Duration) *process {
	for {
		select {
		case <-time.After(wait):
		case <-p.ctx.Done():
			return nil
		}
		w, err := p.start(p.ctx, number)
		if err == nil {
			return w
		}
		if p.ctx.Err() != nil {
			return nil
		}
		wait = min(max(2*wait, 100*time.Millisecond), longestWait)
		p.log.Error("a worker of the cloud code cannot be started", "worker", number, "error", err.Error(), "again_in", wait)
	}
}

// pick returns the worker with the fewest calls, and waits for one when there is none.
func (p *pool) pick(ctx context.Context) (*process, error) {
	for {
		p.mu.Lock()
		var best *process
		for _, w := range p.workers {
			if w != nil && (best == nil || len(p.workers) > 1 && w.load() < best.load()) {
				best = w
			}
		}
		ready := p.ready
		p.mu.Unlock()
		if best != nil && !best.isDead() {
			return best, nil
		}
		select {
		case <-ready:
		case <-time.After(time.Millisecond): // a worker that has ended is taken out of the list in a moment
			if best == nil {
				select {
				case <-ready:
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-p.ctx.Done():
					return nil, errClosed
				}
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.ctx.Done():
			return nil, errClosed
		}
	}
}

var errClosed = parse.Errorf(parse.ScriptFailed, "The cloud code is being ended.")

func (w *process) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// call has a worker run a call. What never began in a worker that ended is given to another.
func (p *pool) call(ctx context.Context, client *cloud.Client, what string, message *parse.Map) (*parse.Map, error) {
	c := &call{id: p.lastCall.Add(1), what: what, ctx: ctx, client: client, done: make(chan outcome, 1)}
	message.Set("t", "call")
	message.Set("id", float64(c.id))
	message.Set("what", what)
	var err error
	if c.frame, err = encode(message); err != nil {
		return nil, parse.Errorf(parse.ScriptFailed, "The request cannot be given to the cloud code: %v", err)
	}
	for {
		w, err := p.pick(ctx)
		if err != nil {
			return nil, err
		}
		o := w.do(c)
		if !o.again {
			return o.reply, o.err
		}
		c.done = make(chan outcome, 1)
	}
}

// close ends all workers: they get some time for the calls that they have.
func (p *pool) close(patience time.Duration) {
	p.mu.Lock()
	workers := append([]*process(nil), p.workers...)
	p.mu.Unlock()
	deadline := time.Now().Add(patience)
	for _, w := range workers {
		for w != nil && w.load() > 0 && time.Now().Before(deadline) {
			select {
			case <-w.ended:
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	p.stop()
	var ending sync.WaitGroup
	for _, w := range workers {
		if w == nil {
			continue
		}
		ending.Go(func() {
			w.because("was ended with the server")
			w.post(parse.NewMap("t", "bye"))
			select {
			case <-w.ended:
			case <-time.After(p.o.Grace):
				w.kill("was ended with the server")
				<-w.ended
			}
		})
	}
	ending.Wait()
	p.aside.Wait()
}

// announced takes what a worker has registered.
func (p *pool) announced(_ *process, m *parse.Map) {
	list, _ := m.Get("list").([]any)
	p.mu.Lock()
	if v := m.String("node"); v != "" {
		p.node1, p.sdk = v, m.String("sdk")
	}
	before := p.list
	p.list = list
	p.mu.Unlock()
	if m.String("t") == "registered" && !parse.Equal(any(before), any(list)) {
		p.changed(list)
	}
}

func (p *pool) registered() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list
}

// odd is told of a registration that is doubtful.
func (p *pool) odd(text string) {
	p.mu.Lock()
	p.odds = append(p.odds, text)
	p.mu.Unlock()
	p.say("warn", text, "")
}

// say gives a line to the log without waiting for it: code that talks much does not hold up the rest.
func (p *pool) say(level, text, what string) {
	select {
	case p.says <- said{level, text, what}:
	default:
		p.lost.Add(1)
	}
}

func (p *pool) logging() {
	write := func(s said) {
		log := p.log
		if s.what != "" {
			log = log.With("cloud", s.what)
		}
		log.Log(context.Background(), levelOf(s.level), s.text)
		if n := p.lost.Swap(0); n > 0 {
			p.log.Warn("the cloud code says more than the log can take", "lines_lost", n)
		}
	}
	for {
		select {
		case s := <-p.says:
			write(s)
		case <-p.ctx.Done():
			for {
				select {
				case s := <-p.says:
					write(s)
				default:
					return
				}
			}
		}
	}
}

func levelOf(name string) slog.Level {
	switch name {
	case "error":
		return slog.LevelError
	case "warn":
		return slog.LevelWarn
	case "debug":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
