package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/parse"
)

// target is where a hook is called.
type target struct{ *url.URL }

// refused is how the receiver says that it does not know the key. It has done nothing then.
type refused struct{ status int }

func (r *refused) Error() string { return "the webhook answered with status " + strconv.Itoa(r.status) }

// waits are the pauses before a call is tried again that could not even connect: nothing was sent, so nothing is done twice.
var waits = []time.Duration{50 * time.Millisecond, 250 * time.Millisecond}

// call sends a payload and reads the answer. Its errors are for clients: what is wrong with the connection stands in the log only.
func (s *Service) call(ctx context.Context, hook Hook, to target, payload *parse.Map) (answered, error) {
	body := parse.Marshal(payload)
	var got answered
	send := func(ctx context.Context, key credential.Secret) (err error) {
		got, err = s.attempt(ctx, to, body, key)
		for _, wait := range waits {
			if !unsent(err) {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
			got, err = s.attempt(ctx, to, body, key)
		}
		return err
	}
	var err error
	if key := s.cfg.Key(); key == nil {
		err = send(ctx, credential.Secret{})
	} else {
		// The receiver may not know the newest key yet: the version before is shown to it once, for as long as it overlaps.
		shown := 0
		err = credential.Use(ctx, key, func(ctx context.Context, key credential.Secret) error { shown++; return send(ctx, key) },
			func(err error) bool { return errors.As(err, new(*refused)) })
		if shown > 1 && errors.As(err, new(*refused)) {
			// It may have taken the newest key over between the two.
			if lease, none := key.Acquire(ctx); none == nil {
				err = send(ctx, lease.Value)
			}
		}
	}
	if err == nil {
		return got, nil
	}
	return answered{}, s.explain(ctx, hook, to, err)
}

// unsent tells that no connection was made.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, errNotAllowed)
}

// attempt is one request over HTTP.
func (s *Service) attempt(ctx context.Context, to target, body []byte, key credential.Secret) (answered, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "parley")
	if key.Len() > 0 {
		req.Header.Set("X-Parse-Webhook-Key", string(key.Reveal()))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, s.cfg.MaxAnswer+1))
	switch {
	case err != nil:
		return answered{}, err
	case int64(len(text)) > s.cfg.MaxAnswer:
		return answered{}, parse.Errorf(parse.ScriptFailed, "The answer of the webhook is too long.")
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return answered{}, &refused{resp.StatusCode}
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		if _, err := read(text); err != nil && !isMalformed(err) {
			return answered{}, err // what it says of itself
		}
		return answered{}, parse.Errorf(parse.ScriptFailed, "The webhook answered with status %d.", resp.StatusCode)
	}
	return read(text)
}

func isMalformed(err error) bool { return errors.Is(err, parse.OtherCause) }

// explain turns what went wrong into what a client reads.
func (s *Service) explain(ctx context.Context, hook Hook, to target, err error) error {
	var told *parse.Error
	if errors.As(err, &told) {
		return told
	}
	if ctx.Err() != nil {
		return ctx.Err() // cloud code that is not done in time: see package cloud
	}
	var no *refused
	text := "The webhook cannot be reached."
	switch {
	case errors.As(err, &no):
		text = "The webhook answered with status " + strconv.Itoa(no.status) + "."
	case errors.As(err, new(*credential.Error)):
		text = "The webhook cannot be called: its key is not available."
	case !unsent(err):
		text = "The connection to the webhook was lost."
	}
	s.cfg.Log.Warn("a webhook failed", "hook", hook.String(), "host", to.Host, "error", reason(err))
	return parse.Errorf(parse.ScriptFailed, "%s", text)
}

// reason is an error without the URL, which may hold a password.
func reason(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}

func (s *Service) transport() http.RoundTripper {
	t := &http.Transport{
		DialContext:         s.dial,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        256, MaxIdleConnsPerHost: 32, MaxConnsPerHost: s.cfg.MaxConcurrent,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if s.allow == nil { // a proxy would hide from us which address is called
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}
