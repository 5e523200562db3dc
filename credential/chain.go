package credential

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
)

// Chain makes one Source of several, the one to rely on first: a secrets store, and then, for a start before it can be
// reached or has the value, what stands in plain configuration.
//
// A fallback is asked only as long as no source before it has ever answered in this
// process. Once the store has delivered, or has said that the secret is deleted or not
// usable, an outage is an outage: an old value of the configuration does not come back, also
// when Set.Replace brings another Chain with the same store in it. That a
// fallback supplied the value is told once, as EventFallback. Rotate writes to the first source.
func Chain(primary Source, fallback ...Source) Source {
	sources := append([]Source{primary}, fallback...)
	c := &chain{sources: sources, info: chainInfo(sources)}
	c.last.Store(int32(len(sources) - 1))
	for _, s := range sources {
		if _, ok := s.(Watcher); ok {
			return watchedChain{c}
		}
	}
	return c
}

type chain struct {
	sources []Source
	info    Info
	last    atomic.Int32 // the last source that may still be asked
}

// Fallback says that a source further down a Chain supplied a Payload.
type Fallback struct {
	Source Info
	Err    error // why the first source did not
}

func (f *Fallback) place() string {
	if f == nil {
		return ""
	}
	return f.Source.place()
}

// place names a source for people: "file:/run/secrets/master", "literal".
func (i Info) place() string {
	if i.Location == "" {
		return i.Scheme
	}
	return i.Scheme + ":" + i.Location
}

func (c *chain) Info() Info { return c.info }

// parts marks a chain for ask: each of its sources has an instance of its own.
func (c *chain) parts() []Source { return c.sources }

// Lint implements Linter: what each source says.
func (c *chain) Lint() []string {
	var warnings []string
	for _, s := range c.sources {
		if linter, can := s.(Linter); can {
			warnings = append(warnings, linter.Lint()...)
		}
	}
	return warnings
}

// chainInfo describes the chain by the places of its sources, and behaves like the first.
func chainInfo(sources []Source) Info {
	first := sources[0].Info()
	info := Info{Scheme: "chain", Immutable: true, Instance: first.Instance, Monotonic: first.Monotonic, Uncached: first.Uncached}
	var places []string
	for _, s := range sources {
		one := s.Info()
		places = append(places, one.place())
		info.Immutable = info.Immutable && one.Immutable
		info.Warnings = append(info.Warnings, one.Warnings...)
		if one.Timeout == 0 {
			one.Timeout = defaultTimeout
		}
		info.Timeout += one.Timeout
	}
	info.Location = strings.Join(places, ", then ")
	return info
}

// Fetch asks the sources in order. The error is that of the first source.
func (c *chain) Fetch(ctx context.Context) (Payload, error) {
	last := int(c.last.Load())
	var failure error
	for i, s := range c.sources[:last+1] {
		payload, err := c.ask(ctx, s, last-i)
		if err == nil || final(err) {
			c.answered(i)
		}
		switch {
		case err == nil && i > 0:
			return c.supplied(payload, s.Info(), failure), nil
		case err == nil:
			return payload, nil
		case failure == nil:
			failure = err
		}
		if final(err) {
			if i > 0 { // it would not have been used anyway: the first source is what has to be mended
				return Payload{}, failure
			}
			return Payload{}, err
		}
	}
	return Payload{}, failure
}

// ask gives a source its share of the time that is left, so that one that hangs leaves some to those after it.
func (c *chain) ask(ctx context.Context, s Source, after int) (Payload, error) {
	if deadline, ok := ctx.Deadline(); ok && after > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(after+1))
		defer cancel()
	}
	return ask(ctx, s)
}

// final reports whether an error is an answer: the store is well and says what is the matter with the secret.
func final(err error) bool {
	class := asError(err).Class
	return class == Gone || class == Invalid || class == Misconfigured
}

// answered rules out the sources after i for the life of the process.
func (c *chain) answered(i int) {
	for {
		last := c.last.Load()
		if last <= int32(i) || c.last.CompareAndSwap(last, int32(i)) {
			return
		}
	}
}

// chained returns the chain that a source is, nil if it is none.
func chained(s Source) *chain {
	if c, is := s.(interface{ self() *chain }); is {
		return c.self()
	}
	return nil
}

func (c *chain) self() *chain { return c }

// supplier returns the place that has answered for a credential in this process, "" if none has.
func (c *Credential) supplier() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	source := c.cfg().Source
	if source == nil || source.Info().Immutable {
		return ""
	}
	before := chained(source)
	switch {
	case before != nil && int(before.last.Load()) < len(before.sources)-1:
		return before.sources[before.last.Load()].Info().place()
	case !c.snap.Load().known || !c.replaced.IsZero(): // it was another source that has
		return ""
	case c.fallback != "":
		return c.fallback
	case before != nil:
		return before.sources[0].Info().place()
	}
	return source.Info().place()
}

// continues tells a chain that takes the place of the source of a credential what has answered before: those after it are not asked.
func (c *chain) continues(supplier string) {
	for i, s := range c.sources {
		if supplier != "" && s.Info().place() == supplier {
			c.answered(i)
			return
		}
	}
}

// supplied marks what came from a fallback. The first source is asked again soon.
func (c *chain) supplied(p Payload, from Info, failure error) Payload {
	p.Fallback = &Fallback{Source: from, Err: asError(failure)}
	if p.TTL == 0 || p.TTL > retryCap {
		p.TTL = retryCap
	}
	for i := range p.Versions {
		p.Versions[i].Number = 0
		if c.info.Monotonic { // below, or beside, whatever the first source will number
			p.Versions[i].Number = 1
		}
	}
	return p
}

// Write implements Writer, by the first source.
func (c *chain) Write(ctx context.Context, value Secret) (string, error) {
	writer, ok := c.sources[0].(Writer)
	if !ok {
		return "", ErrNotWritable
	}
	return writer.Write(ctx, value)
}

// watchedChain is a chain with sources that can tell of changes.
type watchedChain struct{ *chain }

// Watch watches all sources that can be watched, until the first of them can no longer.
func (c watchedChain) Watch(ctx context.Context, changed func(Notice)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching := 0
	ended := make(chan error, len(c.sources))
	for i, s := range c.sources {
		w, ok := s.(Watcher)
		if !ok {
			continue
		}
		watching++
		go func() {
			ended <- w.Watch(ctx, func(n Notice) {
				switch {
				case i > int(c.last.Load()): // its value is of no interest any more
				case i > 0:
					changed(Notice{})
				default:
					changed(n)
				}
			})
		}()
	}
	err := <-ended
	cancel()
	for range watching - 1 {
		<-ended
	}
	return err
}

// ConfigureChain is Configure for several texts, the one to rely on first. The options of the
// engine belong to the first, and only the last may be a literal.
func (r Registry) ConfigureChain(cfg *Config, texts []string, literal ...string) error {
	if len(texts) == 0 {
		return Errorf(Misconfigured, "names no source").about(cfg.Name)
	}
	sources := make([]Source, len(texts))
	for i, text := range texts {
		one := cfg
		if i > 0 {
			one = &Config{Name: cfg.Name, Present: cfg.Present}
		}
		if err := r.Configure(one, text, literal...); err != nil {
			return err
		}
		sources[i] = one.Source
		if !IsReference(text, literal...) {
			if i < len(texts)-1 {
				return Errorf(Misconfigured, "of several sources only the last can be a literal").about(cfg.Name)
			}
			continue
		}
		ref, err := ParseReference(text)
		if err != nil {
			return asError(err).about(cfg.Name)
		}
		ref.Engine.Format = ""
		if i > 0 && ref.Engine != (ReferenceOptions{}) {
			return Errorf(Misconfigured, "of several sources only the first has options such as ttl and overlap").about(cfg.Name)
		}
	}
	if len(sources) > 1 {
		cfg.Source = Chain(sources[0], sources[1:]...)
	}
	return nil
}
