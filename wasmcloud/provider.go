package wasmcloud

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// Provider is what a capability provider does; [Run] does the rest: the lattice, the links, health and the end.
//
// Configure is called once before anything else, and again for each config update. The calls for one link (PutLink and DeleteLink with
// one Link.Key) come one after the other, those for different links at the same time, so a link that cannot be reached holds up no
// other, nor health or shutdown.
type Provider interface {
	// Configure takes the provider's own config and secrets. What changed is applied to the links that it concerns. An error of the
	// first call ends the provider; later ones are logged, reported by Health, and leave what was before in use.
	Configure(ctx context.Context, s Settings) error

	// PutLink makes a link work, or changes one with the same key in place: one that is equal changes nothing. It returns when the
	// link is in use or an attempt has failed; it is then kept, tried again by the provider, and Health tells. An error is a link
	// that can never work as it is: malformed, or with a config that contradicts itself.
	PutLink(ctx context.Context, l Link) error

	// DeleteLink ends a link, with a grace within which a new PutLink of the same key takes over from it without a gap. Only the key of
	// l is set. A link that is not there is no error.
	DeleteLink(ctx context.Context, l Link) error

	// Serve registers what components may call, on a connection to the lattice. It is called once for each such connection: when the
	// login of the lattice rotates there are two for a while, and the one before is drained.
	Serve(conn *wrpc.Conn, prefix string) error

	// Health returns nil while everything works, and otherwise what does not, in words for an operator and without secrets. It answers
	// at once from what is known.
	Health() error

	// Drain ends all links: nothing new begins, what is under way may finish until ctx ends.
	Drain(ctx context.Context) error
}

// Host is what a Provider may ask of the host it runs on.
type Host interface {
	// Invoke calls a function of a component over the lattice. f.Prefix is set by Invoke, and so are the headers source-id and
	// target-id and those of the trace in ctx. The error is that of wrpc.Conn.Invoke.
	Invoke(ctx context.Context, component string, f wrpc.Function, header nats.Header, params []byte) ([]byte, error)

	ProviderID() string // any string, not necessarily an nkey
	InstanceID() string // of this process: a UUID
	Lattice() string
	Log() *slog.Logger
}

// Settings are a provider's own config, the named configs merged by the host, and its own secrets.
type Settings struct {
	Config  map[string]string
	Secrets map[string]Secret
}

// Secret is the value of a secret, text or bytes alike: a secret of kind Bytes holds the same as one of kind String with that UTF-8.
type Secret = credential.Secret

// Role is which end of a link the provider is.
type Role int

// The roles.
const (
	Source Role = iota + 1 // the provider calls the component: for messaging, the handler's links
	Target                 // the component calls the provider: for messaging, the consumer's links
)

func (r Role) String() string {
	switch r {
	case Source:
		return "source"
	case Target:
		return "target"
	}
	return "none"
}

// Key tells links of one provider apart.
type Key struct {
	Role      Role
	Component string // the id of the component at the other end
	Name      string // of the link, "default" unless named
	Namespace string // of the WIT package, "wasmcloud"
	Package   string // of WIT, "messaging"
}

// Link connects a component with the provider.
type Link struct {
	Key
	Interfaces []string          // of the package: "handler", "consumer"
	Config     map[string]string // of the provider's end, the named configs merged by the host
	Secrets    map[string]Secret // of the provider's end, opened
}
