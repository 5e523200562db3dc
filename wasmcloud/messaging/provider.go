package messaging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
)

// Options are what a Provider needs besides its host. The zero value works; then credentials= has no source to refer to.
type Options struct {
	// Sources are what references in the config key credentials may name.
	Sources credential.Registry
	// Known are keys of the provider's own config that others read, in lower case: nobody is warned of them. Those that begin
	// with otel_ are always among them.
	Known []string
	// Metrics is where the numbers of Stats go, also after Drain, until it is shut down; nowhere if nil.
	Metrics metric.MeterProvider
	// Now is the wall clock against which the times of a JWT are held, time.Now if nil.
	Now func() time.Time
}

// Provider connects components with NATS. It is a wasmcloud.Provider.
type Provider struct {
	host   wasmcloud.Host
	o      Options
	log    *slog.Logger
	keeper *keeper

	ctx    context.Context // of everything in the background
	cancel context.CancelFunc
	work   sync.WaitGroup

	configuring sync.Mutex // one Configure at a time

	mu      sync.Mutex
	own     level
	strict  bool
	set     bool  // Configure was called
	problem error // what is wrong with the provider's own config
	since   time.Time
	warned  map[string]bool // keys of the provider's config that were warned of
	links   map[wasmcloud.Key]*link
	drained []*link // what links was at the end, for Stats
	closed  bool
}

var _ wasmcloud.Provider = (*Provider)(nil)

// New makes a Provider that is connected to nothing yet.
func New(host wasmcloud.Host, o Options) *Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	log := host.Log()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{
		host: host, o: o, log: log, keeper: newKeeper(o.Sources, credential.Log(log)),
		warned: make(map[string]bool), links: make(map[wasmcloud.Key]*link), own: newLevel("provider", nil, nil, false),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if o.Metrics != nil {
		if err := p.observe(o.Metrics); err != nil {
			log.Warn("the numbers of messaging are not exported", "event", "messaging_metrics", "error", err.Error())
		}
	}
	return p
}

// Configure takes the provider's config and secrets, which are the defaults of all links, and applies what changed to those that
// there are. A config that no link can use is no error, because a link may say otherwise: it is logged, and Health tells. An error
// is what it broke for links that there are; they stay as they were.
func (p *Provider) Configure(_ context.Context, s wasmcloud.Settings) error {
	p.configuring.Lock()
	defer p.configuring.Unlock()
	strict := isStrict(s)
	p.mu.Lock()
	if p.set && strict != p.strict {
		p.log.Warn("strict_compat takes effect when the provider is started again", "event", "messaging_config")
		strict = p.strict
	}
	own := newLevel("provider", s.Config, s.Secrets, strict)
	before := p.own
	p.own, p.strict, p.set = own, strict, true
	all := slices.Collect(maps.Values(p.links))
	p.mu.Unlock()
	p.warnUnknown(p.log, before.unknown, slices.DeleteFunc(slices.Clone(own.unknown), p.known))

	empty := newLevel("link", nil, nil, false)
	_, err := p.merge(empty, wasmcloud.Key{Role: wasmcloud.Source})
	p.mu.Lock()
	if err != nil && p.problem == nil {
		p.since = time.Now()
	}
	p.problem = err
	p.mu.Unlock()
	if err != nil {
		p.log.Warn("the provider's own config is of no use for a link that does not say otherwise", "event", "messaging_config", "error", err.Error())
	}
	errs := make([]error, len(all))
	var work sync.WaitGroup
	for i, l := range all {
		work.Go(func() {
			if err := l.reapply(); err != nil {
				errs[i] = fmt.Errorf("link %s: %w", l.title, err)
			}
		})
	}
	work.Wait()
	before.wipe()
	return errors.Join(errs...)
}

// isStrict reads the one key that says how the others are read.
func isStrict(s wasmcloud.Settings) bool {
	l := newLevel("provider", s.Config, s.Secrets, false)
	defer l.wipe()
	k, _ := named("strict_compat")
	read := &settings{}
	value, _, _ := l.get(k.name)
	return k.set(read, value) == nil && read.strict
}

// known reports whether somebody else reads a key of the provider's config.
func (p *Provider) known(written string) bool {
	lower := strings.ToLower(strings.TrimSpace(written))
	return strings.HasPrefix(lower, "otel_") || slices.Contains(p.o.Known, lower)
}

// merge makes the settings of a link.
func (p *Provider) merge(own level, key wasmcloud.Key) (*settings, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strict {
		return strictMerge(own, p.own, key.Role)
	}
	return merge(own, p.own, key.Role, key.Name)
}

// keyOf is the key under which a link is known. The original does not tell links of one component apart by their names.
func (p *Provider) keyOf(key wasmcloud.Key) wasmcloud.Key {
	key.Name, key.Namespace, key.Package = cmp.Or(key.Name, "default"), cmp.Or(key.Namespace, "wasmcloud"), cmp.Or(key.Package, "messaging")
	if p.strict {
		key.Name = "default"
	}
	return key
}

// PutLink is that of wasmcloud.Provider.
func (p *Provider) PutLink(_ context.Context, wl wasmcloud.Link) error {
	if wl.Role != wasmcloud.Source && wl.Role != wasmcloud.Target || wl.Component == "" {
		return errors.New("messaging: the link names no component, or neither end is the provider")
	}
	for {
		l, exact, err := p.link(wl.Key)
		if err != nil {
			return err
		}
		own := newLevel("link", wl.Config, wl.Secrets, exact)
		unknown := slices.Clone(own.unknown)
		before := l.unknown()
		err = l.put(own)
		if errors.Is(err, errEnded) {
			continue // it has just left the table
		}
		p.warnUnknown(l.log, before, unknown)
		if err != nil {
			return fmt.Errorf("messaging: link %s: %w", l.title, err)
		}
		return nil
	}
}

// link finds or makes a link.
func (p *Provider) link(key wasmcloud.Key) (l *link, exact bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, errors.New("messaging: the provider is shutting down")
	}
	key = p.keyOf(key)
	if l = p.links[key]; l == nil {
		l = newLink(p, key)
		p.links[key] = l
	}
	return l, p.strict, nil
}

// DeleteLink is that of wasmcloud.Provider.
func (p *Provider) DeleteLink(_ context.Context, wl wasmcloud.Link) error {
	p.mu.Lock()
	l := p.links[p.keyOf(wl.Key)]
	p.mu.Unlock()
	if l != nil {
		l.remove()
	}
	return nil
}

// expire ends a link whose grace is over.
func (p *Provider) expire(l *link, timer *time.Timer) {
	p.mu.Lock()
	if p.closed || !l.close(timer) {
		p.mu.Unlock()
		return
	}
	delete(p.links, l.key)
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, lingerWait)
		defer cancel()
		l.end(ctx)
		l.log.Info("the link has ended", "event", "messaging_ended")
	})
	p.mu.Unlock()
}

// Drain is that of wasmcloud.Provider. When ctx ends before everything else has, what is left is given up and the error is that of ctx.
func (p *Provider) Drain(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	all := slices.Collect(maps.Values(p.links))
	p.drained = append(p.drained, all...)
	clear(p.links)
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, p.cancel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var work sync.WaitGroup
		for _, l := range all {
			if l.close(nil) {
				work.Go(func() { l.end(ctx) })
			}
		}
		work.Wait()
		p.work.Wait()
		if stop() {
			p.cancel()
		}
		p.mu.Lock()
		p.own.wipe()
		p.mu.Unlock()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// warn tells once of what a person should know of settings that are new.
func (p *Provider) warn(l *link, before, s *settings) {
	var names []string
	p.mu.Lock()
	for _, name := range s.fromConfig {
		if slices.Contains(s.ofProvider, name) {
			if p.warned[name] {
				continue
			}
			p.warned[name] = true
		} else if before != nil && slices.Contains(before.fromConfig, name) {
			continue
		}
		names = append(names, name)
	}
	p.mu.Unlock()
	if len(names) > 0 && s.strict {
		for _, name := range names { // one for each, as the original has it
			l.log.Warn("secret value ["+name+"] was not found in secrets. Prefer using secrets for sensitive values.", "event", "messaging_secret", "keys", name)
		}
	} else if len(names) > 0 {
		l.log.Warn("what should be a secret comes from config: put it into a secret of the same name", "event", "messaging_secret", "keys", strings.Join(names, ", "))
	}
	for _, note := range append(s.notes, s.login.untimely(p.o.Now())) {
		if note != "" {
			l.log.Warn(note, "event", "messaging_login")
		}
	}
}

// warnUnknown warns once of keys that nobody knows.
func (p *Provider) warnUnknown(log *slog.Logger, before, unknown []string) {
	var texts []string
	for _, written := range unknown {
		if slices.Contains(before, written) {
			continue
		}
		text := fmt.Sprintf("%q", written)
		if near := closest(strings.ToLower(strings.TrimSpace(written))); near != "" {
			text += " (did you mean " + near + "?)"
		}
		texts = append(texts, text)
	}
	if len(texts) > 0 {
		log.Warn("config has keys that mean nothing: "+strings.Join(texts, ", "), "event", "messaging_unknown")
	}
}

// unknown are the keys of the link's config that mean nothing.
func (l *link) unknown() []string {
	l.serial.Lock()
	defer l.serial.Unlock()
	return slices.Clone(l.own.unknown)
}
