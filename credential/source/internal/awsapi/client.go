// Package awsapi is what the sources on AWS have in common: one client for each region,
// endpoint and profile, made at the first fetch of the SDK's default chain; what an error
// of AWS means; how far an answer may travel and grow.
//
//	client.go     a Pool of clients, and a call
//	failure.go    the table of error codes
//	transport.go  the way to AWS
//	name.go       names and ARNs in a reference
package awsapi

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/parley-backend/parley/credential"
)

// concurrency is how many requests one client sends at a time.
const concurrency = 4

// Options are the names of the options that every reference to AWS has:
//
//	region      instead of AWS_REGION, the profile's region, and that of an ARN
//	profile     of ~/.aws/config, instead of AWS_PROFILE
//	endpoint    the address of the service, instead of AWS_ENDPOINT_URL and AWS's own
//	allow_http  the host that may be reached in the clear
var Options = []string{"region", "profile", "endpoint", "allow_http"}

// Pool has the clients of one service, of the SDK's type C.
type Pool[C any] struct {
	make func(aws.Config, *string) C

	mu      sync.Mutex
	clients map[Place]*Client[C]
}

// NewPool returns a pool; make is given the configuration, and the endpoint or nil.
func NewPool[C any](make func(cfg aws.Config, endpoint *string) C) *Pool[C] {
	return &Pool[C]{make: make, clients: map[Place]*Client[C]{}}
}

// Place is which AWS: the values of the Options.
type Place struct{ Region, Profile, Endpoint, AllowHTTP string }

// Client returns the one client of a place. It does no I/O: the SDK's chain is read at the first call.
func (p *Pool[C]) Client(at Place) *Client[C] {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, known := p.clients[at]
	if !known {
		c = &Client[C]{place: at, make: p.make, slots: make(chan struct{}, concurrency), turn: make(chan struct{}, 1)}
		p.clients[at] = c
	}
	return c
}

// Client is one service of AWS, reached with one set of our own credentials. The SDK
// retries nothing: when to try again is for the engine to say.
type Client[C any] struct {
	place Place
	make  func(aws.Config, *string) C
	slots chan struct{}

	turn   chan struct{} // held by who looks at loaded, so that one reads the chain for all
	loaded loaded[C]
}

// loaded is what was made of the SDK's default chain. The zero loaded is nothing.
type loaded[C any] struct {
	api        C
	generation uint64
	stale      bool // AWS refused it
}

// Do makes one call. What it returns is a *Failure, or the error of ctx. When AWS refuses our own
// login, the chain is read again, once: a file with credentials may have changed.
func (c *Client[C]) Do(ctx context.Context, call func(api C) error) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for again := true; ; again = false {
		l, err := c.ready(ctx)
		if err != nil {
			return err
		}
		err = call(l.api)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failure := newFailure(err)
		if errors.Is(failure, credential.Denied) {
			c.doubt(l.generation)
		}
		if !failure.login || !again {
			return failure
		}
	}
}

// ready reads the default chain of the SDK if that has not been done, or if what it gave was refused.
func (c *Client[C]) ready(ctx context.Context) (loaded[C], error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return loaded[C]{}, ctx.Err()
	}
	if c.loaded.generation > 0 && !c.loaded.stale {
		return c.loaded, nil
	}
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithLogger(logging.Nop{}),
	}
	if c.place.Region != "" {
		options = append(options, config.WithRegion(c.place.Region))
	}
	if c.place.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.place.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var noProfile config.SharedConfigProfileNotExistError
	switch {
	case ctx.Err() != nil:
		return loaded[C]{}, ctx.Err()
	case errors.As(err, &noProfile):
		return loaded[C]{}, misconfigured("the profile is in neither of AWS's files")
	case err != nil:
		return loaded[C]{}, misconfigured("AWS's own configuration cannot be read: its files, or a variable AWS_…")
	case cfg.Region == "":
		return loaded[C]{}, misconfigured("the region is missing: set AWS_REGION, or the option region")
	}
	cfg.Credentials = chain{cfg.Credentials}
	cfg.HTTPClient = newHTTPClient(cfg.HTTPClient, c.place.AllowHTTP)
	var endpoint *string
	if c.place.Endpoint != "" {
		endpoint = &c.place.Endpoint
	}
	c.loaded = loaded[C]{api: c.make(cfg, endpoint), generation: c.loaded.generation + 1}
	return c.loaded, nil
}

// doubt has the chain read again before the next call.
func (c *Client[C]) doubt(generation uint64) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.loaded.generation == generation {
		c.loaded.stale = true
	}
}

func misconfigured(reason string) error {
	return &Failure{err: credential.Errorf(credential.Misconfigured, "%s", reason)}
}

// httpDoer is what the SDK sends requests with.
type httpDoer interface {
	Do(*http.Request) (*http.Response, error)
}
