package wrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// What Options say if they say nothing.
const (
	defaultTimeout     = 10 * time.Second
	defaultMaxBody     = 64<<20 + 64<<10 // a body of 64 MiB with its subjects
	defaultMaxHeld     = 256 << 20
	defaultMaxQueued   = 16 << 20
	defaultMaxHandlers = 1024
)

// The ends of a call that are not a result. More are StatusError and DecodeError.
var (
	// ErrNoServer says that nobody serves the function: the answer of NATS with status 503.
	ErrNoServer = errors.New("wrpc: nobody serves this function")
	// ErrNoResult says that the server has ended the call without a result, which is all
	// that the protocol says of a server's failure.
	ErrNoResult = errors.New("wrpc: the server has failed and sent no result")
	// ErrTimeout says that the call was not over in time. It wraps context.DeadlineExceeded.
	ErrTimeout = fmt.Errorf("wrpc: the call was not over in time: %w", context.DeadlineExceeded)
	// ErrTooLarge says that parameters or results are larger than Options.MaxBody.
	ErrTooLarge = errors.New("wrpc: the values are larger than allowed")
	// ErrFull says that Options.MaxHeld bytes are held by other calls.
	ErrFull = errors.New("wrpc: other calls hold all the memory that is allowed")
	// ErrLost says that NATS dropped messages of this connection, some of which may belong to the call.
	ErrLost = errors.New("wrpc: messages of this connection were dropped")
	// ErrHeader says that the headers leave no room in a message.
	ErrHeader = errors.New("wrpc: the headers are larger than a message may be")
	// ErrProtocol says that the other side does not follow the protocol.
	ErrProtocol = errors.New("wrpc: the other side broke the protocol")
	// ErrClosed says that the Conn is closed.
	ErrClosed = errors.New("wrpc: the connection is closed")
)

// StatusError is an answer of NATS other than 503 in place of one of the server: 408 is
// also a context.DeadlineExceeded.
type StatusError struct {
	Code        string // three digits
	Description string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("wrpc: NATS answers %s %s", e.Code, e.Description)
}

// Is makes 408 a deadline.
func (e *StatusError) Is(target error) bool {
	return e.Code == "408" && target == context.DeadlineExceeded
}

// Options describe a Conn. The zero value works.
type Options struct {
	// Timeout is for a whole call whose context has no deadline, and for the parameters
	// of a served call to arrive. 10 s if zero.
	Timeout time.Duration
	// MaxBody is how many bytes the parameters or the results of one call may have,
	// 64 MiB and 64 KiB if zero.
	MaxBody int
	// MaxHeld is how many bytes of parameters and results may be in memory at once, for
	// all calls together: until the result of a handler is sent, and until Invoke has
	// returned. A call counts for 4 KiB besides. 256 MiB if zero.
	MaxHeld int
	// MaxQueued is how many bytes of calls may wait for a handler of one function;
	// what comes then is dropped by NATS. 16 MiB if zero.
	MaxQueued int
	// MaxChunk bounds the bytes sent in one message. The server's max_payload if zero or larger.
	MaxChunk int
	// Around, if set, is called in the place of each handler of a served function, and calls it: for traces and numbers.
	// What it returns is the result. The context that it hands on should be one of its own.
	Around func(ctx context.Context, f Function, header nats.Header, handle func(context.Context) ([]byte, error)) ([]byte, error)
	// Log hears of failed handlers and of calls that cannot be answered. slog.Default if nil.
	Log *slog.Logger
}

// Conn invokes and serves functions over one connection to NATS, with one subscription
// for all answers and parameters. All of its methods may be called at the same time.
type Conn struct {
	nats  *nats.Conn
	o     Options
	log   *slog.Logger
	inbox *inbox

	ctx    context.Context // of handlers
	cancel context.CancelFunc

	mu     sync.Mutex
	held   int              // bytes; see MaxHeld
	calls  int              // invoked and served, not over
	closed bool             // no new ones
	idle   chan struct{}    // closed when calls is 0 while a Drain waits
	served map[*Served]bool // not drained
}

// New subscribes to an inbox of nc, which honours nats.CustomInboxPrefix. nc stays the
// caller's: Close does not close it. There should be one Conn for each connection.
func New(nc *nats.Conn, o Options) (*Conn, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxHeld <= 0 {
		o.MaxHeld = defaultMaxHeld
	}
	if o.MaxQueued <= 0 {
		o.MaxQueued = defaultMaxQueued
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	c := &Conn{nats: nc, o: o, log: o.Log, served: make(map[*Served]bool)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	var err error
	if c.inbox, err = subscribe(nc, o.MaxHeld); err != nil {
		c.cancel()
		return nil, fmt.Errorf("wrpc: %w", err)
	}
	return c, nil
}

// Drain stops serving, waits until every call that was received or invoked is over and
// its result is with the server, and closes. New calls may be invoked as long as others
// are not over, because a handler may need them. When ctx ends first, the contexts of
// handlers are cancelled and what is left is given up: the error says how much.
func (c *Conn) Drain(ctx context.Context) error {
	err := c.StopServing(ctx)
	err = errors.Join(err, c.finish(ctx))
	c.Close()
	if err != nil || c.nats.IsClosed() {
		return err
	}
	if err := flush(ctx, c.nats, c.o.Timeout); err != nil {
		return fmt.Errorf("wrpc: the last results may not have been sent: %w", err)
	}
	return nil
}

// StopServing is for a connection that another one has taken over from: it asks the server for no more calls, and returns
// when those that were on their way have come, or with the error of ctx. They are handled, and functions can be invoked as
// before, until Drain.
func (c *Conn) StopServing(ctx context.Context) error {
	var err error
	for _, s := range c.stop() {
		err = errors.Join(err, s.wait(ctx))
	}
	return err
}

// Close gives up at once: the contexts of handlers are cancelled and calls that are
// invoked end with ErrClosed. Calls that were received and not begun get no result. It
// does not wait for handlers that go on nevertheless; what they return is still sent while
// the connection is open.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.stop()
	c.inbox.close()
}

// stop stops serving, and returns what was served.
func (c *Conn) stop() []*Served {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.served))
	c.mu.Unlock()
	for _, s := range all {
		s.stop()
	}
	return all
}

// finish waits until there are no calls, after which there can be no new ones.
func (c *Conn) finish(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.calls == 0 || c.closed {
			c.closed = true
			c.mu.Unlock()
			return nil
		}
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle := c.idle
		c.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			c.closed = true
			return fmt.Errorf("wrpc: %d calls were not over in time: %w", c.calls, context.Cause(ctx))
		}
	}
}

// callCost is what a call counts for besides its bytes: goroutine, timer, table entry.
const callCost = 4 << 10

// begin counts a call.
func (c *Conn) begin(bytes int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.held+bytes+callCost > c.o.MaxHeld:
		return ErrFull
	}
	c.calls++
	c.held += bytes + callCost
	return nil
}

// hold counts more bytes of a call.
func (c *Conn) hold(bytes int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held+bytes > c.o.MaxHeld {
		return ErrFull
	}
	c.held += bytes
	return nil
}

// end is for a call that holds so many bytes.
func (c *Conn) end(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held -= bytes + callCost
	c.calls--
	if c.calls == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// chunk is how many bytes go into one message that has no headers.
func (c *Conn) chunk() int {
	n := int(c.nats.MaxPayload())
	if n <= 0 {
		n = 1 << 20 // the default of the server, before it has said anything
	}
	if c.o.MaxChunk > 0 {
		n = min(n, c.o.MaxChunk)
	}
	return n
}

// send publishes data to subject in as many messages as it takes, and the empty one that
// ends it, unless stop says that nobody waits for it. An empty message is an end, so none
// is sent before.
func (c *Conn) send(subject string, data []byte, stop func() bool) error {
	for len(data) > 0 && !stop() {
		n := min(len(data), c.chunk())
		if err := c.nats.Publish(subject, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return c.nats.Publish(subject, nil)
}

func flush(ctx context.Context, nc *nats.Conn, timeout time.Duration) error {
	if _, ok := ctx.Deadline(); !ok { // which FlushWithContext insists on
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return nc.FlushWithContext(ctx)
}
