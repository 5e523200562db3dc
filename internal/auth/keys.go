package auth

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/credential"
)

// Key is one of the privileged keys and the addresses it may be used from.
type Key struct {
	Verifier credential.Verifier // nil: there is no such key
	IPs      IPList
}

// ClientKey is one of the keys that tell an application from a stranger; it grants nothing.
type ClientKey struct {
	Name     string // option: "restAPIKey", …
	Verifier credential.Verifier
}

// Keys verifies what a request presents. Verifying nothing costs nothing: a request without a key never depends on a source.
type Keys struct {
	Maintenance Key
	Master      Key
	ReadOnly    Key
	// Clients: when there are any, a request without a privileged key needs one of them.
	Clients []ClientKey
	Log     *slog.Logger

	replaced atomic.Pointer[Keys]
}

// Replace makes every check that begins from now on one of next. A check that is under way sees the keys and addresses that it began with.
func (k *Keys) Replace(next *Keys) { k.replaced.Store(next) }

// Now returns the keys that hold now: k, or what it was last replaced by.
func (k *Keys) Now() *Keys {
	if next := k.replaced.Load(); next != nil {
		return next
	}
	return k
}

// Presented are the secrets of one request; "" for those that it does not carry.
type Presented struct {
	// Master may be the master key or the read-only one.
	Master      string
	Maintenance string
	// Clients are by the names of Keys.Clients.
	Clients map[string]string
	// Uses, when it is not nil, takes what becomes of them.
	Uses *Uses
}

// Rights is which privileged key a request carries.
type Rights uint8

// The privileged keys.
const (
	NoRights Rights = iota
	MaintenanceRights
	MasterRights
	ReadOnlyRights
)

// Refusal is an answer outside the Parse error codes: {"error":Message} with its own HTTP status.
type Refusal struct {
	Status  int
	Message string
	// Reason, when set, is logged, and told in place of Message when sanitized error responses are switched off.
	Reason string
	// RetryAfter, when positive, is told to the client.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return r.Message }

// Unauthorized is what a stranger reads.
func Unauthorized() *Refusal { return &Refusal{Status: http.StatusForbidden, Message: "unauthorized"} }

// Forbidden is what a caller without the master key reads on a route that needs it.
func Forbidden() *Refusal {
	return &Refusal{Status: http.StatusForbidden, Message: "Permission denied", Reason: "unauthorized: master key is required"}
}

// Undecided is the answer while a presented key can be neither accepted nor rejected, because its source has delivered nothing
// that may still be trusted. after is until the source is asked again.
func Undecided(after time.Duration) *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Message: "key verification is unavailable", RetryAfter: min(max(after, time.Second), time.Minute)}
}

// Privileged finds out which privileged key was presented, in the order maintenance, master, read-only. A key that is right but
// used from an address outside its list is a Refusal, as is one that cannot be judged at the moment.
func (k *Keys) Privileged(ctx context.Context, p Presented, ip netip.Addr) (Rights, error) {
	k = k.Now()
	var undecided *credential.Decision
	if p.Maintenance != "" && k.Maintenance.Verifier != nil {
		d := k.Maintenance.Verifier.VerifyContext(ctx, p.Maintenance)
		if d.Verdict == credential.Accept {
			return MaintenanceRights, k.admit(p.Uses, "maintenanceKey", d, k.Maintenance.IPs, ip)
		}
		p.Uses.add(Use{Key: "maintenanceKey", Decision: d})
		if d.Verdict == credential.Undecided {
			undecided = &d
		}
	}
	if p.Master != "" {
		rights, d, err := k.master(ctx, p, ip)
		if rights != NoRights || err != nil {
			return rights, err
		}
		if d.Verdict == credential.Undecided {
			undecided = &d
		}
	}
	if undecided != nil {
		return NoRights, Undecided(undecided.RetryAfter)
	}
	return NoRights, nil
}

// master tells the master key from the read-only one. Both are asked from memory first, so that a client of the one does not
// make the source of the other be asked for a key it does not know. The decision is the one that counts when neither accepts.
func (k *Keys) master(ctx context.Context, p Presented, ip netip.Addr) (Rights, credential.Decision, error) {
	candidates := [...]struct {
		name   string
		key    Key
		rights Rights
	}{
		{"masterKey", k.Master, MasterRights},
		{"readOnlyMasterKey", k.ReadOnly, ReadOnlyRights},
	}
	for _, c := range candidates {
		if c.key.Verifier == nil {
			continue
		}
		if d := c.key.Verifier.Verify(p.Master); d.Verdict == credential.Accept {
			return c.rights, d, k.admit(p.Uses, c.name, d, c.key.IPs, ip)
		}
	}
	var refusal Use
	for _, c := range candidates {
		if c.key.Verifier == nil {
			continue
		}
		d := c.key.Verifier.VerifyContext(ctx, p.Master)
		if d.Verdict == credential.Accept {
			return c.rights, d, k.admit(p.Uses, c.name, d, c.key.IPs, ip)
		}
		// That it is undecided tells the most, then that it once was a key, then that it is none.
		if refusal.Key == "" || d.Verdict == credential.Undecided && refusal.Decision.Verdict != credential.Undecided ||
			refusal.Decision.Reason == credential.ReasonUnknown && d.Verdict == credential.Reject && d.VersionID != "" {
			refusal = Use{Key: c.name, Decision: d}
		}
	}
	p.Uses.add(refusal)
	return NoRights, refusal.Decision, nil
}

func (k *Keys) admit(uses *Uses, name string, d credential.Decision, list IPList, ip netip.Addr) error {
	admitted := list.Contains(ip)
	uses.add(Use{Key: name, Decision: d, WrongAddress: !admitted})
	if admitted {
		return nil
	}
	if k.Log != nil {
		k.Log.Error("key used from an address that its list does not hold", "key", name, "ip", ip.String())
	}
	return Unauthorized()
}

// Client checks the client keys: one that matches is enough, and none is needed when none is configured.
func (k *Keys) Client(ctx context.Context, p Presented) error {
	k = k.Now()
	if len(k.Clients) == 0 {
		return nil
	}
	for _, c := range k.Clients {
		if s := p.Clients[c.Name]; s != "" {
			if d := c.Verifier.Verify(s); d.Verdict == credential.Accept {
				p.Uses.add(Use{Key: c.Name, Decision: d})
				return nil
			}
		}
	}
	var undecided *credential.Decision
	for _, c := range k.Clients {
		s := p.Clients[c.Name]
		if s == "" {
			continue
		}
		d := c.Verifier.VerifyContext(ctx, s)
		p.Uses.add(Use{Key: c.Name, Decision: d})
		switch d.Verdict {
		case credential.Accept:
			return nil
		case credential.Undecided:
			undecided = &d
		}
	}
	if undecided != nil {
		return Undecided(undecided.RetryAfter)
	}
	return Unauthorized()
}

// SetClient notes a client key that was found outside the headers.
func (p *Presented) SetClient(option, key string) {
	if p.Clients == nil {
		p.Clients = make(map[string]string, 1)
	}
	p.Clients[option] = key
}
