package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
)

// Client asks a backend, any that speaks the protocol. It is what a host is to a provider; a program that has a JWT of its own can use it
// as well.
type Client struct {
	Conn *natsconn.Conn
	// Topic is "wasmcloud.secrets" if empty; Name is that of the backend.
	Topic, Name string
	// Entity is the JWT of the component or provider, Host that of a host.
	Entity, Host string
	// Application is the name of the application that the entity belongs to, "" for none, and Policy the policy of the reference.
	Application, Policy string
}

// Answer is a secret.
type Answer struct {
	Version string
	Value   credential.Secret
	Binary  bool // it was binary_secret
}

func (c *Client) base() string {
	topic := c.Topic
	if topic == "" {
		topic = DefaultTopic
	}
	return topic + "." + Version + "." + c.Name
}

// Get asks for a key. field and version may be empty. The error is an *Error when the backend refuses.
func (c *Client) Get(ctx context.Context, key, field, version string) (Answer, error) {
	m, err := c.Conn.Request(ctx, c.base()+".server_xkey", nil)
	if err != nil {
		return Answer{}, err
	}
	server := string(bytes.TrimSpace(m.Data))
	if !isCurveKey(server) {
		return Answer{}, errors.New("secrets: the backend has no transit key")
	}
	own, err := nkeys.CreateCurveKeys()
	if err != nil {
		return Answer{}, err
	}
	defer own.Wipe()
	public, err := own.PublicKey()
	if err != nil {
		return Answer{}, err
	}
	text, err := c.request(key, field, version)
	if err != nil {
		return Answer{}, err
	}
	sealed, err := own.Seal(text, server)
	if err != nil {
		return Answer{}, err
	}
	if m, err = c.Conn.RequestMsg(ctx, &nats.Msg{Subject: c.base() + ".get", Header: nats.Header{hostKeyHeader: {public}}, Data: sealed}); err != nil {
		return Answer{}, err
	}
	return opened(m, own)
}

func (c *Client) request(key, field, version string) ([]byte, error) {
	optional := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	r := request{Key: key, Field: optional(field), Version: optional(version)}
	r.Context.Entity, r.Context.Host = c.Entity, c.Host
	r.Context.Application.Name, r.Context.Application.Policy = optional(c.Application), c.Policy
	return json.Marshal(r)
}

// opened reads an answer.
func opened(m *nats.Msg, own nkeys.KeyPair) (Answer, error) {
	text := m.Data
	sender := m.Header.Get(replyKeyHeader)
	if sender != "" {
		if !isCurveKey(sender) {
			return Answer{}, errors.New("secrets: the answer names no key that it was sealed with")
		}
		var err error
		if text, err = own.Open(m.Data, sender); err != nil {
			return Answer{}, fmt.Errorf("secrets: the answer cannot be opened: %w", err)
		}
		defer clear(text)
	}
	var r response
	if err := json.Unmarshal(text, &r); err != nil {
		return Answer{}, errors.New("secrets: the answer is not one of the protocol")
	}
	switch {
	case r.Error != nil:
		return Answer{}, r.Error
	case r.Secret == nil || sender == "": // a value that came in clear came from somebody else
		return Answer{}, errors.New("secrets: the answer holds no secret")
	case r.Secret.Binary != nil:
		defer clear(r.Secret.Binary)
		return Answer{Version: r.Secret.Version, Value: credential.NewSecret([]byte(r.Secret.Binary)), Binary: true}, nil
	case r.Secret.String == nil:
		return Answer{}, errors.New("secrets: the answer holds no secret")
	}
	return Answer{Version: r.Secret.Version, Value: credential.NewSecret(*r.Secret.String)}, nil
}

// Source makes a credential source of a key: it is read anew when the backend tells of a rotation. A NATS login, stored or minted, ends
// with its JWT, and is for natsconn as it is.
func (c *Client) Source(key string) credential.Watcher { return &source{client: c, key: key} }

type source struct {
	client *Client
	key    string
}

func (s *source) Info() credential.Info {
	return credential.Info{Scheme: "wasmcloud", Location: s.client.Name + "/" + s.key, Instance: s.client.base()}
}

// Fetch asks the backend.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	a, err := s.client.Get(ctx, s.key, "", "")
	if err != nil {
		return credential.Payload{}, classified(err)
	}
	v := credential.Version{Value: a.Value}
	if a.Version != "" {
		v.ID = a.Version
	}
	text := a.Value.Reveal()
	defer clear(text)
	if strings.Contains(string(text), "-----BEGIN NATS USER JWT-----") {
		if token, err := nkeys.ParseDecoratedJWT(text); err == nil {
			if user, err := jwt.DecodeUserClaims(token); err == nil {
				v.ID = user.ID // each JWT is a version of its own
				if user.Expires > 0 {
					v.NotAfter = time.Unix(user.Expires, 0)
				}
			}
		}
	}
	return credential.Payload{Versions: []credential.Version{v}}, nil
}

// classes are what the refusals of a backend mean to the engine; others are Unavailable.
var classes = map[Code]credential.Class{
	InvalidEntityJWT: credential.Denied, InvalidHostJWT: credential.Denied, Unauthorized: credential.Denied, PolicyError: credential.Denied,
	SecretNotFound: credential.Missing, Other: credential.Denied,
}

func classified(err error) error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		class, known := classes[refused.Code]
		if !known {
			class = credential.Unavailable
		}
		return credential.Errorf(class, "the secrets backend refuses: %s", refused.Code)
	case errors.Is(err, nats.ErrNoResponders):
		return credential.Errorf(credential.Unavailable, "no secrets backend of that name is there")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	}
	return credential.Errorf(credential.Unavailable, "the secrets backend does not answer")
}

// Watch hears of rotations.
func (s *source) Watch(ctx context.Context, changed func(credential.Notice)) error {
	var over bool
	gate := make(chan struct{}, 1) // held while changed is called, so that it is not called any more after Watch returned
	gate <- struct{}{}
	sub, err := s.client.Conn.Subscribe(s.client.base()+".rotated."+s.key, func(*nats.Msg) {
		<-gate
		defer func() { gate <- struct{}{} }()
		if !over {
			changed(credential.Notice{})
		}
	})
	if err != nil {
		return credential.Errorf(credential.Unavailable, "the rotations of the key cannot be heard")
	}
	changed(credential.Notice{}) // what was told before is not heard
	<-ctx.Done()
	<-gate
	over = true
	gate <- struct{}{}
	_ = sub.Unsubscribe() // the connection may have gone
	return nil
}
