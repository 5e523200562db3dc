package sqlite

import (
	"context"
	"errors"
	"sync"
)

// pool holds the connections that read. A token stands for the right to have one.
type pool struct {
	tokens chan struct{}
	open   func() (*conn, error)

	mu     sync.Mutex
	idle   []*conn
	lent   sync.WaitGroup
	closed bool
}

func newPool(size int, open func() (*conn, error)) *pool {
	p := &pool{tokens: make(chan struct{}, size), open: open}
	for range size {
		p.tokens <- struct{}{}
	}
	return p
}

// get returns a connection, waiting for one if need be.
func (p *pool) get(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.tokens:
	default:
		select {
		case <-p.tokens:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.tokens <- struct{}{}
		return nil, errClosed
	}
	p.lent.Add(1)
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := p.open()
	if err != nil {
		p.tokens <- struct{}{}
		p.lent.Done()
		return nil, err
	}
	return c, nil
}

// put takes a connection back.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	p.lent.Done()
	p.tokens <- struct{}{}
}

// detach gives up the token of a connection that stays in use: whoever holds it waits for code that is not ours, and that
// may itself need a connection.
func (p *pool) detach() { p.tokens <- struct{}{} }

// drop takes back a connection that was detached. The pool keeps no more than it has tokens.
func (p *pool) drop(c *conn) error {
	defer p.lent.Done()
	p.mu.Lock()
	if len(p.idle) < cap(p.tokens) {
		p.idle = append(p.idle, c)
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	return c.close()
}

// close waits for the connections that are lent and closes them all.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.lent.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	p.idle = nil
	return errors.Join(errs...)
}

// read runs fn on a reader; the statement that fn runs ends when ctx does.
func (db *DB) read(ctx context.Context, fn func(c *conn) error) error {
	c, err := db.readers.get(ctx)
	if err != nil {
		return err
	}
	defer db.readers.put(c)
	done := c.watch(ctx)
	defer done()
	return interrupted(ctx, fn(c))
}

// interrupted prefers the reason why a statement was interrupted.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
