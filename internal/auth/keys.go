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
// that may still be trusted.
func Undecided() *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Message: "key verification is unavailable", RetryAfter: time.Second}
}

// Privileged finds out which privileged key was presented, in the order maintenance, master, read-only. A key that is right but
// used from an address outside its list is a Refusal, as is one that cannot be judged at the moment.
func (k *Keys) Privileged(ctx context.Context, p Presented, ip netip.Addr) (Rights, error) {
	k = k.Now()
	undecided := false
	if p.Maintenance != "" && k.Maintenance.Verifier != nil {
		switch k.Maintenance.Verifier.VerifyContext(ctx, p.Maintenance).Verdict {
		case credential.Accept:
			return MaintenanceRights, k.admit("maintenanceKey", k.Maintenance.IPs, ip)
		case credential.Undecided:
			undecided = true
		}
	}
	if p.Master != "" {
		rights, unknown, err := k.master(ctx, p.Master, ip)
		if rights != NoRights || err != nil {
			return rights, err
		}
		undecided = undecided || unknown
	}
	if undecided {
		return NoRights, Undecided()
	}
	return NoRights, nil
}

// master tells the master key from the read-only one. Both are asked from memory first, so that a client of the one does not
// make the source of the other be asked for a key it does not know.
func (k *Keys) master(ctx context.Context, presented string, ip netip.Addr) (rights Rights, undecided bool, err error) {
	candidates := [...]struct {
		name   string
		key    Key
		rights Rights
	}{
		{"masterKey", k.Master, MasterRights},
		{"readOnlyMasterKey", k.ReadOnly, ReadOnlyRights},
	}
	for _, c := range candidates {
		if c.key.Verifier != nil && c.key.Verifier.Verify(presented).Verdict == credential.Accept {
			return c.rights, false, k.admit(c.name, c.key.IPs, ip)
		}
	}
	for _, c := range candidates {
		if c.key.Verifier == nil {
			continue
		}
		switch c.key.Verifier.VerifyContext(ctx, presented).Verdict {
		case credential.Accept:
			return c.rights, false, k.admit(c.name, c.key.IPs, ip)
		case credential.Undecided:
			undecided = true
		}
	}
	return NoRights, undecided, nil
}

func (k *Keys) admit(name string, list IPList, ip netip.Addr) error {
	if list.Contains(ip) {
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
		if s := p.Clients[c.Name]; s != "" && c.Verifier.Verify(s).Verdict == credential.Accept {
			return nil
		}
	}
	undecided := false
	for _, c := range k.Clients {
		s := p.Clients[c.Name]
		if s == "" {
			continue
		}
		switch c.Verifier.VerifyContext(ctx, s).Verdict {
		case credential.Accept:
			return nil
		case credential.Undecided:
			undecided = true
		}
	}
	if undecided {
		return Undecided()
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
