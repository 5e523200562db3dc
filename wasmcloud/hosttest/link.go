package hosttest

import (
	"encoding/json"
	"maps"

	"github.com/nats-io/nkeys"
)

// Secret is the value of a secret: text, or bytes if there are any.
type Secret struct {
	Text  string
	Bytes []byte
}

// MarshalJSON writes the value as a host does: bytes are a list of numbers.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s.Bytes != nil {
		return json.Marshal(struct {
			Kind  string  `json:"kind"`
			Value numbers `json:"value"`
		}{"Bytes", s.Bytes})
	}
	return json.Marshal(struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	}{"String", s.Text})
}

// numbers are bytes that JSON has as a list of numbers; nil is null.
type numbers []byte

func (n numbers) MarshalJSON() ([]byte, error) {
	if n == nil {
		return []byte("null"), nil
	}
	list := make([]int, len(n))
	for i, b := range n {
		list[i] = int(b)
	}
	return json.Marshal(list)
}

// Link is a link between a component and the provider that it is put to.
type Link struct {
	Component string
	Name      string // "default" if empty
	// Consumer says which end calls: the component, to publish and request. Otherwise the provider, with messages of its subscriptions.
	Consumer   bool
	Interfaces []string          // "consumer" or "handler" if empty
	Config     map[string]string // of the provider's end
	Secrets    map[string]Secret // of the provider's end; sealed for the provider

	PeerConfig  map[string]string // of the component's end, which the provider is shown, too
	PeerSecrets map[string]Secret
	Namespace   string // "wasmcloud" if empty
	Package     string // "messaging" if empty
}

// Handler is a link for a component that gets messages. Config are pairs of a key and a value.
func Handler(component string, config ...string) Link {
	return Link{Component: component, Config: pairs(config)}
}

// Consumer is a link for a component that publishes and requests. Config are pairs of a key and a value.
func Consumer(component string, config ...string) Link {
	return Link{Component: component, Consumer: true, Config: pairs(config)}
}

// Named returns the link with another name.
func (l Link) Named(name string) Link {
	l.Name = name
	return l
}

// With returns the link with a secret more.
func (l Link) With(name string, value Secret) Link {
	secrets := maps.Clone(l.Secrets)
	if secrets == nil {
		secrets = map[string]Secret{}
	}
	secrets[name] = value
	l.Secrets = secrets
	return l
}

// WithLogin returns the link with JWT and seed as secrets.
func (l Link) WithLogin(login Login) Link {
	return l.With("client_jwt", Secret{Text: login.JWT}).With("client_seed", Secret{Text: login.Seed})
}

func pairs(list []string) map[string]string {
	config := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		config[list[i]] = list[i+1]
	}
	return config
}

// wireLink is the JSON of a link.
type wireLink struct {
	SourceID      string            `json:"source_id"`
	Target        string            `json:"target"`
	Name          string            `json:"name"`
	Namespace     string            `json:"wit_namespace"`
	Package       string            `json:"wit_package"`
	Interfaces    []string          `json:"interfaces"`
	SourceConfig  map[string]string `json:"source_config"`
	TargetConfig  map[string]string `json:"target_config"`
	SourceSecrets numbers           `json:"source_secrets"`
	TargetSecrets numbers           `json:"target_secrets"`
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func object(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// wire is the link as a host tells a provider. Without a sealer there are no secrets: that is how deletions look.
func (l Link) wire(provider string, seal func(map[string]Secret) (numbers, error)) (wireLink, error) {
	w := wireLink{Name: or(l.Name, "default"), Namespace: or(l.Namespace, "wasmcloud"), Package: or(l.Package, "messaging"), Interfaces: l.Interfaces}
	mine, theirs := numbers(nil), numbers(nil)
	config, peer := map[string]string{}, map[string]string{}
	if seal != nil {
		var err error
		if mine, err = seal(l.Secrets); err != nil {
			return w, err
		}
		if theirs, err = seal(l.PeerSecrets); err != nil {
			return w, err
		}
		config, peer = object(l.Config), object(l.PeerConfig)
	}
	if l.Consumer {
		w.SourceID, w.Target = l.Component, provider
		w.SourceConfig, w.TargetConfig, w.SourceSecrets, w.TargetSecrets = peer, config, theirs, mine
		if w.Interfaces == nil {
			w.Interfaces = []string{"consumer"}
		}
		return w, nil
	}
	w.SourceID, w.Target = provider, l.Component
	w.SourceConfig, w.TargetConfig, w.SourceSecrets, w.TargetSecrets = config, peer, mine, theirs
	if w.Interfaces == nil {
		w.Interfaces = []string{"handler"}
	}
	return w, nil
}

// sealer encrypts secrets from one curve key for another. No secrets are null.
func sealer(from nkeys.KeyPair, to string) func(map[string]Secret) (numbers, error) {
	return func(secrets map[string]Secret) (numbers, error) {
		if len(secrets) == 0 {
			return nil, nil
		}
		text, err := json.Marshal(secrets)
		if err != nil {
			return nil, err
		}
		sealed, err := from.Seal(text, to)
		return numbers(sealed), err
	}
}
