package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
)

const (
	defaultDrain  = time.Minute
	defaultMargin = 10 * time.Second
	defaultSweep  = time.Second
	lastSweeps    = 3 // of a connection past its end: afterwards it is in use, and ends when it is given back
)

// drain decides when the connections of a Pool end:
//
//	login replaced   within Options.Drain, spread out
//	lease ending     Options.Margin before, replaced or not
//	login revoked    now
type drain struct {
	login                 *credential.Presenter[Login]
	within, margin, every time.Duration

	mu     sync.Mutex
	newest uint64
	tags   map[*tag]struct{}

	wake chan struct{}
	quit context.CancelFunc
	done chan struct{}
}

func newDrain(login *credential.Presenter[Login], o Options) *drain {
	pick := func(value, fallback time.Duration) time.Duration {
		if value <= 0 {
			return fallback
		}
		return value
	}
	return &drain{login: login, within: pick(o.Drain, defaultDrain), margin: pick(o.Margin, defaultMargin), every: pick(o.Sweep, defaultSweep),
		tags: make(map[*tag]struct{}), wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (d *drain) add(t *tag) {
	if t == nil { // the application's BeforeConnect or AfterConnect went its own way
		return
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tags[t] = struct{}{}
	if t.lease.Generation < d.newest {
		t.superseded.Store(now.UnixNano())
	}
	d.settle(t, now)
}

func (d *drain) remove(t *tag) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tags, t)
}

// over reports whether a connection has reached its end.
func (d *drain) over(t *tag) bool {
	if t == nil {
		return false
	}
	ends := t.ends.Load()
	return ends != 0 && time.Now().UnixNano() >= ends
}

// changed is told the generation that is presented from now on, 0 if there is none.
func (d *drain) changed(generation uint64) {
	now := time.Now()
	d.mu.Lock()
	d.newest = max(d.newest, generation)
	for t := range d.tags {
		if t.lease.Generation < generation {
			t.superseded.CompareAndSwap(0, now.UnixNano())
		}
		d.settle(t, now)
	}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// failed hears of every error that the server reports. A login that was replaced and has
// lost its rights, because its role was dropped for instance, is of no use any more.
func (d *drain) failed(conn *pgconn.PgConn, err *pgconn.PgError) {
	t, _ := conn.CustomData()[tagName].(*tag)
	if t == nil || t.superseded.Load() == 0 || !rightless[err.Code] {
		return
	}
	now := time.Now().UnixNano()
	d.mu.Lock()
	defer d.mu.Unlock()
	for other := range d.tags {
		if other.lease.Generation == t.lease.Generation {
			other.ends.Store(now)
		}
	}
}

var rightless = map[string]bool{
	"42501": true, // insufficient_privilege
	"42704": true, // undefined_object: the role itself
	"28000": true, // invalid_authorization_specification
}

// settle sets the end of a connection. It only ever moves to earlier. d.mu is held.
func (d *drain) settle(t *tag, now time.Time) {
	ends, found := time.Time{}, false
	sooner := func(at time.Time) {
		if !found || at.Before(ends) {
			ends, found = at, true
		}
	}
	if d.login.Revoked(t.lease) {
		sooner(now)
	}
	if until := t.lease.NotAfter; !until.IsZero() {
		sooner(until.Add(-min(d.margin, until.Sub(t.made)/10)))
	}
	if at := t.superseded.Load(); at != 0 {
		since, within := time.Unix(0, at), d.within
		if found {
			within = min(within, ends.Sub(since))
		}
		sooner(since.Add(time.Duration(t.share * float64(within))))
	}
	if known := t.ends.Load(); found && (known == 0 || ends.UnixNano() < known) {
		t.ends.Store(ends.UnixNano())
	}
}

// start begins to sweep.
func (d *drain) start(pool *pgxpool.Pool) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), sweeping{}, true))
	d.quit = cancel
	go func() {
		defer close(d.done)
		ticker := time.NewTicker(d.every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			case <-d.wake:
			}
			if d.due() {
				for _, conn := range pool.AcquireAllIdle(ctx) { // which closes those that are over
					conn.Release()
				}
			}
		}
	}()
}

type sweeping struct{}

func (d *drain) stop() {
	d.quit()
	<-d.done
}

// due settles all connections, and reports whether idle ones may have reached their end.
func (d *drain) due() bool {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	due := false
	for t := range d.tags {
		d.settle(t, now)
		if d.over(t) && t.sweeps < lastSweeps {
			t.sweeps++
			due = true
		}
	}
	return due
}
