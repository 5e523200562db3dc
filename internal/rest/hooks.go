package rest

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/webhook"
)

// hookRoutes declare webhooks (contract parse-api.md, 1.5). Either POST takes both forms.
var hookRoutes = []route{
	{http.MethodGet, "/hooks/functions", masterKey, listHooks((*webhook.Service).Functions), false},
	{http.MethodGet, "/hooks/functions/:name", masterKey, getHook, false},
	{http.MethodPost, "/hooks/functions", masterWrite, createHook, false},
	{http.MethodPut, "/hooks/functions/:name", masterWrite, putHook, false},
	{http.MethodGet, "/hooks/triggers", masterKey, listHooks((*webhook.Service).Triggers), false},
	{http.MethodGet, "/hooks/triggers/:class/:trigger", masterKey, getHook, false},
	{http.MethodPost, "/hooks/triggers", masterWrite, createHook, false},
	{http.MethodPut, "/hooks/triggers/:class/:trigger", masterWrite, putHook, false},
}

func listHooks(list func(*webhook.Service, context.Context) ([]webhook.Hook, error)) handler {
	return func(ctx context.Context, s *Server, _ *request) (*reply, error) {
		hooks, err := list(s.cfg.Webhooks, ctx)
		if err != nil {
			return nil, err
		}
		body := make([]any, len(hooks))
		for i := range hooks {
			body[i] = hooks[i].JSON()
		}
		return &reply{body: body}, nil
	}
}

// hook is the hook that a path names.
func (r *request) hook() webhook.Hook {
	return webhook.Hook{Function: r.params.get("name"), Class: r.params.get("class"), Trigger: cloud.Kind(r.params.get("trigger")), URL: r.body.String("url")}
}

func getHook(ctx context.Context, s *Server, r *request) (*reply, error) {
	hook, err := s.cfg.Webhooks.Get(ctx, r.hook())
	if err != nil {
		return nil, err
	}
	return &reply{body: hook.JSON()}, nil
}

func createHook(ctx context.Context, s *Server, r *request) (*reply, error) {
	hook := webhook.Hook{Function: r.body.String("functionName"), URL: r.body.String("url")}
	if hook.Function == "" {
		hook.Class, hook.Trigger = r.body.String("className"), cloud.Kind(r.body.String("triggerName"))
	}
	if err := s.cfg.Webhooks.Create(ctx, hook); err != nil {
		return nil, err
	}
	return &reply{body: hook.JSON()}, nil
}

// putHook changes the URL of a hook, or deletes it: {"__op":"Delete"}.
func putHook(ctx context.Context, s *Server, r *request) (*reply, error) {
	hook := r.hook()
	if r.body.Get("__op") == "Delete" {
		if err := s.cfg.Webhooks.Delete(ctx, hook); err != nil {
			return nil, err
		}
		return empty(), nil
	}
	if err := s.cfg.Webhooks.Update(ctx, hook); err != nil {
		return nil, err
	}
	return &reply{body: hook.JSON()}, nil
}
