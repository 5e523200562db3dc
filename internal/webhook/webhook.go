// Package webhook runs cloud code that is a web server: hooks that the application declares over /hooks are stored in the class _Hooks, and
// are the layer [cloud.WebhooksLayer] of its cloud code (contract parse-api.md, 5.5).
//
// webhook.go is the service: what is declared, and how all nodes learn of it; call.go is one call; payload.go what is sent, answer.go what
// an answer means; allow.go which addresses may be called.
package webhook

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Options bound what hooks may do. The zero value is good.
type Options struct {
	// Timeout of one call; 0 is that of cloud code.
	Timeout time.Duration
	// MaxAnswer bounds an answer in bytes; 0 is 10 MiB.
	MaxAnswer int64
	// MaxConcurrent bounds the calls of one host at a time; more wait, for as long as their Timeout. 0 is 128.
	MaxConcurrent int
	// Allow are the hosts that may be called: names, "*.example.com" for all below one, addresses and CIDR ranges. Nil allows all.
	Allow []string
}

// Check tells what is wrong with the options.
func (o Options) Check() error {
	_, err := parseAllow(o.Allow)
	return err
}

// Config is what the service needs.
type Config struct {
	Options
	Store   storage.Adapter
	Schemas *schemas.Schemas
	Hooks   *cloud.Hooks
	// Key is sent with each call; nil for none.
	Key func() *credential.Presenter[credential.Secret]
	Log *slog.Logger
	// Bus tells the other nodes of changes; nil for one node. Every is how often the database is asked for changes that no bus tells: 0 for never.
	Bus   pubsub.Bus
	Every time.Duration
	// Transport carries the calls; nil for one of its own. For tests.
	Transport http.RoundTripper
}

// Subject is where on the bus nodes tell that hooks have changed.
const Subject = "hooks"

// Hook is what is declared: of a function, or of a trigger.
type Hook struct {
	Function string
	Class    string
	Trigger  cloud.Kind
	URL      string
}

// class where hooks are stored.
const class = "_Hooks"

// Service is the hooks of one application. It is safe for concurrent use.
type Service struct {
	cfg    Config
	client *http.Client
	allow  *allowList

	reload sync.Mutex // one reading at a time, so that the newest wins
	wake   chan struct{}
	stop   context.CancelFunc
	done   sync.WaitGroup
	undo   []func()
}

// New returns the service. It fails when Options.Allow is wrong.
func New(cfg Config) (*Service, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = 10 << 20
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = 128
	}
	if cfg.Key == nil {
		cfg.Key = func() *credential.Presenter[credential.Secret] { return nil }
	}
	allow, err := parseAllow(cfg.Allow)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, allow: allow, wake: make(chan struct{}, 1)}
	if cfg.Transport == nil {
		cfg.Transport = s.transport()
	}
	s.client = &http.Client{Transport: cfg.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// Start reads what is declared and begins to follow what other nodes change.
func (s *Service) Start(ctx context.Context) error {
	if err := s.Reload(ctx); err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if s.cfg.Bus != nil {
		sub, err := s.cfg.Bus.Subscribe(Subject, func(pubsub.Message) { s.poke() })
		if err != nil {
			s.stop()
			return err
		}
		s.undo = append(s.undo, sub.Stop, s.cfg.Bus.Gaps(s.poke))
	}
	s.done.Go(func() { s.follow(ctx) })
	return nil
}

// Stop ends what Start began.
func (s *Service) Stop() {
	if s.stop == nil {
		return
	}
	for _, undo := range s.undo {
		undo()
	}
	s.stop()
	s.done.Wait()
	s.client.CloseIdleConnections()
}

func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// follow reads the hooks anew whenever they may have changed.
func (s *Service) follow(ctx context.Context) {
	var tick <-chan time.Time
	if s.cfg.Every > 0 {
		t := time.NewTicker(s.cfg.Every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick:
		}
		if err := s.Reload(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("reading the webhooks", "error", err.Error())
		}
	}
}

// Reload makes what is stored what runs.
func (s *Service) Reload(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	hooks, err := s.all(ctx, s.cfg.Store, nil)
	if err != nil {
		return err
	}
	code := &cloud.Code{Timeout: s.cfg.Timeout}
	known := map[Hook]bool{}
	for _, hook := range hooks {
		slot := hook
		slot.URL = ""
		to, err := s.target(hook.URL)
		if err == nil && hook.Function == "" {
			err = cloud.Possible(hook.Trigger, hook.Class)
		}
		if err == nil && known[slot] {
			err = errors.New("it is declared twice; the first counts")
		}
		if err != nil {
			s.cfg.Log.Warn("a webhook that is stored does not run", "hook", hook.String(), "reason", err.Error())
			continue
		}
		known[slot] = true
		s.register(code, hook, to)
	}
	return s.cfg.Hooks.SetLayer(cloud.WebhooksLayer, code)
}

func (h Hook) String() string {
	if h.Function != "" {
		return "function " + h.Function
	}
	return string(h.Trigger) + " of " + h.Class
}

// target is the URL of a hook, checked.
func (s *Service) target(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return target{}, errors.New("the URL is not one of http or https")
	}
	if !s.allow.host(u.Hostname()) {
		return target{}, errors.New("the host of the URL is not among those that may be called")
	}
	return target{u}, nil
}

// JSON is the hook as clients read it.
func (h Hook) JSON() *parse.Map {
	if h.Function != "" {
		return parse.NewMap("functionName", h.Function, "url", h.URL)
	}
	return parse.NewMap("className", h.Class, "triggerName", string(h.Trigger), "url", h.URL)
}

// Functions returns the hooks of functions, Triggers those of triggers: in the order of their names.
func (s *Service) Functions(ctx context.Context) ([]Hook, error) {
	return s.all(ctx, s.cfg.Store, func(h Hook) bool { return h.Function != "" })
}

// Triggers returns the hooks of triggers.
func (s *Service) Triggers(ctx context.Context) ([]Hook, error) {
	return s.all(ctx, s.cfg.Store, func(h Hook) bool { return h.Function == "" })
}

// Get returns the hook of the same function or trigger, with its URL. An unknown one is code 143.
func (s *Service) Get(ctx context.Context, of Hook) (Hook, error) {
	found, err := s.find(ctx, s.cfg.Store, of)
	if err == nil && found == nil {
		err = missing(of)
	}
	if err != nil {
		return Hook{}, err
	}
	return *found, nil
}

func missing(of Hook) error {
	if of.Function != "" {
		return parse.Errorf(parse.HookError, "no function named: %s is defined", of.Function)
	}
	return parse.Errorf(parse.HookError, "class %s does not exist", of.Class)
}

// Create stores a hook, which must be new, and has all nodes run it.
func (s *Service) Create(ctx context.Context, hook Hook) error {
	if err := s.check(hook); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx storage.Store, class *schema.Class) error {
		found, err := s.find(ctx, tx, hook)
		switch {
		case err != nil:
			return err
		case found != nil && hook.Function != "":
			return parse.Errorf(parse.HookError, "function name: %s already exists", hook.Function)
		case found != nil:
			return parse.Errorf(parse.HookError, "class %s already has trigger %s", hook.Class, hook.Trigger)
		}
		row := parse.NewObject(class.Name, "objectId", parse.NewID(parse.IDSize)) // without dates, as Parse Server stores it
		for name, v := range hook.JSON().All() {
			row.Set(name, v)
		}
		return tx.Create(ctx, class, row)
	})
}

// Update gives a hook that there is another URL.
func (s *Service) Update(ctx context.Context, hook Hook) error {
	if hook.URL == "" {
		if _, err := s.Get(ctx, hook); err != nil {
			return err
		}
	}
	return s.change(ctx, func(ctx context.Context, tx storage.Store, class *schema.Class) error {
		found, err := s.find(ctx, tx, hook)
		if err == nil && found == nil {
			err = missing(hook)
		}
		if err == nil {
			err = s.check(hook)
		}
		if err == nil {
			_, err = tx.Update(ctx, class, hook.where(), parse.NewMap("url", hook.URL), -1)
		}
		return err
	})
}

// Delete removes a hook. An unknown one is ObjectNotFound.
func (s *Service) Delete(ctx context.Context, hook Hook) error {
	return s.change(ctx, func(ctx context.Context, tx storage.Store, class *schema.Class) error {
		n, err := tx.Delete(ctx, class, hook.where(), -1)
		if err == nil && n == 0 {
			err = parse.Errorf(parse.ObjectNotFound, "Object not found.")
		}
		return err
	})
}

// check tells what is wrong with a declaration.
func (s *Service) check(hook Hook) error {
	if hook.URL == "" || hook.Function == "" && (hook.Class == "" || hook.Trigger == "") {
		return parse.Errorf(parse.HookError, "invalid hook declaration")
	}
	_, err := s.target(hook.URL)
	if err == nil && hook.Function == "" {
		err = cloud.Possible(hook.Trigger, hook.Class)
	}
	if err == nil && hook.Function != "" {
		err = cloud.PossibleName(hook.Function)
	}
	if err != nil {
		return &parse.Error{Code: parse.HookError, Message: "invalid hook declaration", Reason: "invalid hook declaration: " + err.Error()}
	}
	return nil
}

// change runs a change in a transaction, twice when another node was faster, and puts it into effect here and elsewhere.
func (s *Service) change(ctx context.Context, do func(ctx context.Context, tx storage.Store, class *schema.Class) error) error {
	class, err := s.cfg.Schemas.Evolve(ctx, class, &parse.Map{}, nil)
	if err != nil {
		return err
	}
	for range 3 {
		err = s.cfg.Store.Transact(ctx, func(ctx context.Context, tx storage.Store) error { return do(ctx, tx, class) })
		if !errors.Is(err, storage.Transient) {
			break
		}
	}
	if err != nil {
		return err
	}
	if s.cfg.Bus != nil {
		if err := s.cfg.Bus.Publish(ctx, Subject, []byte("changed")); err != nil && !errors.Is(err, pubsub.ErrOffline) {
			s.cfg.Log.Warn("other servers hear later of a changed webhook", "error", err.Error())
		}
	}
	return s.Reload(ctx)
}

func (h Hook) where() query.Node {
	equal := func(key, value string) query.Node { return &query.Constraint{Key: key, Op: query.Eq, Arg: value} }
	if h.Function != "" {
		return equal("functionName", h.Function)
	}
	return query.AndOf(equal("className", h.Class), equal("triggerName", string(h.Trigger)))
}

func (s *Service) find(ctx context.Context, store storage.Store, of Hook) (*Hook, error) {
	for hook, err := range s.read(ctx, store, of.where()) {
		if err != nil {
			return nil, err
		}
		return &hook, nil
	}
	return nil, nil
}

func (s *Service) all(ctx context.Context, store storage.Store, wanted func(Hook) bool) ([]Hook, error) {
	var hooks []Hook
	for hook, err := range s.read(ctx, store, nil) {
		if err != nil {
			return nil, err
		}
		if wanted == nil || wanted(hook) {
			hooks = append(hooks, hook)
		}
	}
	return hooks, nil
}

// inOrder is that of the names: when a hook was declared is not stored, as Parse Server does not store it. All servers need the same
// order, because of two declarations of one thing the first counts.
var inOrder = []query.Order{{Key: "functionName"}, {Key: "className"}, {Key: "triggerName"}, {Key: "objectId"}}

func (s *Service) read(ctx context.Context, store storage.Store, where query.Node) iter.Seq2[Hook, error] {
	return func(yield func(Hook, error) bool) {
		class, ok := s.cfg.Schemas.Class(class)
		if !ok {
			return
		}
		for row, err := range store.Find(ctx, class, &query.Find{ClassName: class.Name, Where: where, Order: inOrder, Limit: -1}) {
			if err != nil {
				yield(Hook{}, err)
				return
			}
			hook := Hook{Function: row.String("functionName"), Class: row.String("className"), Trigger: cloud.Kind(row.String("triggerName")), URL: row.String("url")}
			if !yield(hook, nil) {
				return
			}
		}
	}
}
