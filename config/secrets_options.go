package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tailscale/hujson"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// SecretsOptions are the configuration of `parley wasmcloud secrets`: a file of JSON, in which comments and trailing commas are allowed.
// docs/wasmcloud.md describes each. What holds a secret is a reference to where it is kept, or a literal.
type SecretsOptions struct {
	NATS struct {
		Servers     []string `json:"servers"`
		Credentials string   `json:"credentials"`
		CAFile      string   `json:"caFile"`
		CertFile    string   `json:"certFile"`
		KeyFile     string   `json:"keyFile"`
		TLSFirst    bool     `json:"tlsFirst"`
	} `json:"nats"`
	Topic            string               `json:"topic"`
	Name             string               `json:"name"`
	DataDir          string               `json:"dataDir"`
	InstallKey       string               `json:"installKey"`
	TransitKey       string               `json:"transitKey"`
	LastKnownGoodKey string               `json:"lastKnownGoodKey"`
	Issuers          []string             `json:"issuers"`
	HostIssuers      []string             `json:"hostIssuers"`
	Hosts            []string             `json:"hosts"`
	Keys             map[string]SecretKey `json:"keys"`
	Rules            []SecretRule         `json:"rules"`
	Revoked          RevokedSecrets       `json:"revoked"`
	InFlight         int                  `json:"inFlight"`
	MaxRequest       int                  `json:"maxRequest"`
	MetricsAddress   string               `json:"metricsAddress"`
	LogLevel         string               `json:"logLevel"`
	JSONLogs         bool                 `json:"jsonLogs"`
}

// SecretRule is a [secrets.Rule].
type SecretRule struct {
	Entities     []string `json:"entities"`
	Issuers      []string `json:"issuers"`
	Applications []string `json:"applications"`
	Keys         []string `json:"keys"`
}

// RevokedSecrets are a [secrets.Revoked].
type RevokedSecrets struct {
	Entities []string            `json:"entities"`
	Issuers  []string            `json:"issuers"`
	Versions map[string][]string `json:"versions"`
}

// SecretKey is one key: in the file a reference, or an object with From or Mint.
type SecretKey struct {
	From string      `json:"from"`
	Kind string      `json:"kind"`
	Mint *SecretMint `json:"mint"`
}

// SecretMint is a [secrets.Mint].
type SecretMint struct {
	SigningKey string          `json:"signingKey"`
	Account    string          `json:"account"`
	TTL        string          `json:"ttl"`
	Scoped     bool            `json:"scoped"`
	Publish    subjectsAllowed `json:"publish"`
	Subscribe  subjectsAllowed `json:"subscribe"`
	Responses  int             `json:"responses"`
}

type subjectsAllowed struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// UnmarshalJSON reads both forms.
func (k *SecretKey) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &k.From) == nil {
		return nil
	}
	type plain SecretKey // without this method
	return strictly(text, (*plain)(k))
}

// strictly decodes JSON in which nothing may be unknown.
func strictly(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// ReadSecrets reads the options from a file, "" for none; change, which may be nil, brings what the command line says. All problems are
// joined into the error, each a [Problem].
func ReadSecrets(path string, change func(*SecretsOptions) error) (*SecretsOptions, error) {
	o := &SecretsOptions{}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, Problem{"", "the configuration file cannot be read: " + words(err)}
		}
		if text, err = hujson.Standardize(text); err != nil {
			return nil, Problem{"", fmt.Sprintf("the configuration file %s is not JSON: %v", path, err)}
		}
		if err := strictly(text, o); err != nil {
			return nil, Problem{"", fmt.Sprintf("the configuration file %s: %s", path, strings.TrimPrefix(err.Error(), "json: "))}
		}
	}
	if change != nil {
		if err := change(o); err != nil {
			return nil, err
		}
	}
	if o.Topic == "" {
		o.Topic = secrets.DefaultTopic
	}
	if o.Name == "" {
		o.Name = "parley"
	}
	if o.DataDir == "" {
		o.DataDir = "parley-secrets"
	}
	return o, o.check()
}

// check finds all that can be found without opening anything.
func (o *SecretsOptions) check() error {
	var problems []error
	problem := func(option, format string, args ...any) {
		problems = append(problems, Problem{option, fmt.Sprintf(format, args...)})
	}
	if len(o.NATS.Servers) == 0 {
		problem("nats.servers", "names no address, as nats://host:4222")
	}
	for _, server := range o.NATS.Servers {
		if u, err := url.Parse(server); err != nil || u.Host == "" || u.User != nil {
			problem("nats.servers", "must be addresses like nats://host:4222, without a user in them")
		}
	}
	if (o.NATS.CertFile == "") != (o.NATS.KeyFile == "") {
		problem("nats.certFile", "needs its key, and the key needs it")
	}
	if ref, err := credential.ParseReference(o.LastKnownGoodKey); credential.IsReference(o.LastKnownGoodKey) && err == nil && !slices.Contains(wrapSchemes, ref.Scheme) {
		problem("lastKnownGoodKey", wrapElsewhere)
	}
	if o.InFlight < 0 || o.MaxRequest < 0 {
		problem("inFlight", "neither inFlight nor maxRequest may be negative")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		key := o.Keys[name]
		if (key.From == "") == (key.Mint == nil) {
			problem("keys."+name, "is either a reference or has one of from and mint")
		}
		if _, known := secrets.ParseKind(key.Kind); !known {
			problem("keys."+name+".kind", "is text, bytes or base64")
		}
		if key.Mint != nil && key.Mint.SigningKey == "" {
			problem("keys."+name+".mint.signingKey", "is needed: the seed of an account or of its signing key")
		}
		if key.Mint != nil && key.Mint.TTL != "" {
			if _, err := time.ParseDuration(key.Mint.TTL); err != nil {
				problem("keys."+name+".mint.ttl", "is no duration, as 10m")
			}
		}
	}
	terms := o.terms(nil)
	if err := terms.Check(); err != nil {
		for _, one := range joined(err) {
			option, text, found := strings.Cut(one.Error(), ": ")
			if !found {
				option, text = "", option
			}
			problem(option, "%s", text)
		}
	}
	return errors.Join(problems...)
}

func joined(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	return []error{err}
}

// The names of the credentials of a backend.
const transitName = "transitKey"

func keyName(key string) string     { return "keys." + key }
func signingName(key string) string { return "keys." + key + ".mint.signingKey" }

// terms are the options as the backend has them, with the credentials that find finds; nil for none.
func (o *SecretsOptions) terms(find finder) secrets.Terms {
	t := secrets.Terms{
		Issuers: o.Issuers, HostIssuers: o.HostIssuers, Hosts: o.Hosts, Keys: make(map[string]secrets.Key, len(o.Keys)),
		Revoked: secrets.Revoked{Entities: o.Revoked.Entities, Issuers: o.Revoked.Issuers, Versions: o.Revoked.Versions},
	}
	for _, r := range o.Rules {
		t.Rules = append(t.Rules, secrets.Rule{Entities: r.Entities, Issuers: r.Issuers, Applications: r.Applications, Keys: r.Keys})
	}
	for name, key := range o.Keys {
		kind, _ := secrets.ParseKind(key.Kind) // checked before
		k := secrets.Key{Kind: kind}
		if m := key.Mint; m != nil {
			ttl, _ := time.ParseDuration(m.TTL) // checked before
			k.Mint = &secrets.Mint{Account: m.Account, TTL: ttl, Scoped: m.Scoped, Permissions: secrets.Permissions{
				PublishAllow: m.Publish.Allow, PublishDeny: m.Publish.Deny, SubscribeAllow: m.Subscribe.Allow, SubscribeDeny: m.Subscribe.Deny, Responses: m.Responses,
			}}
			if find != nil {
				k.Mint.Signing = find(signingName(name))
			}
		} else if find != nil {
			k.Credential = find(keyName(name))
		}
		t.Keys[name] = k
	}
	return t
}
