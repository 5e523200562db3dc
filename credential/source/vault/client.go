package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

// concurrency is how many requests one Vault gets from us at a time.
const concurrency = 4

// client is one Vault and one token for it. It logs in when it must, renews the token
// when half of its life is over, and logs in anew when the token is refused. All of
// that happens while somebody fetches: nothing runs in the background.
type client struct {
	place
	origin *origin.Origin
	login  login
	slots  chan struct{}
	turn   chan struct{} // held by who looks at token, so that one logs in for all
	token  token
}

// token is our own token. The zero token is none.
type token struct {
	value      credential.Secret
	generation uint64
	lease      time.Duration // of its latest renewal, 0 if it does not end
	ends       time.Time
	renewable  bool
}

func newClient(at place, to *origin.Origin, way login) *client {
	return &client{place: at, origin: to, login: way, slots: make(chan struct{}, concurrency), turn: make(chan struct{}, 1)}
}

// get reads a path with our token. When that is refused it logs in anew, once, and
// reads again. Answers are returned whatever their status is, but for 403.
func (c *client) get(ctx context.Context, path, query string) (origin.Answer, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return origin.Answer{}, ctx.Err()
	}
	var refused uint64
	for {
		t, err := c.ready(ctx, refused)
		if err != nil {
			return origin.Answer{}, err
		}
		answer, err := c.ask(ctx, http.MethodGet, path, query, t.value, nil)
		if err != nil || answer.Status != http.StatusForbidden {
			return answer, err
		}
		clear(answer.Body)
		if refused != 0 {
			return origin.Answer{}, c.origin.Refuse(answer)
		}
		refused = t.generation
	}
}

// ready returns a token that may be used: not the refused generation, and renewed or
// made anew if its time comes.
func (c *client) ready(ctx context.Context, refused uint64) (token, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
	now := time.Now()
	t := c.token
	if t.generation != 0 && t.generation != refused && (t.lease == 0 || now.Before(t.ends)) {
		if t.lease > 0 && t.renewable && t.ends.Sub(now) < t.lease/2 {
			if err := c.renew(ctx); err != nil && ctx.Err() != nil {
				return token{}, ctx.Err()
			}
		}
		return c.token, nil
	}
	fresh, err := c.login(ctx, c)
	if err != nil {
		return token{}, err
	}
	if t.generation != 0 && t.generation == refused && string(fresh.value.Reveal()) == string(t.value.Reveal()) {
		return token{}, credential.Errorf(credential.Denied, "Vault refuses our token, and there is no other")
	}
	fresh.generation = t.generation + 1
	c.token = fresh
	return fresh, nil
}

// renew prolongs the token. One that cannot be prolonged is used to its end; then there
// is a login.
func (c *client) renew(ctx context.Context) error {
	answer, err := c.ask(ctx, http.MethodPost, "auth/token/renew-self", "", c.token.value, struct{}{})
	if err != nil {
		return err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK {
		c.token.renewable = answer.Status >= 500 || answer.Status == http.StatusTooManyRequests
		return c.origin.Refuse(answer)
	}
	renewed, err := granted(answer.Body)
	if err != nil {
		return err
	}
	renewed.value, renewed.generation = c.token.value, c.token.generation
	c.token = renewed
	return nil
}

// left is how long the token lives if nobody renews it, 0 if that is of no concern:
// only a token that we were given dies for good.
func (c *client) left(ctx context.Context) time.Duration {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return 0
	}
	if c.auth != "token" || c.token.lease == 0 || !c.token.renewable {
		return 0
	}
	return max(time.Until(c.token.ends), time.Second)
}

// ask sends one request.
func (c *client) ask(ctx context.Context, method, path, query string, with credential.Secret, body any) (origin.Answer, error) {
	header := http.Header{"X-Vault-Request": {"true"}, "Accept": {"application/json"}, "User-Agent": {"Parley"}}
	if with.Len() > 0 {
		header["X-Vault-Token"] = []string{string(with.Reveal())}
	}
	if c.namespace != "" {
		header["X-Vault-Namespace"] = []string{c.namespace}
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return origin.Answer{}, errors.New("vault: a request that cannot be encoded")
		}
		defer clear(text)
	}
	return c.origin.Do(ctx, origin.Request{Method: method, Path: "/v1/" + path, Query: query, Header: header, Body: text})
}
