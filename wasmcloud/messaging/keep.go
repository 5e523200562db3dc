package messaging

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
)

// kept is a login while it is in use.
type kept struct {
	credential *credential.Credential
	presenter  *credential.Presenter[natsconn.Login]
	given      *given // of a directLogin
	text       string // of a referenceLogin
	users      int    // of a referenceLogin; guarded by keeper.mu
	digest     [32]byte
}

// keeper has the logins of all links. Links with the same reference share what is read.
type keeper struct {
	sources  credential.Registry
	observer credential.Observer
	mu       sync.Mutex
	shared   map[string]*kept
}

func newKeeper(sources credential.Registry, observer credential.Observer) *keeper {
	return &keeper{sources: sources, observer: observer, shared: make(map[string]*kept)}
}

// take returns what a connection shows as its login, nil for none. Errors are those of a reference that cannot be right.
func (k *keeper) take(ctx context.Context, title string, l login) (*kept, error) {
	switch l.kind {
	case directLogin:
		g := &given{}
		g.set(l)
		held, err := k.start(ctx, credential.Config{Name: title, Source: g, TTL: 24 * time.Hour, Overlap: credential.None})
		if err != nil {
			return nil, err
		}
		held.given, held.digest = g, l.digest
		return held, nil
	case referenceLogin:
		return k.refer(ctx, l.reference)
	}
	return nil, nil
}

// refer takes the login of a reference.
func (k *keeper) refer(ctx context.Context, text string) (*kept, error) {
	k.mu.Lock()
	defer k.mu.Unlock() // the start of one makes one attempt to read, whose time is bounded
	if held := k.shared[text]; held != nil {
		held.users++
		return held, nil
	}
	cfg := credential.Config{Name: "credentials " + place(text), Trim: credential.TrimNewline, Present: true, Overlap: credential.None} // a login that was replaced is not shown again
	if err := k.sources.Configure(&cfg, text); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	held, err := k.start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	held.text, held.users = text, 1
	k.shared[text] = held
	return held, nil
}

// place is a reference without what may be a secret in it.
func place(text string) string {
	ref, err := credential.ParseReference(text)
	if err != nil || ref.Scheme == "static" {
		return "in place"
	}
	return ref.Scheme + "://" + ref.Authority + ref.Path + ref.Opaque
}

func (k *keeper) start(ctx context.Context, cfg credential.Config) (*kept, error) {
	cfg.Kind, cfg.Present, cfg.Startup, cfg.Check, cfg.Observer = credential.API, true, credential.Degraded, natsconn.Check, k.observer
	c, err := credential.New(cfg)
	if err != nil {
		return nil, err
	}
	presenter, err := credential.NewPresenter(c, natsconn.Decode)
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return &kept{credential: c, presenter: presenter}, nil
}

// change has another direct login shown: connections hand over to it.
func (h *kept) change(ctx context.Context, l login) error {
	if h.digest == l.digest {
		return nil
	}
	h.given.set(l)
	if err := h.credential.Refresh(ctx); err != nil {
		return err
	}
	h.digest = l.digest
	return nil
}

// release ends a login that a connection does not use any more.
func (k *keeper) release(h *kept) {
	if h == nil {
		return
	}
	k.mu.Lock()
	h.users--
	last := h.users <= 0
	if last && h.text != "" {
		delete(k.shared, h.text)
	}
	k.mu.Unlock()
	if last {
		h.credential.Stop()
		if h.given != nil {
			h.given.set(login{})
		}
	}
}

// given is the source of a login that was handed to us: the latest.
type given struct {
	mu     sync.Mutex
	number uint64
	latest credential.Version
}

// set replaces the login, and wipes the one before.
func (g *given) set(l login) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latest.Value.Wipe()
	for _, s := range g.latest.Fields {
		s.Wipe()
	}
	g.number++
	g.latest = copied(credential.Version{Value: l.value, Fields: l.fields, ID: fmt.Sprint(g.number), Number: g.number})
}

func copied(v credential.Version) credential.Version {
	duplicate := func(s credential.Secret) credential.Secret {
		raw := s.Reveal()
		defer clear(raw)
		return credential.NewSecret(raw)
	}
	fields := v.Fields
	v.Value, v.Fields = duplicate(v.Value), make(map[string]credential.Secret, len(fields))
	for name, s := range fields {
		v.Fields[name] = duplicate(s)
	}
	return v
}

func (g *given) Info() credential.Info {
	return credential.Info{Scheme: "link", Monotonic: true}
}

func (g *given) Fetch(context.Context) (credential.Payload, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.latest.Value.Len() == 0 && len(g.latest.Fields) == 0 {
		return credential.Payload{}, credential.Errorf(credential.Missing, "the link has no login")
	}
	return credential.Payload{Versions: []credential.Version{copied(g.latest)}}, nil
}
