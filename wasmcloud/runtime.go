package wasmcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// Runtime is a provider that runs, and the Host of its Provider.
type Runtime struct {
	o         Options
	data      *HostData
	keys      *keys
	log       *slog.Logger
	telemetry Telemetry
	observe   *observer
	provider  Provider
	lattice   *lattice
	queue     *queue
	ctx       context.Context // of the provider's work
	cancel    context.CancelFunc
	work      sync.WaitGroup
	stopping  chan *nats.Msg         // the shutdown of our host
	configs   chan map[string]string // the newest that was not looked at

	mu       sync.Mutex
	config   map[string]string // in use
	problems problems
	asking   chan error // of a Provider.Health that has not returned
}

// ProviderID is provider_key of the host data.
func (r *Runtime) ProviderID() string { return r.data.ProviderID }

// InstanceID is instance_id of the host data.
func (r *Runtime) InstanceID() string { return r.data.InstanceID }

// Lattice is the name of the lattice.
func (r *Runtime) Lattice() string { return r.data.Lattice }

// Log is the log of the provider.
func (r *Runtime) Log() *slog.Logger { return r.log }

// NATS returns the connection to the lattice at the moment, for natskv.Opener. It is closed some time after another one has taken
// its place.
func (r *Runtime) NATS(context.Context) (*nats.Conn, error) {
	r.lattice.mu.Lock()
	defer r.lattice.mu.Unlock()
	if r.lattice.conn == nil {
		return nil, credential.Errorf(credential.Unavailable, "the connection to the lattice is not open")
	}
	return r.lattice.conn.NATS(), nil
}

// Telemetry is where traces and numbers of the provider go.
func (r *Runtime) Telemetry() Telemetry { return r.telemetry }

// Invoke calls a function of a component. See Host.
func (r *Runtime) Invoke(ctx context.Context, component string, f wrpc.Function, header nats.Header, params []byte) ([]byte, error) {
	if !isToken(component) {
		return nil, fmt.Errorf("wasmcloud: there is no component %.60q", component)
	}
	f.Prefix = r.data.Lattice + "." + component
	own := make(nats.Header, len(header)+4)
	maps.Copy(own, header)
	own[wrpc.HeaderSource] = []string{r.data.ProviderID}
	own[wrpc.HeaderTarget] = []string{component}
	rpc, exit, err := r.lattice.enter()
	if err != nil {
		return nil, err
	}
	defer exit()
	ctx, end := r.observe.invoke(ctx, f, component, own)
	results, err := rpc.Invoke(ctx, f, own, params)
	if err == nil && len(results) == 0 {
		end(wrpc.ErrNoResult)
	} else {
		end(err)
	}
	return results, err
}

func (r *Runtime) wrpcOptions(o wrpc.Options) wrpc.Options {
	o.Around = r.observe.serve
	return o
}

// What a host says to a provider, by the end of the subject. See section 1.4 of the contract in docs/wasmcloud.md.
const (
	healthSubject   = "health"
	shutdownSubject = "default.shutdown"
	putSubject      = "linkdefs.put"
	delSubject      = "linkdefs.del"
	configSubject   = "config.update"
)

// The keys of a provider's config that are for the runtime, in any case. Those of OpenTelemetry are in OTel.With.
const (
	latticeKey  = "lattice_credentials" // also among the provider's secrets
	shutdownKey = "shutdown_timeout_ms"
)

// ConfigKeys are the keys of a provider's config that are not for the Provider, in lower case, besides those of OpenTelemetry.
func ConfigKeys() []string { return []string{latticeKey, shutdownKey} }

// subjects are those of the host's messages. Links come to the key of this process, because nobody else can open their secrets;
// hosts that know no such keys send them to the provider.
func (r *Runtime) subjects() []string {
	base := "wasmbus.rpc." + r.data.Lattice + "."
	own := base + r.data.ProviderID + "."
	links := own
	if r.keys.public != "" {
		links = base + r.keys.public + "."
	}
	return []string{own + healthSubject, own + shutdownSubject, links + putSubject, own + delSubject, own + configSubject}
}

// handle takes one message of a host. It returns soon.
func (r *Runtime) handle(m *nats.Msg) {
	switch {
	case strings.HasSuffix(m.Subject, "."+healthSubject):
		r.reportHealth(m)
	case strings.HasSuffix(m.Subject, "."+shutdownSubject):
		r.shutdown(m)
	case strings.HasSuffix(m.Subject, "."+putSubject):
		r.putLink(m.Data)
	case strings.HasSuffix(m.Subject, "."+delSubject):
		r.deleteLink(m.Data)
	case strings.HasSuffix(m.Subject, "."+configSubject):
		r.updateConfig(m.Data)
	}
}

// shutdown ends the provider when its own host says so. All instances of a provider hear of it, on all hosts.
func (r *Runtime) shutdown(m *nats.Msg) {
	var request struct {
		HostID string `json:"host_id"`
	}
	switch err := json.Unmarshal(m.Data, &request); {
	case err != nil:
		r.log.Warn("a shutdown that is not understood is ignored", "error", plainly(err))
	case request.HostID == "" || request.HostID != r.data.HostID:
		r.log.Debug("the shutdown of another host is ignored", "host", request.HostID)
	default:
		select {
		case r.stopping <- m:
		default: // it is being done
		}
	}
}

// putLink has a link put, after what is still to be done for it. It returns nil when it is malformed.
func (r *Runtime) putLink(data []byte) *job {
	d, err := ParseLink(data)
	if err != nil {
		r.malformed(err)
		return nil
	}
	key, err := d.Key(r.data.ProviderID)
	if err != nil {
		r.malformed(err)
		return nil
	}
	return r.queue.add(key, true, func() {
		l, err := r.keys.link(d, key)
		if err == nil {
			if err = r.provider.PutLink(r.ctx, l); err != nil {
				err = fmt.Errorf("the link %s: %w", d, err)
			}
		}
		if r.ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.problems.set(key, err)
		r.mu.Unlock()
		if err != nil {
			r.log.Error("a link is not taken into use", "link", d.String(), "role", key.Role.String(), "error", err)
		}
	})
}

func (r *Runtime) malformed(err error) {
	r.log.Error("a malformed link is ignored", "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems.note(err, time.Now())
}

func (r *Runtime) deleteLink(data []byte) {
	d, err := ParseLink(data)
	var key Key
	if err == nil {
		key, err = d.Key(r.data.ProviderID)
	}
	if err != nil {
		r.log.Error("the deletion of a link is not understood", "error", err)
		return
	}
	r.queue.add(key, false, func() {
		err := r.provider.DeleteLink(r.ctx, Link{Key: key})
		r.mu.Lock()
		r.problems.set(key, nil)
		r.mu.Unlock()
		if err != nil && r.ctx.Err() == nil {
			r.log.Error("a link is not ended", "link", d.String(), "role", key.Role.String(), "error", err)
		}
	})
}

// updateConfig has the newest config taken into use. Hosts send the whole of it, also when nothing has changed.
func (r *Runtime) updateConfig(data []byte) {
	var config map[string]string
	if err := json.Unmarshal(data, &config); err != nil {
		r.log.Error("a config update is malformed", "error", plainly(err))
		return
	}
	select {
	case <-r.configs: // an older one that nobody has looked at
	default:
	}
	r.configs <- config // nobody else sends
}

// configure takes each new config into use.
func (r *Runtime) configure() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case config := <-r.configs:
			r.mu.Lock()
			before := r.config
			r.mu.Unlock()
			if maps.Equal(before, config) {
				r.reconfigured(nil)
				continue
			}
			err := r.provider.Configure(r.ctx, Settings{Config: config, Secrets: r.data.Secrets})
			if r.ctx.Err() != nil {
				return
			}
			if err == nil {
				err = r.relogin(before, config)
				r.mu.Lock()
				r.config = config
				r.mu.Unlock()
			}
			r.reconfigured(err)
		}
	}
}

func (r *Runtime) reconfigured(err error) {
	if err != nil {
		err = fmt.Errorf("the config of the provider: %w", err)
		r.log.Error("a config update is not taken into use", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems.config = err
}

// relogin has the lattice shown another login, where the config names another one.
func (r *Runtime) relogin(before, after map[string]string) error {
	setting := r.latticeSetting(after)
	if setting == r.latticeSetting(before) {
		return nil
	}
	login, err := latticeLogin(r.data, setting, r.o.Sources)
	if err != nil {
		return err
	}
	return r.lattice.relogin(r.ctx, login)
}

// latticeSetting is where the login of the lattice comes from if not from the host data: a reference, or a login itself.
func (r *Runtime) latticeSetting(config map[string]string) string {
	if secret, has := named(r.data.Secrets, latticeKey); has {
		return string(secret.Reveal())
	}
	setting, _ := named(config, latticeKey)
	return setting
}

// shutdownTime is how long a shutdown may take.
func (r *Runtime) shutdownTime() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, has := named(r.config, shutdownKey)
	if !has {
		return r.o.Shutdown
	}
	ms, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil || ms == 0 {
		r.log.Warn(shutdownKey+" is not a number of milliseconds", "used", r.o.Shutdown)
		return r.o.Shutdown
	}
	return time.Duration(ms) * time.Millisecond
}

// named finds a value by its name in any case: exactly as it is written first.
func named[T any](values map[string]T, name string) (value T, has bool) {
	if value, has = values[name]; has {
		return value, true
	}
	for other, value := range values {
		if strings.EqualFold(other, name) {
			return value, true
		}
	}
	return value, false
}

var errSilent = errors.New("the provider does not say how it is")
