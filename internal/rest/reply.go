package rest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/storage"
)

// reply is the answer of a handler.
type reply struct {
	status   int    // 0 means 200
	body     any    // a value of package parse; nil means an empty body
	location string // below the mount path
	headers  map[string]string
	// text, with its content type, is sent in place of body.
	text, contentType string
}

// empty is the answer {}.
func empty() *reply { return &reply{body: &parse.Map{}} }

// results is the answer {"results":[…]}.
func results(items []any) *reply {
	if items == nil {
		items = []any{}
	}
	return &reply{body: parse.NewMap("results", items)}
}

func (x *exchange) send(r *reply) {
	h := x.w.Header()
	if r.location != "" {
		h.Set("Location", x.server.mountURL(x.r)+r.location)
	}
	for name, value := range r.headers {
		h.Set(name, value)
	}
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	if r.text != "" {
		h.Set("Content-Type", r.contentType)
		x.write(status, []byte(r.text))
		return
	}
	if r.body == nil {
		x.write(status, nil)
		return
	}
	x.json(status, r.body)
}

// buffers are what answers are encoded in: net/http copies what it is given. A large one is not kept for small ones.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

const largeBuffer = 64 << 10

func (x *exchange) json(status int, body any) {
	x.w.Header()["Content-Type"] = jsonType
	b := buffers.Get().(*[]byte)
	*b = parse.AppendJSON((*b)[:0], body)
	x.write(status, *b)
	if cap(*b) <= largeBuffer {
		buffers.Put(b)
	}
}

var jsonType = []string{"application/json; charset=utf-8"}

func (x *exchange) text(status int, text string) {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.write(status, []byte(text))
}

func (x *exchange) write(status int, body []byte) {
	if x.status != 0 { // a panic after the answer began: nothing can be added to it
		return
	}
	x.status = status
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	x.w.Write(body) // a client that is gone does not want to know
}

// noRoute is the answer to a method and path that no route takes.
func (x *exchange) noRoute(method, path string) {
	h := x.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "text/html; charset=utf-8")
	x.write(http.StatusNotFound, fmt.Appendf(nil, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n<body>\n<pre>Cannot %s %s</pre>\n</body>\n</html>\n",
		html.EscapeString(method), html.EscapeString(path)))
}

// fail is the one encoder of errors of a whole request.
func (x *exchange) fail(err error) {
	var refusal *auth.Refusal
	var limited *rateLimited
	switch {
	case errors.As(err, &refusal):
		if refusal.RetryAfter > 0 {
			x.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
		}
		x.json(refusal.Status, x.server.errorBody(refusal))
		return
	case errors.As(err, &limited):
		x.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(limited.after.Seconds()))))
		x.json(http.StatusTooManyRequests, x.server.errorBody(limited.Error100()))
		return
	}
	var perr *parse.Error
	if !errors.As(err, &perr) && errors.Is(err, context.DeadlineExceeded) {
		err = &parse.Error{Code: parse.Timeout, Message: "The request was not completed in time.", Err: err}
	}
	if errors.As(err, &perr) {
		switch {
		case perr.Code == parse.InternalServerError || perr.Code == parse.Timeout:
			x.log(err)
		case perr.Reason != "" || perr.Err != nil: // what a client does wrong is no error of the server
			x.server.cfg.Log.Info("request refused", "request", x.id, "route", x.route, "reason", perr.Error())
		}
		status := perr.Code.HTTPStatus()
		if errors.Is(err, storage.ErrBusy) {
			status = x.busy()
		}
		x.json(status, x.server.errorBody(perr))
		return
	}
	if errors.Is(err, storage.ErrBusy) { // of something that is looked up before the request is
		x.log(err)
		x.json(x.busy(), parse.NewMap("code", float64(parse.InternalServerError), "error", "The database is busy. Try again later."))
		return
	}
	if errors.Is(err, context.Canceled) && x.r.Context().Err() != nil {
		x.status = 499 // the client is gone: nobody reads an answer
		return
	}
	x.log(err)
	x.internal()
}

// busy tells the client when to come back, and returns the status that says so: all connections to the database were in use.
func (x *exchange) busy() int {
	x.w.Header().Set("Retry-After", "1")
	return http.StatusServiceUnavailable
}

// errorBody is the error as a client reads it, alone or as an item of a batch.
func (s *Server) errorBody(err error) *parse.Map {
	var perr *parse.Error
	if errors.As(err, &perr) {
		text := perr.Message
		if s.cfg.VerboseErrors && perr.Reason != "" {
			text = perr.Reason
		}
		if perr.Value != nil {
			return parse.NewMap("code", float64(perr.Code), "error", perr.Value)
		}
		return parse.NewMap("code", float64(perr.Code), "error", text)
	}
	var limited *rateLimited
	if errors.As(err, &limited) {
		return s.errorBody(limited.Error100())
	}
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		text := refusal.Message
		if s.cfg.VerboseErrors && refusal.Reason != "" {
			text = refusal.Reason
		}
		return parse.NewMap("error", text)
	}
	return parse.NewMap("code", float64(parse.InternalServerError), "error", "Internal server error.")
}

// internal is the answer to what should not have happened. Its text is in the log only.
func (x *exchange) internal() {
	x.json(http.StatusInternalServerError, parse.NewMap("code", 1.0, "message", "Internal server error."))
}

func (x *exchange) log(err error) {
	x.server.cfg.Log.Error("request failed", "request", x.id, "route", x.route, "error", err.Error())
}

func (x *exchange) panicked(v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	x.server.cfg.Log.Error("panic in a handler", "request", x.id, "route", x.route, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	x.internal()
}
