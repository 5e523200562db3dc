package secrets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
)

// The defaults of a Config.
const (
	DefaultTopic      = "wasmcloud.secrets"
	defaultInFlight   = 64
	defaultMaxRequest = 64 << 10
	defaultTimeout    = 5 * time.Second // hosts wait for 10
	waitingPerWorker  = 16
)

// Config describes a Backend. Conn, Name, Transit and the Issuers of the Terms are needed.
type Config struct {
	// Conn is the connection to the NATS that the hosts' control connections use. It stays the caller's. Its user subscribes to
	// {topic}.v1alpha1.{name}.>, and publishes to _INBOX.> and {topic}.v1alpha1.{name}.rotated.>.
	Conn *natsconn.Conn
	// Topic is what hosts are started with (--secrets-topic), "wasmcloud.secrets" if empty; Name is the backend in a reference.
	Topic, Name string
	// Transit is the key that requests are sealed for, with Config.Present and CheckTransit. Hosts remember its public part while they
	// run, so its overlap should be longer than that.
	Transit *credential.Credential
	// MintKey is what the user keys of minted logins follow from: 32 bytes or more, the same at all instances. Needed with a Mint.
	MintKey credential.Secret

	// InFlight is how many requests are worked on at once, 64 if zero; 16 times as many may wait, and what comes beyond is dropped.
	InFlight int
	// MaxRequest bounds a request, 64 KiB if zero.
	MaxRequest int
	// Timeout bounds the wait for a source, 5 s if zero.
	Timeout time.Duration

	// Log is told what an operator should know, Audit of each request; the same if Audit is nil.
	Log, Audit *slog.Logger
	// Observe is called for each request that was answered, by several goroutines. It may be nil.
	Observe func(Observation)
	// Now replaces the wall clock, for tests.
	Now func() time.Time

	random io.Reader // of what answers are sealed with
}

// Backend answers the requests of hosts. Several instances, also in several processes, share the work when they have the same Name,
// Transit and MintKey: they are one queue group.
type Backend struct {
	cfg     Config
	base    string // of all subjects
	transit *credential.Presenter[Transit]
	audit   *auditor
	rounds  rounds
	places  chan struct{} // one for each request that is worked on
	work    sync.WaitGroup

	ctx    context.Context
	cancel context.CancelFunc
	terms  atomic.Pointer[inUse]

	mu   sync.Mutex // of what follows
	subs []*natsconn.Subscription
	done bool
}

// inUse are Terms in use.
type inUse struct {
	Terms
	keys map[string]*held
	end  func() // nothing is told of its keys any more
}

// New makes a backend. The error joins all that is wrong with cfg and terms.
func New(cfg Config, terms Terms) (*Backend, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	b := &Backend{cfg: cfg, base: cfg.Topic + "." + Version + "." + cfg.Name, audit: &auditor{log: cfg.Audit}, places: make(chan struct{}, cfg.InFlight)}
	var err error
	if b.transit, err = credential.NewPresenter(cfg.Transit, DecodeTransit); err != nil {
		return nil, err
	}
	next, err := b.use(terms)
	if err != nil {
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.terms.Store(next)
	return b, nil
}

func (cfg *Config) complete() error {
	if cfg.Topic == "" {
		cfg.Topic = DefaultTopic
	}
	err := errors.Join(checkName("topic", cfg.Topic), checkName("name", cfg.Name))
	if cfg.Conn == nil || cfg.Transit == nil {
		err = errors.Join(err, errors.New("a connection and a transit key are needed"))
	}
	if cfg.InFlight < 0 || cfg.MaxRequest < 0 || cfg.Timeout < 0 {
		err = errors.Join(err, errors.New("a bound is negative"))
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = defaultInFlight
	}
	if cfg.MaxRequest == 0 {
		cfg.MaxRequest = defaultMaxRequest
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Audit == nil {
		cfg.Audit = cfg.Log
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Observation) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.random == nil {
		cfg.random = rand.Reader
	}
	return err
}

// use makes terms ready.
func (b *Backend) use(terms Terms) (*inUse, error) {
	if err := terms.Check(); err != nil {
		return nil, err
	}
	next := &inUse{Terms: terms, keys: make(map[string]*held, len(terms.Keys)), end: func() {}}
	for name, key := range terms.Keys {
		if (key.Credential == nil) == (key.Mint == nil) || key.Mint != nil && key.Mint.Signing == nil {
			return nil, fmt.Errorf("keys.%s: is either stored or minted, and needs a credential", name)
		}
		if key.Mint != nil && b.cfg.MintKey.Len() < 32 {
			return nil, fmt.Errorf("keys.%s: minting needs a MintKey of 32 bytes or more", name)
		}
		h, err := key.hold(terms.Revoked.Versions[name])
		if err != nil {
			return nil, fmt.Errorf("keys.%s: %w", name, err)
		}
		next.keys[name] = h
	}
	return next, nil
}

// Start begins to answer. It returns when the server has the subscriptions, or at once while there is no connection. The error
// wraps nats.ErrPermissionViolation when the login may not subscribe.
func (b *Backend) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done || len(b.subs) > 0 {
		return errors.New("secrets: started already")
	}
	queue := "wasmcloud_secrets." + b.cfg.Name // also of other implementations of the protocol
	for _, s := range []struct {
		operation string
		handle    func(*nats.Msg)
	}{{"server_xkey", b.serverKey}, {"get", b.received}} {
		sub, err := b.cfg.Conn.QueueSubscribe(b.base+"."+s.operation, queue, s.handle)
		if err != nil {
			for _, sub := range b.subs {
				_ = sub.Unsubscribe()
			}
			b.subs = nil
			return err
		}
		sub.SetPendingLimits(waitingPerWorker*b.cfg.InFlight, waitingPerWorker*b.cfg.InFlight*b.cfg.MaxRequest)
		b.subs = append(b.subs, sub)
	}
	if terms := b.terms.Load(); !b.done {
		terms.end = b.follow(terms.keys)
	}
	return nil
}

// Replace puts other terms into effect for the requests that come from now on, all of them or, with an error, none.
func (b *Backend) Replace(terms Terms) error {
	next, err := b.use(terms)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.terms.Load()
	if len(b.subs) > 0 {
		next.end = b.follow(next.keys)
	}
	b.terms.Store(next)
	before.end()
	for _, name := range slices.Sorted(maps.Keys(next.keys)) {
		for _, version := range next.Revoked.Versions[name] {
			if !slices.Contains(before.Revoked.Versions[name], version) && len(b.subs) > 0 {
				b.tell(Rotation{Key: name, Version: version, Revoked: true})
			}
		}
	}
	return nil
}

// Drain asks the server for no more requests, answers those that have come, and ends. When ctx ends before that, what is under way is
// given up and the error is that of ctx.
func (b *Backend) Drain(ctx context.Context) error {
	b.mu.Lock()
	subs := b.subs
	b.subs, b.done = nil, true
	b.terms.Load().end()
	b.mu.Unlock()
	var failed error
	for _, sub := range subs {
		failed = errors.Join(failed, sub.Drain(ctx))
	}
	ended := context.AfterFunc(ctx, b.cancel)
	b.work.Wait()
	ended()
	b.cancel()
	return errors.Join(failed, ctx.Err())
}

// serverKey answers with the transit key that is current.
func (b *Backend) serverKey(m *nats.Msg) {
	if m.Reply == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Timeout)
	defer cancel()
	lease, err := b.transit.Acquire(ctx)
	if err != nil {
		b.cfg.Log.Error("a host asks for the transit key, and there is none", "event", "wasmcloud_secret_transit", "error", err.Error())
		b.respond(m, nil, b.clear(refuse(UpstreamError, "there is no transit key")))
		return
	}
	b.respond(m, nil, []byte(lease.Value.Public))
}

// received has a request worked on, and waits while there are too many: then the server's messages wait.
func (b *Backend) received(m *nats.Msg) {
	select {
	case b.places <- struct{}{}:
	case <-b.ctx.Done():
		return
	}
	b.work.Go(func() {
		defer func() { <-b.places }()
		b.serve(m)
	})
}

// respond answers. That the host does not hear it is for the host to notice.
func (b *Backend) respond(m *nats.Msg, header nats.Header, data []byte) {
	if err := b.cfg.Conn.PublishMsg(&nats.Msg{Subject: m.Reply, Header: header, Data: data}); err != nil {
		b.cfg.Log.Warn("an answer could not be sent", "event", "wasmcloud_secret_answer", "error", err.Error())
	}
}
