package gcpsm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

// concurrency is how many requests the service gets from us at a time.
const concurrency = 4

// client is one service and one login to it. It logs in when it must, and anew when the
// token is refused. All of that happens while somebody fetches.
type client struct {
	place
	origin      *origin.Origin
	loginClient *http.Client
	slots       chan struct{}
	turn        chan struct{} // held by who looks at tokens and token
	tokens      oauth2.TokenSource
	token       token
}

func newClient(at place, to *origin.Origin) *client {
	return &client{place: at, origin: to, loginClient: newLoginClient(), slots: make(chan struct{}, concurrency), turn: make(chan struct{}, 1)}
}

// do sends one request with our token. When that is refused it logs in anew, once, and
// asks again. Answers are returned whatever their status is, but for 401.
func (c *client) do(ctx context.Context, method, path, query string, body []byte) (origin.Answer, error) {
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
		header := http.Header{"Accept": {"application/json"}, "User-Agent": {"Parley"}, "Authorization": {"Bearer " + t.AccessToken}}
		if body != nil {
			header.Set("Content-Type", "application/json")
		}
		answer, err := c.origin.Do(ctx, origin.Request{Method: method, Path: "/v1/" + path, Query: query, Header: header, Body: body})
		if err != nil || answer.Status != http.StatusUnauthorized {
			return answer, err
		}
		clear(answer.Body)
		if refused != 0 {
			return origin.Answer{}, c.origin.Refuse(answer)
		}
		refused = t.generation
	}
}

// refusal is the body of an answer that is no success.
type refusal struct {
	Error struct {
		Status  string `json:"status"`
		Message string `json:"message"`
		Details []struct {
			Type       string `json:"@type"`
			RetryDelay string `json:"retryDelay"`
		} `json:"details"`
	} `json:"error"`
}

// classes are the statuses of the service, and what they mean. Any other means what the
// status of HTTP does.
var classes = map[string]struct {
	class  credential.Class
	reason string
}{
	"NOT_FOUND":           {credential.Missing, "there is no such secret"},
	"PERMISSION_DENIED":   {credential.Denied, "our account may not do that"},
	"UNAUTHENTICATED":     {credential.Denied, "our login is not accepted"},
	"RESOURCE_EXHAUSTED":  {credential.Unavailable, "the quota is used up"},
	"INVALID_ARGUMENT":    {credential.Misconfigured, "the service does not understand the names"},
	"FAILED_PRECONDITION": {credential.Unavailable, "the secret cannot be used now"},
	"ABORTED":             {credential.Unavailable, "somebody else changed the secret at the same time"},
}

// refuse turns an answer that is no success into an error, in words of this package.
func (c *client) refuse(answer origin.Answer, about string) *credential.Error {
	failure := c.origin.Refuse(answer)
	var text refusal
	if json.Unmarshal(answer.Body, &text) != nil {
		return failure
	}
	if known, ok := classes[text.Error.Status]; ok {
		failure.Class, failure.Reason = known.class, about+": "+known.reason
	}
	for _, detail := range text.Error.Details {
		if delay, err := time.ParseDuration(detail.RetryDelay); err == nil && strings.HasSuffix(detail.Type, "/google.rpc.RetryInfo") {
			failure.RetryAfter = max(failure.RetryAfter, delay)
		}
	}
	return failure
}

// closed returns the state of a version whose value the service does not hand out because
// of it, "" if that is not why. The service gives the reason in words only; where it is
// not understood, a version that was stated to be enabled has another reason (the key that
// it is encrypted with), and one of which nothing was stated counts as disabled.
func closed(answer origin.Answer, state string) string {
	var text refusal
	if json.Unmarshal(answer.Body, &text) != nil || text.Error.Status != "FAILED_PRECONDITION" {
		return ""
	}
	switch {
	case strings.Contains(text.Error.Message, " "+stateDestroyed+" state"):
		return stateDestroyed
	case strings.Contains(text.Error.Message, " "+stateDisabled+" state"), state == "":
		return stateDisabled
	}
	return ""
}
