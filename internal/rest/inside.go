package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
)

// Inside answers a request that cloud code makes in process: through the table of routes, with the rights of the caller, and without what
// is there for those outside (rate limits, the list of routes, the keys of the application). objects is where the work is done: in
// the transaction that the code is part of, if there is one.
func (s *Server) Inside(ctx context.Context, objects *object.Objects, caller *auth.Caller, ask cloud.Ask) (answer *cloud.Answer) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Log.Error("panic in a handler", "cloud", ask.Method+" "+ask.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			answer = s.inside(errors.New("panic"))
		}
	}()
	done, err := s.insideReply(ctx, objects, caller, ask)
	if err != nil {
		return s.inside(err)
	}
	answer = &cloud.Answer{Status: done.status, Header: http.Header{}, Body: done.body}
	if answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	if done.text != "" {
		answer.Body = done.text
	}
	for name, value := range done.headers {
		answer.Header.Set(name, value)
	}
	return answer
}

func (s *Server) insideReply(ctx context.Context, objects *object.Objects, caller *auth.Caller, ask cloud.Ask) (*reply, error) {
	path, rawQuery, _ := strings.Cut(ask.Path, "?")
	if below, ok := s.batchPath(path); ok && s.cfg.MountPath != "" {
		path = below // the SDK may name the server in front of it
	}
	path = "/" + strings.Trim(path, "/")
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, parse.Errorf(parse.InvalidJSON, "cannot route %s %s", ask.Method, path)
	}
	rt, p := s.routes.find(ask.Method, path)
	if rt == nil {
		return nil, parse.Errorf(parse.InvalidJSON, "cannot route %s %s", ask.Method, path)
	}
	body := ask.Body
	if body == nil {
		body = &parse.Map{}
	}
	r := &request{
		method: ask.Method, path: path, params: p, query: values, rawQuery: rawQuery, body: body, caller: caller, objects: objects, logID: "cloud",
		http: (&http.Request{Method: ask.Method, URL: &url.URL{Path: s.cfg.MountPath + path, RawQuery: rawQuery}, Header: http.Header{}, Body: http.NoBody, Host: "localhost"}).WithContext(ctx),
	}
	if path == "/login" {
		caller.SessionToken = "" // who logs in is not who was logged in
	}
	if !caller.Privileged() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.ClientTimeout)
		defer cancel()
	}
	if err := s.resolveUser(ctx, r); err != nil {
		return nil, err
	}
	return s.call(ctx, rt, r)
}

// inside is an error as an answer, logged as one over HTTP is.
func (s *Server) inside(err error) *cloud.Answer {
	status := http.StatusInternalServerError
	var perr *parse.Error
	var refusal *auth.Refusal
	switch {
	case errors.As(err, &perr):
		status = perr.Code.HTTPStatus()
	case errors.As(err, &refusal):
		status = refusal.Status
	}
	if status >= http.StatusInternalServerError && !object.RunsAgain(err) {
		s.cfg.Log.Error("a request of cloud code failed", "error", err.Error())
	}
	return &cloud.Answer{Status: status, Header: http.Header{}, Body: s.errorBody(err)}
}
