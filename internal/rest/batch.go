package rest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
)

// batchWorkers is how many requests of one batch run at once.
const batchWorkers = 8

// maxBatchRead is how many objects the finds of one batch may return together: all answers are in memory until the last is there.
const maxBatchRead = 100_000

// reading counts what the finds of one batch return.
type reading struct{ objects atomic.Int64 }

func (n *reading) admit(answer *reply) error {
	body, _ := answer.body.(*parse.Map)
	found, _ := body.Get("results").([]any)
	if len(found) > 0 && n.objects.Add(int64(len(found))) > maxBatchRead {
		return parse.Errorf(parse.ExceededQuota, "The requests of a batch may not find more than %d objects together.", maxBatchRead)
	}
	return nil
}

// item is one request of a batch, ready to run.
type item struct {
	route   *route
	request *request
}

// batch runs several requests with the rights of one (contract parse-api.md, 2.8). Answers stand in the order of the requests.
// Without a transaction the requests run concurrently and each fails alone; in a transaction they run in order, and the first
// that fails undoes all and is the answer.
func batch(ctx context.Context, s *Server, r *request) (*reply, error) {
	list, ok := r.body.Get("requests").([]any)
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "requests must be an array")
	}
	if limit := s.cfg.BatchLimit; limit > 0 && len(list) > limit && !r.caller.Privileged() {
		return nil, parse.Errorf(parse.InvalidJSON, "Batch request contains %d sub-requests, which exceeds the limit of %d.", len(list), limit)
	}
	items := make([]item, len(list))
	for i := range list {
		it, err := s.item(r, list[i])
		if err != nil {
			return nil, err
		}
		items[i] = it
	}
	for _, it := range items {
		if err := s.admitItem(it.request); err != nil {
			return nil, err
		}
	}
	var answers []any
	if r.body.Get("transaction") == true {
		for _, it := range items {
			if !it.route.ofObjects() {
				return nil, parse.Errorf(parse.InvalidJSON, "cannot run %s %s in a transaction", it.request.method, it.request.path)
			}
		}
		err := r.objects.Transact(ctx, func(ctx context.Context, tx *object.Objects) error {
			answers = make([]any, len(items))
			var read reading
			for i, it := range items {
				one := *it.request
				one.objects = tx
				one.body = it.request.body.Clone() // a transaction that is tried again begins with what the client sent
				answer, err := s.call(ctx, it.route, &one)
				if err == nil {
					err = read.admit(answer)
				}
				if err != nil {
					return err
				}
				answers[i] = success(answer)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return &reply{body: answers}, nil
	}
	answers = make([]any, len(items))
	s.concurrently(ctx, items, answers)
	return &reply{body: answers}, nil
}

// ofObjects tells whether a route works on the objects of a class and on nothing else: only those can be part of a transaction. What
// changes the schema or the config waits for the database that the transaction holds; and a login that failed has to
// be counted, whatever becomes of the transaction.
func (rt *route) ofObjects() bool {
	return slices.ContainsFunc(objectPaths, func(prefix string) bool { return rt.pattern == prefix || rt.pattern == prefix+"/:id" })
}

var objectPaths = []string{"/classes/:class", "/users", "/sessions", "/roles", "/installations", "/push_audiences"}

// concurrently runs the items on a few goroutines and waits for all of them.
func (s *Server) concurrently(ctx context.Context, items []item, answers []any) {
	next := make(chan int)
	var wg sync.WaitGroup
	var read reading
	for range min(batchWorkers, len(items)) {
		wg.Go(func() {
			for i := range next {
				answers[i] = s.runItem(ctx, items[i], &read)
			}
		})
	}
	for i := range items {
		next <- i
	}
	close(next)
	wg.Wait()
}

func (s *Server) runItem(ctx context.Context, it item, read *reading) (answer any) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Log.Error("panic in a handler", "request", it.request.logID, "route", it.route.pattern, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			answer = failure(s.errorBody(errors.New("panic")))
		}
	}()
	done, err := s.call(ctx, it.route, it.request)
	if err == nil {
		err = read.admit(done)
	}
	if err != nil {
		var perr *parse.Error
		if !errors.As(err, &perr) || perr.Err != nil || perr.Code == parse.InternalServerError {
			s.cfg.Log.Error("request of a batch failed", "request", it.request.logID, "route", it.route.pattern, "error", err.Error())
		}
		return failure(s.errorBody(err))
	}
	return success(done)
}

func success(r *reply) any {
	body := r.body
	if body == nil {
		body = r.text
	}
	return parse.NewMap("success", body)
}

func failure(body *parse.Map) any { return parse.NewMap("error", body) }

// item reads one request of a batch. What cannot be routed refuses the whole batch before anything has run.
func (s *Server) item(outer *request, v any) (item, error) {
	m := mapOf(v)
	full, ok := m.Get("path").(string)
	if !ok {
		return item{}, parse.Errorf(parse.InvalidJSON, "batch request path must be a string")
	}
	path, ok := s.batchPath(full)
	if !ok {
		return item{}, parse.Errorf(parse.InvalidJSON, "cannot route batch path %s", full)
	}
	path, rawQuery, _ := strings.Cut(path, "?")
	path = "/" + strings.Trim(path, "/")
	body := mapOf(m.Get("body"))
	method := "undefined"
	if given, ok := m.Get("method").(string); ok {
		method = given
	}
	if path == "/batch" {
		return item{}, parse.Errorf(parse.InvalidJSON, "nested batch requests are not allowed")
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return item{}, parse.Errorf(parse.InvalidJSON, "cannot route batch path %s", full)
	}
	rt, p := s.routes.find(method, path)
	if rt == nil {
		return item{}, parse.Errorf(parse.InvalidJSON, "cannot route %s %s", method, path)
	}
	return item{rt, &request{method: method, path: path, params: p, query: values, rawQuery: rawQuery, body: body,
		caller: outer.caller, objects: outer.objects, logID: outer.logID, http: outer.http}}, nil
}

// batchPath takes the mount path, or the path of one of the URLs that clients know the server by, off the path of an item.
func (s *Server) batchPath(full string) (string, bool) {
	prefixes := []string{s.cfg.MountPath}
	for _, known := range []string{s.cfg.ServerURL, s.cfg.PublicServerURL} {
		if u, err := url.Parse(known); err == nil && known != "" {
			prefixes = append(prefixes, strings.TrimRight(u.Path, "/"))
		}
	}
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(full, prefix); ok && strings.HasPrefix(rest, "/") {
			return rest, true
		}
	}
	return "", false
}

// admitItem applies to an item what applies to a request of its own: rate limits and the list of routes.
func (s *Server) admitItem(r *request) error {
	for _, l := range slices.Concat(s.limits, *s.more.Load()) {
		if _, _, err := l.apply(r); err != nil {
			var limited *rateLimited
			if errors.As(err, &limited) {
				return limited.Error100() // in a batch the refusal is an ordinary Parse error: HTTP 400
			}
			return err
		}
	}
	return s.allowRoute(r.caller, r.path)
}
