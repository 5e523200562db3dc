package wrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Export is a function that is served.
type Export[P any] struct {
	Function
	// Queue is the queue group, in which one server gets each call. Function.Prefix if empty.
	Queue string
	// Decode reads the parameters. Those that are a part of the decoder's slice are valid until Handle returns.
	Decode func(*Decoder) P
	// Handle returns the encoded results. Its context ends when the Conn is closed and
	// when it is drained for too long. An error, which is logged, and a panic are sent as
	// no result: the protocol has no word for them. An error of WIT is a Result.
	Handle func(ctx context.Context, header nats.Header, params P) ([]byte, error)
	// MaxHandlers is how many calls are handled at the same time, 1024 if zero. Calls begin
	// in the order in which their parameters are there, so with 1 they are also handled
	// in that order.
	MaxHandlers int
}

// Served is a function that is served until its Drain or that of the Conn.
type Served struct {
	conn     *Conn
	name     string
	log      *slog.Logger
	prepare  func(header nats.Header, params []byte) (handler, error)
	slots    chan struct{}
	sub      *nats.Subscription
	stopping chan struct{} // nothing more comes, so what is there need not wait in the callback
	stopOnce sync.Once
	stopped  chan struct{} // closed after the last callback
	last     chan struct{} // closed when the last call that waits outside the callback has its slot; used by the callback only
	work     sync.WaitGroup
}

// handler handles a call whose parameters are decoded.
type handler func(context.Context) ([]byte, error)

// Serve subscribes to the calls of e. They come when the server has got the
// subscription, of which a Flush of the connection is the confirmation.
//
// A call that the Conn has no memory for, and one whose parameters do not decode, gets a
// handshake and no result. Parameters that are longer than one message are collected
// beside the others: who does not send them to the end holds up nobody else.
func Serve[P any](c *Conn, e Export[P]) (*Served, error) {
	if e.Queue == "" {
		e.Queue = e.Prefix
	}
	if e.MaxHandlers <= 0 {
		e.MaxHandlers = defaultMaxHandlers
	}
	prepare := func(header nats.Header, params []byte) (handler, error) {
		d := NewDecoder(params)
		p := e.Decode(d)
		if d.Err() != nil {
			return nil, d.Err()
		}
		handle := func(ctx context.Context) ([]byte, error) { return e.Handle(ctx, header, p) }
		if c.o.Around == nil {
			return handle, nil
		}
		return func(ctx context.Context) ([]byte, error) { return c.o.Around(ctx, e.Function, header, handle) }, nil
	}
	s := &Served{
		conn: c, name: e.Name, log: c.log.With("function", e.Name), prepare: prepare,
		slots: make(chan struct{}, e.MaxHandlers), stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := s.subscribe(e.Subject(), e.Queue); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Served) subscribe(subject, queue string) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	var err error
	if s.sub, err = c.nats.QueueSubscribe(subject, queue, s.call); err != nil {
		return fmt.Errorf("wrpc: serve %s: %w", s.name, err)
	}
	s.sub.SetClosedHandler(func(string) { close(s.stopped) })
	if err := s.sub.SetPendingLimits(nats.DefaultSubPendingMsgsLimit, c.o.MaxQueued); err != nil {
		_ = s.sub.Unsubscribe()
		return fmt.Errorf("wrpc: serve %s: %w", s.name, err)
	}
	if !s.sub.IsValid() { // closed before it had the handler
		return ErrClosed
	}
	c.served[s] = true
	return nil
}

// Drain stops serving and waits until the calls that were received are over, or ctx is.
func (s *Served) Drain(ctx context.Context) error {
	s.stop()
	if err := s.wait(ctx); err != nil {
		return err
	}
	over := make(chan struct{})
	go func() { // ends when the handlers do
		s.work.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wrpc: %s was not drained in time: %w", s.name, context.Cause(ctx))
	}
}

// stop asks the server for no more calls; those that are on their way still come.
func (s *Served) stop() {
	s.stopOnce.Do(func() {
		s.conn.mu.Lock()
		delete(s.conn.served, s)
		s.conn.mu.Unlock()
		close(s.stopping)
		_ = s.sub.Drain() // fails only if there is nothing left to drain
	})
}

// wait returns after the last call was received.
func (s *Served) wait(ctx context.Context) error {
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wrpc: %s was not drained in time: %w", s.name, context.Cause(ctx))
	}
}

// call is the callback of the subscription: it runs alone, in the order of arrival.
func (s *Served) call(m *nats.Msg) {
	if m.Reply == "" {
		s.log.Warn("a call without a subject for the answer is dropped")
		return
	}
	handle, err := s.decode(m.Header, m.Data)
	if errors.Is(err, ErrShort) {
		s.collect(m)
		return
	}
	r, full := s.conn.serve(len(m.Data), true)
	if full != nil {
		s.refuse(m.Reply, full)
		return
	}
	s.handshake(m.Reply, r)
	if err != nil {
		s.work.Go(func() {
			defer r.close()
			s.fail(m.Reply, r, err)
		})
		return
	}
	wait := s.enter()
	s.work.Go(func() {
		defer r.close()
		s.run(m.Reply, r, handle, wait)
	})
}

// collect waits for the rest of the parameters beside the callback, and handles the call then.
func (s *Served) collect(m *nats.Msg) {
	r, err := s.conn.serve(len(m.Data), false)
	if err != nil {
		s.refuse(m.Reply, err)
		return
	}
	if err := r.add(m.Data); err != nil {
		r.finish(err)
	}
	s.handshake(m.Reply, r)
	s.work.Go(func() {
		defer r.close()
		ctx, cancel := context.WithTimeoutCause(s.conn.ctx, s.conn.o.Timeout, ErrTimeout)
		defer cancel()
		s.repeat(ctx, m.Reply, r)
		select {
		case <-r.done:
		case <-ctx.Done():
			r.finish(context.Cause(ctx))
		}
		params, err := r.result()
		var handle handler
		if err == nil {
			handle, err = s.decode(m.Header, params)
		}
		if err != nil {
			s.fail(m.Reply, r, err)
			return
		}
		s.run(m.Reply, r, handle, s.slot)
	})
}

// decode contains a panic of Export.Decode.
func (s *Served) decode(header nats.Header, params []byte) (h handler, err error) {
	defer contain(&err)
	return s.prepare(header, params)
}

// enter waits for a free slot, which holds up the calls behind this one: they begin in
// the order of arrival. While stopping, the subscription must become empty, so what
// enter returns has to be called in the goroutine of the call, and waits there; each
// waits for the one before it, which keeps the order.
func (s *Served) enter() func() error {
	if s.last == nil {
		select {
		case s.slots <- struct{}{}:
			return nil
		case <-s.stopping:
		}
	}
	before, mine := s.last, make(chan struct{})
	s.last = mine
	return func() error {
		defer close(mine)
		if before != nil {
			<-before
		}
		return s.slot()
	}
}

func (s *Served) slot() error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-s.conn.ctx.Done():
		return ErrClosed
	}
}

// run handles a call that has a slot after wait, or now if wait is nil.
func (s *Served) run(reply string, r *receiver, handle handler, wait func() error) {
	if wait != nil {
		if err := wait(); err != nil {
			s.fail(reply, r, err)
			return
		}
	}
	result, err := s.guard(handle)
	<-s.slots
	if err != nil {
		s.fail(reply, r, err)
		return
	}
	s.answer(reply, r, result)
}

func (s *Served) guard(handle handler) (result []byte, err error) {
	defer contain(&err)
	return handle(s.conn.ctx)
}

// contain makes a panic an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// handshake tells the caller where the server listens.
func (s *Served) handshake(reply string, r *receiver) {
	s.publish(reply, s.conn.inbox.subject(r.token))
}

func (s *Served) publish(reply, peer string) {
	if err := s.conn.nats.PublishRequest(reply, peer, nil); err != nil {
		s.log.Warn("a call could not be answered", "error", err)
	}
}

// When a handshake is sent again that nothing has come of, and when nothing more is waited for.
var again = []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond}

// repeat waits until the caller has ended its parameters, or is sending them, or ctx is over, and sends the handshake
// again meanwhile. A caller that has the first handshake does not look at others.
func (s *Served) repeat(ctx context.Context, reply string, r *receiver) {
	begin := time.Now()
	for i, after := range again {
		timer := time.NewTimer(after - time.Since(begin))
		select {
		case <-r.done:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if heard, _ := r.heardOf(); heard && !r.whole {
			return
		}
		if i < len(again)-1 {
			s.publish(reply, s.conn.inbox.subject(r.token)+"."+strings.TrimSuffix(repeated, "."))
		}
	}
}

// answer sends the result of a call. A caller may miss what comes before it has noted that it waits for it, and shows by the
// end of its parameters that it has. So the end of the result, and a result that is more than one message, wait for that. A
// shorter one is sent at once, because most callers are ready, and again to one that has had the repeated handshake only:
// decoders read one result and no more.
func (s *Served) answer(reply string, r *receiver, result []byte) {
	subject, early := reply+".results", false
	select {
	case <-r.done:
	default:
		err := r.hold(len(result))
		if early = err == nil && len(result) > 0 && len(result) <= s.conn.chunk(); early {
			err = s.conn.nats.Publish(subject, result)
		}
		if err == nil { // otherwise waiting would not help, or hold too much
			s.repeat(s.conn.ctx, reply, r)
		}
	}
	if _, second := r.heardOf(); early && !second {
		result = nil
	}
	if err := s.conn.send(subject, result, func() bool { return false }); err != nil {
		s.log.Warn("the result of a call could not be sent", "error", err)
	}
}

// fail ends a call without a result, and says why here because the caller cannot be told.
func (s *Served) fail(reply string, r *receiver, why error) {
	s.log.Warn("a call has failed", "error", why)
	s.answer(reply, r, nil)
}

// refuse ends a call that there is no room for, at once.
func (s *Served) refuse(reply string, why error) {
	s.log.Warn("a call has failed", "error", why)
	s.publish(reply, s.conn.inbox.subject(token()))
	if err := s.conn.nats.Publish(reply+".results", nil); err != nil {
		s.log.Warn("the result of a call could not be sent", "error", err)
	}
}
