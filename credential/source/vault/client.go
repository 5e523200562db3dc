package vault

import (
	"context"
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
	whole      time.Duration // as it was when we got it
	ends       time.Time
	renewable  bool
}

func newClient(at place, to *origin.Origin, way login) *client {
	return &client{place: at, origin: to, login: way, slots: make(chan struct{}, concurrency), turn: make(chan struct{}, 1)}
}

// request is one request to Vault.
type request struct {
	method      string // GET if empty
	path, query string
	body        []byte
	limit       int // the largest answer, in bytes; maxAnswer if 0
	// lasting: what Vault gives ends with our token at the latest.
	lasting bool
}

// get reads a path with our token.
func (c *client) get(ctx context.Context, path string) (origin.Answer, error) {
	answer, _, err := c.do(ctx, request{path: path})
	return answer, err
}

// do makes a request with our token, which it returns. When that is refused it logs in
// anew, once, and asks again. Answers are returned whatever their status is, but for 403.
func (c *client) do(ctx context.Context, r request) (origin.Answer, token, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return origin.Answer{}, token{}, err
	}
	defer leave()
	var refused uint64
	for {
		t, err := c.ready(ctx, refused, r.lasting)
		if err != nil {
			return origin.Answer{}, token{}, err
		}
		answer, err := c.ask(ctx, r, t.value)
		if err != nil || answer.Status != http.StatusForbidden {
			return answer, t, err
		}
		clear(answer.Body)
		if refused != 0 {
			return origin.Answer{}, token{}, c.origin.Refuse(answer)
		}
		refused = t.generation
	}
}

// enter waits for a place among those who ask this Vault.
func (c *client) enter(ctx context.Context) (leave func(), err error) {
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ready returns a token that may be used: not the refused generation, and renewed or
// made anew if its time comes. One that is to last is made anew when less than half of its
// life is left and it cannot be prolonged: the one before lives on meanwhile, and what was
// made with it.
func (c *client) ready(ctx context.Context, refused uint64, lasting bool) (token, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
	now := time.Now()
	t := c.token
	usable := t.generation != 0 && t.generation != refused && (t.lease == 0 || now.Before(t.ends))
	if usable {
		if t.lease > 0 && t.renewable && t.ends.Sub(now) < t.lease/2 {
			if err := c.renew(ctx); err != nil && ctx.Err() != nil {
				return token{}, ctx.Err()
			}
		}
		if !lasting || c.token.lease == 0 || c.token.ends.Sub(now) >= c.token.whole/2 {
			return c.token, nil
		}
	}
	fresh, err := c.login(ctx, c)
	same := err == nil && t.generation != 0 && string(fresh.value.Reveal()) == string(t.value.Reveal())
	switch {
	case usable && (err != nil || same): // it is good enough, and there is no other
		return c.token, nil
	case err != nil:
		return token{}, err
	case same && t.generation == refused:
		return token{}, credential.Errorf(credential.Denied, "Vault refuses our token, and there is no other")
	}
	fresh.generation, fresh.whole = t.generation+1, fresh.lease
	c.token = fresh
	return fresh, nil
}

// renew prolongs the token. One that cannot be prolonged is used to its end; then there
// is a login.
func (c *client) renew(ctx context.Context) error {
	asked := time.Now()
	answer, err := c.ask(ctx, request{method: http.MethodPost, path: "auth/token/renew-self", body: []byte("{}")}, c.token.value)
	if err != nil {
		return err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK {
		c.token.renewable = answer.Status >= 500 || answer.Status == http.StatusTooManyRequests
		return c.origin.Refuse(answer)
	}
	renewed, err := granted(asked, answer.Body)
	if err != nil {
		return err
	}
	if renewed.lease == 0 { // less than a second is left
		c.token.renewable = false
		return nil
	}
	renewed.value, renewed.generation, renewed.whole = c.token.value, c.token.generation, c.token.whole
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
func (c *client) ask(ctx context.Context, r request, with credential.Secret) (origin.Answer, error) {
	header := http.Header{"X-Vault-Request": {"true"}, "Accept": {"application/json"}, "User-Agent": {"Parley"}}
	if with.Len() > 0 {
		header["X-Vault-Token"] = []string{string(with.Reveal())}
	}
	if c.namespace != "" {
		header["X-Vault-Namespace"] = []string{c.namespace}
	}
	if r.limit == 0 {
		r.limit = maxAnswer
	}
	return c.origin.Do(ctx, origin.Request{Method: r.method, Path: "/v1/" + r.path, Query: r.query, Header: header, Body: r.body, Limit: r.limit})
}
