package wasmcloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

// Bytes are in JSON an array of numbers, [120,107,118], or null: so a host writes sealed secrets and secrets of kind Bytes.
type Bytes []byte

// MarshalJSON writes an array of numbers, or null.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if b == nil {
		return []byte("null"), nil
	}
	out := make([]byte, 0, 2+4*len(b))
	out = append(out, '[')
	for i, c := range b {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(c), 10)
	}
	return append(out, ']'), nil
}

// errNotBytes says no more: what it refuses may be a secret.
var errNotBytes = errors.New("bytes are not an array of numbers from 0 to 255")

// UnmarshalJSON reads an array of numbers, or null.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if string(data) == "null" {
		*b = nil
		return nil
	}
	if len(data) < 2 || data[0] != '[' || data[len(data)-1] != ']' {
		return errNotBytes
	}
	data = bytes.TrimSpace(data[1 : len(data)-1])
	out := make([]byte, 0, len(data)/2+1)
	for len(data) > 0 {
		number, rest, more := bytes.Cut(data, []byte{','})
		n, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 8)
		if err != nil || more && len(bytes.TrimSpace(rest)) == 0 {
			return errNotBytes
		}
		out = append(out, byte(n))
		data = rest
	}
	*b = out
	return nil
}

// SecretValue is a secret as a host writes it: {"kind":"String","value":"…"} or {"kind":"Bytes","value":[1,2,3]}.
type SecretValue struct {
	Bytes bool // the kind
	Value credential.Secret
}

// MarshalJSON writes the value in plain, for whoever stands in for a host.
func (v SecretValue) MarshalJSON() ([]byte, error) {
	if v.Bytes {
		return json.Marshal(wireSecret[Bytes]{"Bytes", Bytes(v.Value.Reveal())})
	}
	return json.Marshal(wireSecret[string]{"String", string(v.Value.Reveal())})
}

type wireSecret[T any] struct {
	Kind  string `json:"kind"`
	Value T      `json:"value"`
}

// UnmarshalJSON reads either kind. Its errors hold nothing of the value.
func (v *SecretValue) UnmarshalJSON(data []byte) error {
	var w wireSecret[json.RawMessage]
	if err := json.Unmarshal(data, &w); err != nil {
		return errors.New("a secret is not an object of kind and value")
	}
	switch w.Kind {
	case "String":
		var text *string
		if err := json.Unmarshal(w.Value, &text); err != nil || text == nil {
			return errors.New("the value of a secret of kind String is not a string")
		}
		*v = SecretValue{Value: credential.NewSecret(*text)}
	case "Bytes":
		var raw Bytes
		if err := raw.UnmarshalJSON(w.Value); err != nil || raw == nil {
			return errors.New("the value of a secret of kind Bytes is not an array of numbers")
		}
		*v = SecretValue{Bytes: true, Value: credential.NewSecret(raw)}
	default:
		return fmt.Errorf("a secret is of kind %.20q, not String or Bytes", w.Kind)
	}
	return nil
}

// opened takes the values out of what a host wrote.
func opened(values map[string]SecretValue) map[string]Secret {
	if values == nil {
		return nil
	}
	all := make(map[string]Secret, len(values))
	for name, v := range values {
		all[name] = v.Value
	}
	return all
}

// LinkDefinition is a link as a host writes it, in the host data and on the lattice. Both secrets are sealed for the provider:
// also those of the peer, which are never opened.
type LinkDefinition struct {
	SourceID      string            `json:"source_id"`
	Target        string            `json:"target"`
	Name          string            `json:"name"` // "default" if empty
	Namespace     string            `json:"wit_namespace"`
	Package       string            `json:"wit_package"`
	Interfaces    []string          `json:"interfaces"`
	SourceConfig  map[string]string `json:"source_config"`
	TargetConfig  map[string]string `json:"target_config"`
	SourceSecrets Bytes             `json:"source_secrets"`
	TargetSecrets Bytes             `json:"target_secrets"`
}

// String is source->target and the name of the link, if it has one of its own.
func (d *LinkDefinition) String() string {
	text := d.SourceID + "->" + d.Target
	if d.Name != "" && d.Name != "default" {
		text += " (" + d.Name + ")"
	}
	return text
}

// ParseLink reads a link. Its errors hold nothing of config or secrets.
func ParseLink(data []byte) (*LinkDefinition, error) {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, errors.New("a link is not a JSON object")
	}
	d := &LinkDefinition{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("a link is malformed: %w", plainly(err))
	}
	if d.Name == "" {
		d.Name = "default"
	}
	return d, nil
}

// Key says which end of the link the provider is: the source, if it is both. The error says that it is neither, or that the
// component at the other end cannot be one.
func (d *LinkDefinition) Key(providerID string) (Key, error) {
	k := Key{Name: d.Name, Namespace: d.Namespace, Package: d.Package}
	switch providerID {
	case d.SourceID:
		k.Role, k.Component = Source, d.Target
	case d.Target:
		k.Role, k.Component = Target, d.SourceID
	default:
		return Key{}, fmt.Errorf("the link %s is not one of the provider %s", d, providerID)
	}
	if !isToken(k.Component) {
		return Key{}, fmt.Errorf("the link %s names a component that cannot be called: %.60q", d, k.Component)
	}
	return k, nil
}

// isToken reports whether an id can be a part of a subject: not empty, and none of what NATS gives a meaning to. It may have
// dots, which make several tokens of it.
func isToken(id string) bool {
	if id == "" || strings.HasPrefix(id, ".") || strings.HasSuffix(id, ".") || strings.Contains(id, "..") {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '*' || r == '>' })
}

// keys open what the host has sealed.
type keys struct {
	own    nkeys.KeyPair // nil before wasmCloud 1.1
	public string        // of own
	host   string
}

func newKeys(d *HostData) (*keys, error) {
	k := &keys{host: d.HostXKey}
	if d.XKeySeed.Len() == 0 {
		return k, nil
	}
	seed := d.XKeySeed.Reveal()
	defer clear(seed)
	var err error
	if k.own, err = nkeys.FromCurveSeed(seed); err != nil {
		return nil, errors.New("provider_xkey_private_key in the host data is not the seed of a curve key")
	}
	if k.public, err = k.own.PublicKey(); err != nil {
		return nil, errors.New("provider_xkey_private_key in the host data has no public key")
	}
	return k, nil
}

// open returns the secrets in a box, none in an empty one. Its errors hold nothing of them.
func (k *keys) open(sealed Bytes) (map[string]Secret, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if k.own == nil || k.host == "" {
		return nil, errors.New("there are sealed secrets, and the host gave no key for them")
	}
	plain, err := k.own.Open(sealed, k.host)
	if err != nil {
		return nil, errors.New("the secrets cannot be opened: they are not sealed by this host for this provider")
	}
	defer clear(plain)
	var values map[string]SecretValue
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, fmt.Errorf("the secrets are malformed: %w", plainly(err))
	}
	return opened(values), nil
}

// link makes a Link of the provider's end.
func (k *keys) link(d *LinkDefinition, key Key) (Link, error) {
	l := Link{Key: key, Interfaces: d.Interfaces, Config: d.SourceConfig}
	sealed := d.SourceSecrets
	if key.Role == Target {
		l.Config, sealed = d.TargetConfig, d.TargetSecrets
	}
	var err error
	if l.Secrets, err = k.open(sealed); err != nil {
		return Link{}, fmt.Errorf("the link %s: %w", d, err)
	}
	return l, nil
}
