package hosttest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// ProviderOptions describe a provider on a host. Launch is needed.
type ProviderOptions struct {
	ID      string // "messaging-nats" if empty; any text is one
	Launch  Launch
	Config  map[string]string
	Secrets map[string]Secret // of the provider itself
	Links   []Link            // that are there at the start

	NoKeys bool // a host before 1.1: without keys for secrets
	// Supervise has the provider started again when it exits: RestartDelay later, 5 s if zero, with fresh host data.
	Supervise    bool
	RestartDelay time.Duration
	// Change changes the host data before it is encoded, Line the line that it is encoded to.
	Change func(data map[string]any)
	Line   func(line string) string
}

// Provider is a provider that the host has started.
type Provider struct {
	ID  string
	Log *Log

	h      *Host
	o      ProviderOptions
	xkey   nkeys.KeyPair // nil on a host without keys
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	links  []Link
	config map[string]string
	canary []string // what no log may hold
	starts int
	err    error
}

// Start starts a provider. It does not wait for anything: see Await. When the test ends the provider is killed, and its log is searched
// for secrets and JWTs that it was given.
func (h *Host) Start(o ProviderOptions) *Provider {
	h.t.Helper()
	p := &Provider{ID: or(o.ID, "messaging-nats"), Log: &Log{}, h: h, o: o, ended: make(chan struct{}), links: slices.Clone(o.Links), config: maps.Clone(o.Config)}
	if !o.NoKeys {
		p.xkey = must(h.t, nkeys.CreateCurveKeys)
	}
	p.watch(h.o.Login.JWT, h.o.Login.Seed)
	p.guard(o.Secrets)
	for _, l := range o.Links {
		p.guardLink(l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	first := p.line()
	go p.supervise(ctx, first)
	h.t.Cleanup(func() {
		p.Kill()
		if leaked := credentialtest.Leaks(p.Log.String(), p.canary...); len(leaked) > 0 {
			h.t.Errorf("the log of the provider holds %d of its secrets", len(leaked))
		}
		if h.t.Failed() {
			h.t.Logf("the log of the provider %s:\n%s", p.ID, p.Log)
		}
	})
	return p
}

func (p *Provider) supervise(ctx context.Context, line string) {
	defer close(p.ended)
	for {
		p.mu.Lock()
		p.starts++
		p.mu.Unlock()
		err := p.o.Launch(ctx, strings.NewReader(line), p.Log)
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		if !p.o.Supervise || ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(or(p.o.RestartDelay, 5*time.Second)):
		}
		line = p.line()
	}
}

// line is the host data as it stands on the standard input.
func (p *Provider) line() string {
	data := p.h.hostData(p)
	if p.o.Change != nil {
		p.o.Change(data)
	}
	text, err := json.Marshal(data)
	if err != nil {
		p.h.t.Errorf("host data: %v", err)
	}
	line := base64.StdEncoding.EncodeToString(text) + "\r\n"
	if p.o.Line != nil {
		line = p.o.Line(line)
	}
	return line
}

// Starts is how often the provider was started.
func (p *Provider) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// Links are the links that the provider has been told of, and not to delete.
func (p *Provider) Links() []Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.links)
}

// Ended is closed when the provider has ended and is not started again.
func (p *Provider) Ended() <-chan struct{} { return p.ended }

// Err is what the last start ended with.
func (p *Provider) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Kill ends the provider as a host does: at once. It waits until it is gone.
func (p *Provider) Kill() {
	p.cancel()
	<-p.ended
}

// Health is what a provider answers.
type Health struct {
	Healthy bool   `json:"healthy"`
	Message string `json:"message"`
}

// Health asks for the health, with the time that a host waits.
func (p *Provider) Health() (Health, error) {
	m, err := p.h.nc.Request(p.subject(p.ID, "health"), nil, p.h.o.RPCTimeout)
	if err != nil {
		return Health{}, err
	}
	var health Health
	if err := json.Unmarshal(m.Data, &health); err != nil {
		return Health{}, fmt.Errorf("%q is no answer about health: %w", m.Data, err)
	}
	return health, nil
}

func (p *Provider) subject(who, what string) string {
	return "wasmbus.rpc." + p.h.Lattice + "." + who + "." + what
}

// Await waits until the provider answers about its health and serves calls of components. The test fails if it ends meanwhile.
func (p *Provider) Await() *Provider {
	p.h.t.Helper()
	probe := p.h.Component("hosttest-probe", Silent)
	defer probe.Stop()
	Eventually(p.h.t, "the provider serves", func() bool {
		select {
		case <-p.ended:
			p.h.t.Fatalf("the provider has ended while it should serve: %v\n%s", p.Err(), p.Log)
		default:
		}
		if _, err := p.Health(); err != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.h.o.RPCTimeout)
		defer cancel()
		_, err := probe.Publish(ctx, p, "default", wrpc.BrokerMessage{Subject: "hosttest.probe"})
		return !errors.Is(err, wrpc.ErrNoServer) // it is not linked, so there is no result
	})
	return p
}

// AwaitHealth waits until the provider is healthy, or not, and returns the answer.
func (p *Provider) AwaitHealth(healthy bool) Health {
	p.h.t.Helper()
	var health Health
	Eventually(p.h.t, fmt.Sprintf("the provider says healthy=%v", healthy), func() bool {
		var err error
		health, err = p.Health()
		return err == nil && health.Healthy == healthy
	})
	return health
}

// PutLink tells the provider of a link, or of another form of one that has the same component, name and direction.
func (p *Provider) PutLink(l Link) {
	p.h.t.Helper()
	p.guardLink(l)
	p.mu.Lock()
	p.links = append(slices.DeleteFunc(p.links, l.same), l)
	p.mu.Unlock()
	w, err := l.wire(p.ID, p.sealer())
	if err != nil {
		p.h.t.Fatal(err)
	}
	p.h.publish(p.PutSubject(), w)
}

// PutSubject is where the provider hears of links.
func (p *Provider) PutSubject() string {
	who := p.ID
	if p.xkey != nil {
		who = must(p.h.t, p.xkey.PublicKey)
	}
	return p.subject(who, "linkdefs.put")
}

// DeleteLink tells the provider that a link is deleted. Of l only the component, the name and the direction count.
func (p *Provider) DeleteLink(l Link) {
	p.h.t.Helper()
	p.mu.Lock()
	p.links = slices.DeleteFunc(p.links, l.same)
	p.mu.Unlock()
	w, err := l.wire(p.ID, nil)
	if err != nil {
		p.h.t.Fatal(err)
	}
	p.h.publish(p.subject(p.ID, "linkdefs.del"), w)
}

func (l Link) same(other Link) bool {
	return l.Component == other.Component && or(l.Name, "default") == or(other.Name, "default") && l.Consumer == other.Consumer
}

// UpdateConfig tells the provider its config, all of it.
func (p *Provider) UpdateConfig(config map[string]string) {
	p.h.t.Helper()
	p.mu.Lock()
	p.config = maps.Clone(config)
	p.mu.Unlock()
	p.h.publish(p.subject(p.ID, "config.update"), object(config))
}

// Send publishes any bytes on one of the provider's own subjects: "linkdefs.put", "config.update".
func (p *Provider) Send(what string, data []byte) {
	p.h.t.Helper()
	subject := p.subject(p.ID, what)
	if what == "linkdefs.put" {
		subject = p.PutSubject()
	}
	p.h.publish(subject, data)
}

// Shutdown asks the provider to end, waits for the answer as long as a host does, and kills it. The error says that no answer came.
func (p *Provider) Shutdown() (took time.Duration, err error) {
	start := time.Now()
	_, err = p.RequestShutdown(p.h.ID, p.h.o.ShutdownDelay)
	took = time.Since(start)
	p.Kill()
	return took, err
}

// RequestShutdown sends the request to end that a host with that id sends, and does nothing else.
func (p *Provider) RequestShutdown(hostID string, wait time.Duration) (*nats.Msg, error) {
	body, err := json.Marshal(map[string]string{"host_id": hostID})
	if err != nil {
		return nil, err
	}
	return p.h.nc.Request(p.subject(p.ID, "default.shutdown"), body, wait)
}

// sealer seals secrets for this provider. On a host without keys a link has none.
func (p *Provider) sealer() func(map[string]Secret) (numbers, error) {
	if p.xkey == nil {
		return func(map[string]Secret) (numbers, error) { return nil, nil }
	}
	return sealer(p.h.xkey, must(p.h.t, p.xkey.PublicKey))
}

// guard has the log searched for the secrets.
func (p *Provider) guard(secrets map[string]Secret) {
	for _, s := range secrets {
		p.watch(s.Text, string(s.Bytes))
	}
}

func (p *Provider) guardLink(l Link) {
	p.guard(l.Secrets)
	p.guard(l.PeerSecrets)
	for name, value := range l.Config {
		if strings.Contains(strings.ToLower(name), "seed") || strings.Contains(strings.ToLower(name), "password") {
			p.watch(value)
		}
	}
}

func (p *Provider) watch(values ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range values {
		if len(v) >= 16 {
			p.canary = append(p.canary, v)
		}
	}
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
