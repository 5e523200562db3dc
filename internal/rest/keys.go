package rest

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/keysapi"
	"github.com/parley-backend/parley/parse"
)

// keyRoutes are Parley's own: what docs/keys-api.md describes. They are served when Config.KeysAPI is set.
var keyRoutes = []route{
	{http.MethodGet, "/keys", masterKey, keyStatus, false},
	{http.MethodPost, "/keys/:name/refresh", masterWrite, keyAction((*keysapi.API).Refresh), false},
	{http.MethodPost, "/keys/:name/revoke", masterWrite, keyAction((*keysapi.API).Revoke), false},
	{http.MethodPost, "/keys/:name/rotate", masterWrite, keyAction((*keysapi.API).Rotate), false},
}

// neverKept keeps answers about keys out of every cache on the way.
var neverKept = map[string]string{"Cache-Control": "no-store"}

func keyStatus(ctx context.Context, s *Server, r *request) (*reply, error) {
	body, err := s.cfg.KeysAPI.Status(ctx, r.caller)
	if err != nil {
		return nil, err
	}
	return &reply{body: body, headers: neverKept}, nil
}

// keyAction is the handler of what is done with one key.
func keyAction(do func(*keysapi.API, context.Context, *auth.Caller, string, *parse.Map) (*parse.Map, error)) handler {
	return func(ctx context.Context, s *Server, r *request) (*reply, error) {
		body, err := do(s.cfg.KeysAPI, ctx, r.caller, r.params.get("name"), r.body)
		if err != nil {
			return nil, err
		}
		return &reply{body: body, headers: neverKept}, nil
	}
}
