package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"zombiezen.com/go/sqlite"
)

// writer is the one goroutine that writes. What waits for it shares a transaction.
type writer struct {
	conn      *conn
	jobs      chan *job
	quit      chan struct{}
	stopped   chan struct{}
	maxGroup  int
	committed func(writes int)
	log       *slog.Logger
	last      int // size of the last group
}

// job is one write that waits for its turn, or the wish to have the writer for oneself.
type job struct {
	// run does the write. It may be called again after the transaction that it was part of was rolled back.
	run func(c *conn) error
	// steps says that run executes more than one statement that changes something: only then is a savepoint needed,
	// because a statement that fails leaves nothing behind.
	steps bool
	// alone, in place of run, asks for the connection: the writer stands still until it is closed.
	alone chan struct{}

	state atomic.Int32
	err   error
	done  chan struct{}
}

// The states of a job.
const (
	waiting int32 = iota
	taken
	abandoned
)

func newWriter(c *conn, maxGroup int, committed func(int), log *slog.Logger) *writer {
	w := &writer{
		conn: c, jobs: make(chan *job, 1024), quit: make(chan struct{}), stopped: make(chan struct{}),
		maxGroup: maxGroup, committed: committed, log: log,
	}
	go w.loop()
	return w
}

// do queues a write and waits until it is on disk. When ctx ends before its turn, it is not done at all.
func (w *writer) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.done = make(chan struct{})
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		// Its turn has come: only the outcome of the transaction says whether it was stored.
		select {
		case <-j.done:
			return j.err
		case <-w.stopped:
		}
	case <-w.stopped:
	}
	select { // done and stopped at once
	case <-j.done:
		return j.err
	default:
		return errClosed
	}
}

// acquire hands out the connection of the writer, which stands still until release is called.
func (w *writer) acquire(ctx context.Context) (c *conn, release func(), err error) {
	j := &job{alone: make(chan struct{})}
	if err := w.do(ctx, j); err != nil {
		return nil, nil, err
	}
	return w.conn, func() { close(j.alone) }, nil
}

// close finishes the writes that wait and closes the connection.
func (w *writer) close() error {
	close(w.quit)
	<-w.stopped
	return w.conn.close()
}

func (w *writer) loop() {
	defer close(w.stopped)
	for {
		select {
		case j := <-w.jobs:
			w.serve(j)
		case <-w.quit:
			for {
				select {
				case j := <-w.jobs:
					w.serve(j)
				default:
					return
				}
			}
		}
	}
}

// serve runs a job together with those that wait behind it.
func (w *writer) serve(first *job) {
	group := make([]*job, 0, 64)
	for j := first; j != nil; j = w.next(len(group)) {
		if j.alone != nil {
			w.commit(group)
			w.lend(j)
			return
		}
		if j.state.CompareAndSwap(waiting, taken) {
			group = w.attempt(group, j)
		}
	}
	w.commit(group)
}

// lend stands still while somebody else has the connection.
func (w *writer) lend(j *job) {
	if j.state.CompareAndSwap(waiting, taken) {
		close(j.done)
		<-j.alone
	}
}

// next returns a job that waits, nil when there is none or the group is full. After a large group those who were just
// answered are about to ask again: they get the chance to, before an fsync is spent on the few that were faster.
func (w *writer) next(size int) *job {
	if size >= w.maxGroup {
		return nil
	}
	select {
	case j := <-w.jobs:
		return j
	default:
	}
	for i := 0; i < 4 && size < w.last/2; i++ {
		runtime.Gosched()
		select {
		case j := <-w.jobs:
			return j
		default:
		}
	}
	return nil
}

// attempt runs a job in the transaction of the group, which begins with its first member. It returns the group with the job, or
// without it when it failed. Some failures make SQLite roll back the whole transaction: then the others are run again.
func (w *writer) attempt(group []*job, j *job) []*job {
	if len(group) == 0 {
		if err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
			w.refuse(err) // before anybody is told, and may come back at once
			j.finish(err)
			return group
		}
	}
	err := w.runOne(j)
	if err == nil {
		return append(group, j)
	}
	j.finish(err)
	switch {
	case w.conn.sql.AutocommitEnabled():
		kept := make([]*job, 0, cap(group))
		for _, other := range group {
			kept = w.attempt(kept, other)
		}
		return kept
	case len(group) == 0:
		w.rollback() // the lock is not held for nothing
	}
	return group
}

// refuse answers all who wait now with the error that kept a transaction from beginning. They have waited as long as the
// first, and one after the other they would wait for the lock of another process that long again.
func (w *writer) refuse(err error) {
	for range len(w.jobs) {
		if j := <-w.jobs; j.state.CompareAndSwap(waiting, taken) {
			j.finish(err)
		}
	}
}

func (w *writer) runOne(j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("panic in a write", "panic", p)
			err = fmt.Errorf("panic in a write: %v", p)
			if j.steps && !w.conn.sql.AutocommitEnabled() {
				err = errors.Join(err, w.conn.exec("ROLLBACK TO one"), w.conn.exec("RELEASE one"))
			}
		}
	}()
	if !j.steps {
		return j.run(w.conn)
	}
	return savepoint(w.conn, j.run)
}

// savepoint runs fn so that it leaves nothing behind when it fails.
func savepoint(c *conn, fn func(c *conn) error) error {
	if err := c.exec("SAVEPOINT one"); err != nil {
		return err
	}
	err := fn(c)
	if err == nil {
		return c.exec("RELEASE one")
	}
	if c.sql.AutocommitEnabled() {
		return err
	}
	return errors.Join(err, c.exec("ROLLBACK TO one"), c.exec("RELEASE one"))
}

// commit ends the transaction of a group and answers all who are in it.
func (w *writer) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	w.last = len(group)
	if err := w.conn.exec("COMMIT"); err != nil {
		w.rollback()
		finish(group, err)
		return
	}
	if w.committed != nil {
		w.committed(len(group))
	}
	finish(group, nil)
}

func (w *writer) rollback() {
	if w.conn.sql.AutocommitEnabled() {
		return
	}
	if err := w.conn.exec("ROLLBACK"); err != nil {
		w.log.Error("rolling back failed", "error", err, "code", sqlite.ErrCode(err).String())
	}
}

func (j *job) finish(err error) {
	j.err = err
	close(j.done)
}

func finish(group []*job, err error) {
	for _, j := range group {
		j.finish(err)
	}
}
