// Package keysapi is what whoever holds the master key may do with the credentials of a running server: see their state, have them
// read again, replace and revoke them. It decides and writes the audit log; package rest carries its words over HTTP.
// docs/keys-api.md is written from this package.
package keysapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

// Nodes are the other servers of the application.
type Nodes interface {
	// Known returns how many there are.
	Known() int
	// Refresh has them read a credential, soon.
	Refresh(name string)
	// Confirmations returns how many of them refuse what was revoked last, and how many there are. It waits a moment for them.
	Confirmations(ctx context.Context, name string) (confirmed, known int)
}

// Config says what an API acts on.
type Config struct {
	// Sets hold the credentials.
	Sets []*credential.Set
	// Log is told what is done; nil discards it.
	Log *slog.Logger
	// Nodes are nil for one server alone.
	Nodes Nodes
}

// API acts on the credentials of one application.
type API struct{ Config }

// New returns an API.
func New(cfg Config) *API {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &API{cfg}
}

// all returns the credentials of all sets.
func (a *API) all() []*credential.Credential {
	var all []*credential.Credential
	for _, set := range a.Sets {
		all = append(all, set.All()...)
	}
	return all
}

// get returns the credential of that name, nil if there is none.
func (a *API) get(name string) *credential.Credential {
	for _, set := range a.Sets {
		if c := set.Get(name); c != nil {
			return c
		}
	}
	return nil
}

// Status returns {"results":[…]}, a status of every credential, in the order of the configuration, and with several servers "nodes":
// {"known":2}, how many others were heard lately. No status holds a value.
func (a *API) Status(_ context.Context, by *auth.Caller) (*parse.Map, error) {
	all := a.all()
	items := make([]any, len(all))
	for i, c := range all {
		item, err := encode(c.Status())
		if err != nil {
			return nil, err
		}
		items[i] = item
	}
	a.audit(by, "status", "GET /keys", "", nil)
	answer := parse.NewMap("results", items)
	if a.Nodes != nil {
		answer.Set("nodes", parse.NewMap("known", float64(a.Nodes.Known())))
	}
	return answer, nil
}

// Refresh reads a credential from its source now, and returns its status. The other servers are asked to do the same.
func (a *API) Refresh(ctx context.Context, by *auth.Caller, name string, body *parse.Map) (*parse.Map, error) {
	c, err := a.find(name)
	if err == nil {
		err = members(body)
	}
	if err == nil {
		err = refused(c.Refresh(ctx))
		if a.Nodes != nil {
			a.Nodes.Refresh(name) // they may reach the source, also when this one does not
		}
	}
	a.audit(by, "refresh", "POST /keys/:name/refresh", name, err)
	if err != nil {
		return nil, err
	}
	return encode(c.Status())
}

// Revoke refuses a version for good: {"version":"its id or fingerprint"}. When it returns no error, the revocation is durable. The answer
// is the status of the credential, with several servers with nodes: {"confirmed":2,"known":2}, how many of the others refuse it, too.
func (a *API) Revoke(ctx context.Context, by *auth.Caller, name string, body *parse.Map) (*parse.Map, error) {
	c, err := a.find(name)
	if err == nil {
		err = members(body, "version")
	}
	version, _ := body.Get("version").(string)
	if err == nil && version == "" {
		err = parse.Errorf(parse.InvalidJSON, "version must be the id or the fingerprint of a version")
	}
	known := "" // what the caller wrote is not copied into the log
	if err == nil {
		switch err = c.Revoke(ctx, version); {
		case errors.Is(err, credential.Missing):
			err = parse.Errorf(parse.ObjectNotFound, "%s has no such version", name)
		case errors.Is(err, credential.Invalid):
			known, err = version, parse.Errorf(parse.InvalidJSON, "%s has several versions of that id: name the one by its fingerprint", name)
		default:
			known, err = version, refused(err)
		}
	}
	answer := revoked{}
	if err == nil && a.Nodes != nil {
		answer.Nodes = &nodes{}
		answer.Nodes.Confirmed, answer.Nodes.Known = a.Nodes.Confirmations(ctx, name)
	}
	a.audit(by, "revoke", "POST /keys/:name/revoke", name, err, slog.String("version", known))
	if err != nil {
		return nil, err
	}
	answer.Status = c.Status()
	return encode(answer)
}

// revoked is the answer to Revoke.
type revoked struct {
	credential.Status
	Nodes *nodes `json:"nodes,omitempty"`
}

type nodes struct {
	Confirmed int `json:"confirmed"`
	Known     int `json:"known"`
}

// rotated is the answer to Rotate.
type rotated struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Value    string    `json:"value,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
}

// Rotate stores a generated value where the credential comes from: {"force":true} also while the version before is in its overlap,
// {"show":true} returns the value, this once.
func (a *API) Rotate(ctx context.Context, by *auth.Caller, name string, body *parse.Map) (*parse.Map, error) {
	c, err := a.find(name)
	if err == nil {
		err = members(body, "force", "show")
	}
	var force, show bool
	for member, to := range map[string]*bool{"force": &force, "show": &show} {
		value, given := body.Lookup(member)
		yes, isBool := value.(bool)
		if *to = yes; given && !isBool && err == nil {
			err = parse.Errorf(parse.InvalidJSON, "%s must be true or false", member)
		}
	}
	var done credential.Rotation
	if err == nil {
		done, err = c.Rotate(ctx, force)
		switch {
		case errors.Is(err, credential.ErrInOverlap):
			err = &auth.Refusal{Status: http.StatusConflict, Message: name + ": a replaced version is still accepted; wait for its deadline, or set force"}
		case errors.Is(err, credential.ErrNotWritable):
			err = parse.Errorf(parse.OperationForbidden, "%s: %s", name, err)
		default:
			err = refused(err)
		}
	}
	a.audit(by, "rotate", "POST /keys/:name/rotate", name, err, slog.String("version", done.VersionID), slog.Bool("force", force), slog.Bool("show", show))
	if err != nil {
		return nil, err
	}
	defer done.Value.Wipe()
	answer := rotated{Name: name, Version: done.VersionID, Deadline: done.Deadline}
	if show {
		answer.Value = string(done.Value.Reveal())
	}
	return encode(answer)
}

func (a *API) find(name string) (*credential.Credential, error) {
	if c := a.get(name); c != nil {
		return c, nil
	}
	return nil, parse.Errorf(parse.ObjectNotFound, "no such key is configured")
}

// members refuses what a body must not hold: a misspelt "force" is not taken for none.
func members(body *parse.Map, allowed ...string) error {
	for _, name := range body.Keys() {
		known := false
		for _, a := range allowed {
			known = known || a == name
		}
		if !known {
			return parse.Errorf(parse.InvalidJSON, "unknown member; known are %q", allowed)
		}
	}
	return nil
}

// refused is a failure of a source or of the list of revocations, as a client reads it. An error of package credential holds no
// value and nothing that a store sent.
func refused(err error) error {
	if err == nil {
		return nil
	}
	status := http.StatusBadGateway
	if errors.Is(err, credential.Unavailable) {
		status = http.StatusServiceUnavailable
	}
	return &auth.Refusal{Status: status, Message: err.Error()}
}

// audit tells who did what from where, and how it went.
func (a *API) audit(by *auth.Caller, action, route, name string, err error, more ...slog.Attr) {
	if a.get(name) == nil {
		name = "" // of no credential: the caller's own words
	}
	key := "masterKey"
	if by.ReadOnly {
		key = "readOnlyMasterKey"
	}
	attrs := []slog.Attr{slog.String("action", action), slog.String("credential", name), slog.String("ip", by.IP.String()), slog.String("route", route), slog.String("key", key)}
	attrs = append(attrs, more...)
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	a.Log.LogAttrs(context.Background(), level, "keys", attrs...)
}

// encode turns a value of Go into one of package parse.
func encode(v any) (*parse.Map, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parse.DecodeMap(text, parse.Limits{})
}
