package messaging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud"
)

const (
	againFirst = 500 * time.Millisecond // after an attempt that failed, doubling
	againLast  = 30 * time.Second
)

// errEnded says that the link was deleted and its grace is over: another one takes its place.
var errEnded = errors.New("messaging: the link has ended")

// link is a link from its first PutLink to the end of the grace after DeleteLink.
type link struct {
	p     *Provider
	key   wasmcloud.Key
	title string
	log   *slog.Logger

	ctx    context.Context // of connecting; ends when the link does
	cancel context.CancelFunc
	calls  context.Context // of what is under way; ends when nothing may go on
	stop   context.CancelFunc

	settings atomic.Pointer[settings]
	wire     atomic.Pointer[wire] // nil while there is none
	first    chan struct{}        // closed when there is one
	listened atomic.Pointer[[]*natsconn.Subscription]
	gate     gate
	count    counters
	told     atomic.Int64 // when a failure was logged last

	// serial is held while the link changes, which may take as long as a connect.
	serial sync.Mutex
	own    level

	mu       sync.Mutex
	ended    bool
	ending   *time.Timer // until the grace is over; nil unless deleted
	problem  error       // why the settings that are wanted are not all in use
	since    time.Time
	retrying bool
	gone     map[consumer]bool // consumers that the server has no more
	seen     sight
}

func newLink(p *Provider, key wasmcloud.Key) *link {
	l := &link{p: p, key: key, title: title(p.host.ProviderID(), key), gone: make(map[consumer]bool), first: make(chan struct{})}
	l.log = p.log.With("link", l.title)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.calls, l.stop = context.WithCancel(context.Background())
	return l
}

// title names a link for people, in the direction of the calls.
func title(provider string, key wasmcloud.Key) string {
	from, to := provider, key.Component
	if key.Role == wasmcloud.Target {
		from, to = to, from
	}
	if key.Name == "" || key.Name == "default" {
		return from + "->" + to
	}
	return from + "->" + to + " (" + key.Name + ")"
}

// put makes the link be like what the host says it is. An error is one that another attempt does not help.
func (l *link) put(own level) error {
	l.serial.Lock()
	defer l.serial.Unlock()
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		own.wipe()
		return errEnded
	}
	if l.ending != nil {
		l.ending.Stop()
		l.ending = nil
		l.log.Info("the link is taken over by a new one of its name", "event", "messaging_taken_over")
	}
	l.mu.Unlock()
	l.own.wipe()
	l.own = own
	return l.apply()
}

// reapply is put after the provider's own config changed.
func (l *link) reapply() error {
	l.serial.Lock()
	defer l.serial.Unlock()
	l.mu.Lock()
	ended := l.ended
	l.mu.Unlock()
	if ended {
		return nil
	}
	return l.apply()
}

// apply merges and reconciles, with serial held. What cannot work leaves what was before in use.
func (l *link) apply() error {
	s, err := l.p.merge(l.own, l.key)
	if err != nil {
		l.fail(err)
		return err
	}
	before := l.settings.Load()
	if before != nil && same(before, s) {
		if l.isRetrying() {
			return nil
		}
		l.fail(nil)
		return nil
	}
	l.p.warn(l, before, s)
	l.settings.Store(s)
	if err := l.reconcile(); err != nil {
		l.log.Warn("the link does not work yet, it is tried again until it does", "event", "messaging_link", "error", err.Error())
		l.fail(err)
		l.again()
		return nil
	}
	l.fail(nil)
	if w := l.wire.Load(); !l.usable(w) {
		l.log.Warn("the link is not connected to NATS yet, it is tried again until it is", "event", "messaging_link", "error", trouble(w.conn, w.conn.Health()).Error())
	}
	return nil
}

// same reports whether two settings differ in nothing that has an effect.
func same(a, b *settings) bool { return reflect.DeepEqual(a.effective(), b.effective()) }

func (s *settings) effective() settings {
	e := *s
	e.users, e.fromConfig, e.ofProvider, e.notes, e.tls = nil, nil, nil, nil, tlsSettings{} // what matters of them is in connection
	e.login = login{kind: s.login.kind, reference: s.login.reference, digest: s.login.digest}
	return e
}

// fail notes why the link is not as it should be, nil if it is.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.problem == nil {
		l.since = time.Now()
	}
	l.problem = err
}

func (l *link) isRetrying() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retrying
}

// again reconciles until it succeeds, in the background.
func (l *link) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retrying || l.ended {
		return
	}
	l.retrying = true
	l.p.work.Go(func() {
		for wait := againFirst; ; wait = min(2*wait, againLast) {
			select {
			case <-time.After(wait/2 + time.Duration(rand.Int64N(int64(wait)))):
			case <-l.ctx.Done():
				return
			}
			if l.attempt() {
				return
			}
		}
	})
}

// attempt reports whether no other is needed.
func (l *link) attempt() bool {
	l.serial.Lock()
	defer l.serial.Unlock()
	if l.ctx.Err() != nil {
		return true
	}
	err := l.reconcile()
	l.fail(err)
	if err != nil {
		l.log.Debug("the link does not work yet", "event", "messaging_link", "error", err.Error())
		return false
	}
	l.mu.Lock()
	l.retrying = false
	more := len(l.gone) > 0
	l.mu.Unlock()
	if more {
		l.again()
	}
	l.log.Info("the link works", "event", "messaging_link")
	return true
}

// remove ends the link when the grace is over, unless it is put again before.
func (l *link) remove() {
	grace := defaults(false).grace
	if s := l.settings.Load(); s != nil {
		grace = s.grace
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.ending != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(grace, func() {
		l.mu.Lock()
		mine := l.ending == timer
		l.mu.Unlock()
		if mine {
			l.p.expire(l, timer)
		}
	})
	l.ending = timer
}

// close has nothing new begin. It reports whether the link was open; with a timer only if that has not been stopped since.
func (l *link) close(timer *time.Timer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || timer != nil && l.ending != timer {
		return false
	}
	if l.ending != nil {
		l.ending.Stop()
	}
	l.ended = true
	l.cancel() // an attempt to connect gives up
	return true
}

// end waits for what is under way until ctx ends, and closes the connection. The link is closed.
func (l *link) end(ctx context.Context) {
	l.serial.Lock()
	defer l.serial.Unlock()
	if w := l.wire.Load(); w != nil {
		l.wire.Store(nil)
		l.retire(ctx, w)
	}
	_ = l.gate.empty(ctx)
	l.stop()
	_ = l.gate.empty(context.WithoutCancel(ctx)) // calls give up with their context
	l.own.wipe()
	if s := l.settings.Load(); s != nil {
		s.login.value.Wipe()
		for _, secret := range s.login.fields {
			secret.Wipe()
		}
	}
}

// token makes of any text a token of a subject.
func token(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, text)
}

// short is a token that differs when one of the parts does.
func short(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
