package wasmcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	healthWait   = 500 * time.Millisecond // for the provider; a host waits 2 s
	healthLength = 2000                   // bytes of a message
	noteLife     = 5 * time.Minute
	notesMost    = 8
)

// report is the answer to a request for health.
type report struct {
	Healthy bool   `json:"healthy"`
	Message string `json:"message,omitempty"`
}

// problems are what the runtime itself has against the host's messages.
type problems struct {
	links  map[Key]error // that cannot work, until the next put or deletion
	notes  []note        // of links without a key, for some minutes
	config error         // of the newest config, until the next
}

type note struct {
	err error
	at  time.Time
}

func (p *problems) set(k Key, err error) {
	if err == nil {
		delete(p.links, k)
		return
	}
	if p.links == nil {
		p.links = make(map[Key]error)
	}
	p.links[k] = err
}

func (p *problems) note(err error, now time.Time) {
	p.notes = append(p.notes, note{err, now})
	if len(p.notes) > notesMost {
		p.notes = p.notes[1:]
	}
}

// all are the problems in an order that stays.
func (p *problems) all(now time.Time) []error {
	var all []error
	if p.config != nil {
		all = append(all, p.config)
	}
	all = append(all, slices.SortedFunc(maps.Values(p.links), func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })...)
	p.notes = slices.DeleteFunc(p.notes, func(n note) bool { return now.Sub(n.at) > noteLife })
	for _, n := range p.notes {
		all = append(all, n.err)
	}
	return all
}

// reportHealth answers a host, whatever the provider is doing.
func (r *Runtime) reportHealth(m *nats.Msg) {
	if m.Reply == "" {
		return
	}
	asking := r.askHealth()
	r.work.Go(func() {
		var answer report
		switch problem := r.health(asking); {
		case problem == nil:
			answer.Healthy = true
		default:
			answer.Message = clipped(problem.Error())
		}
		data, err := json.Marshal(answer)
		if err == nil {
			err = r.lattice.conn.Respond(m, data)
		}
		if err != nil {
			r.log.Warn("a request for health is not answered", "error", err)
		}
	})
}

// askHealth asks the provider, which answers at once; but who knows. While it has not, it is not asked again.
func (r *Runtime) askHealth() chan error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking != nil {
		return r.asking
	}
	asking := make(chan error, 1)
	r.asking = asking
	r.work.Go(func() {
		err := r.provider.Health()
		r.mu.Lock()
		defer r.mu.Unlock()
		asking <- err
		r.asking = nil
	})
	return asking
}

func (r *Runtime) health(asking chan error) error {
	var all []error
	late := time.NewTimer(healthWait)
	defer late.Stop()
	select {
	case err := <-asking:
		asking <- err // others may have asked together with us
		if err != nil {
			all = append(all, err)
		}
	case <-late.C:
		all = append(all, errSilent)
	}
	if err := r.lattice.conn.Health(); err != nil {
		all = append(all, fmt.Errorf("lattice: %w", err))
	}
	r.mu.Lock()
	all = append(all, r.problems.all(time.Now())...)
	r.mu.Unlock()
	return errors.Join(all...)
}

// clipped is one line that is not too long for an event.
func clipped(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	if len(text) > healthLength {
		text = strings.ToValidUTF8(text[:healthLength], "") + " …"
	}
	return text
}
