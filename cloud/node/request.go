package node

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// base is the part of a message that all calls have.
func (r *Runtime) base(call string, req *cloud.Request) *parse.Map {
	m := parse.NewMap("call", call, "context", req.Context, "ip", req.IP.String(), "headers", headersOf(req.Headers))
	if req.User != nil {
		m.Set("user", req.User)
	}
	for name, text := range map[string]string{"sessionToken": string(req.SessionToken.Reveal()), "installationId": req.InstallationID} {
		if text != "" {
			m.Set(name, text)
		}
	}
	for name, set := range map[string]bool{"master": req.Master, "readOnly": req.ReadOnly} {
		if set {
			m.Set(name, true)
		}
	}
	if len(req.Roles) > 0 {
		m.Set("roles", req.Roles)
	}
	return m
}

// headersOf writes headers as Node has them: names in lower case, several values as one text.
func headersOf(h http.Header) *parse.Map {
	m := &parse.Map{}
	for name, values := range h {
		m.Set(strings.ToLower(name), strings.Join(values, ", "))
	}
	return m
}

// exchangeOf makes the message of a trigger.
func (r *Runtime) exchangeOf(kind cloud.Kind, class string, req any) (*exchange, error) {
	switch req := req.(type) {
	case *cloud.SaveRequest:
		return r.save(kind, req), nil
	case *cloud.DeleteRequest:
		return r.looking(&req.Request, req.Object), nil
	case *cloud.LoginRequest:
		return r.looking(&req.Request, req.Object), nil
	case *cloud.LogoutRequest:
		return r.looking(&req.Request, req.Object), nil
	case *cloud.PasswordResetRequest:
		return r.looking(&req.Request, req.Object), nil
	case *cloud.FindRequest:
		return r.find(req), nil
	case *cloud.FoundRequest:
		return r.found(req), nil
	}
	return r.service(kind, req)
}

// looking is a trigger that looks at an object and says yes or no.
func (r *Runtime) looking(request *cloud.Request, object *parse.Object) *exchange {
	m := r.base("trigger", request)
	m.Set("object", object)
	return &exchange{message: m, request: request}
}

// save is a beforeSave or an afterSave. The worker gets what is stored and what the client writes, so that the SDK knows what is dirty, and
// says which of the writes are others now.
func (r *Runtime) save(kind cloud.Kind, req *cloud.SaveRequest) *exchange {
	m := r.base("trigger", &req.Request)
	if req.Original != nil {
		m.Set("original", req.Original)
	}
	if kind == cloud.BeforeSave {
		m.Set("writes", req.Writes)
		return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
			changes, _ := reply.Get("changes").(*parse.Map)
			for name, v := range changes.All() {
				req.Replace(name, v)
			}
			withdrawn, _ := reply.Get("withdrawn").([]any)
			for _, v := range withdrawn {
				if name, ok := v.(string); ok {
					req.Withdraw(name)
				}
			}
			return nil
		}}
	}
	m.Set("object", req.Object)
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
		if answer, ok := reply.Get("answer").(*parse.Map); ok {
			req.Answer = answer
			return nil
		}
		changes, _ := reply.Get("changes").(*parse.Map)
		for name, v := range changes.All() {
			if _, gone := v.(parse.Delete); gone {
				req.Object.Delete(name)
			} else {
				req.Object.Set(name, parse.Plain(v))
			}
		}
		return nil
	}}
}

// find is a beforeFind.
func (r *Runtime) find(req *cloud.FindRequest) *exchange {
	m := r.base("trigger", &req.Request)
	asked := queryOf(req.Query)
	if req.Get {
		asked.Delete("limit") // nobody asked for it
	}
	m.Set("query", asked)
	m.Set("get", req.Get)
	m.Set("count", req.Count)
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
		if changed, ok := reply.Get("query").(*parse.Map); ok {
			if err := takeQuery(req.Query, changed); err != nil {
				return err
			}
		}
		if _, given := reply.Lookup("objects"); given {
			var err error
			req.Objects, err = objectsOf(reply)
			return err
		}
		return nil
	}}
}

// found is an afterFind.
func (r *Runtime) found(req *cloud.FoundRequest) *exchange {
	m := r.base("trigger", &req.Request)
	m.Set("query", queryOf(req.Query))
	m.Set("get", req.Get)
	objects := make([]any, len(req.Objects))
	for i, object := range req.Objects {
		objects[i] = object
	}
	m.Set("objects", objects)
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) (err error) {
		req.Objects, err = objectsOf(reply)
		return err
	}}
}

func objectsOf(reply *parse.Map) ([]*parse.Object, error) {
	list, _ := reply.Get("objects").([]any)
	objects := make([]*parse.Object, 0, len(list))
	for _, v := range list {
		object, ok := v.(*parse.Object)
		if !ok {
			return nil, parse.Errorf(parse.ScriptFailed, "The trigger returned what is no object.")
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// queryOf is a query as Parse.Query.withJSON reads it.
func queryOf(q *query.Find) *parse.Map {
	m := parse.NewMap("where", query.ToMap(q.Where))
	text := func(name string, parts []string) {
		if len(parts) > 0 {
			m.Set(name, strings.Join(parts, ","))
		}
	}
	include := make([]string, len(q.Include))
	for i, path := range q.Include {
		include[i] = strings.Join(path, ".")
	}
	if q.IncludeAll {
		include = append(include, "*")
	}
	text("include", include)
	text("keys", q.Keys)
	text("excludeKeys", q.ExcludeKeys)
	order := make([]string, len(q.Order))
	for i, o := range q.Order {
		if order[i] = o.Key; o.Descending {
			order[i] = "-" + o.Key
		}
	}
	text("order", order)
	if q.Limit >= 0 {
		m.Set("limit", float64(q.Limit))
	}
	if q.Skip > 0 {
		m.Set("skip", float64(q.Skip))
	}
	for name, v := range map[string]string{
		"readPreference": q.ReadPreference, "includeReadPreference": q.IncludeReadPreference, "subqueryReadPreference": q.SubqueryReadPreference, "comment": q.Comment,
	} {
		if v != "" {
			m.Set(name, v)
		}
	}
	if q.Hint != nil {
		m.Set("hint", q.Hint)
	}
	if q.Explain {
		m.Set("explain", true)
	}
	return m
}

// takeQuery changes a query to what the code made of it. What it may not change (the class, whether it counts) stays.
func takeQuery(q *query.Find, changed *parse.Map) error {
	asked := parse.NewMap()
	for _, name := range []string{
		"where", "order", "limit", "skip", "keys", "excludeKeys", "include", "readPreference", "includeReadPreference", "subqueryReadPreference", "hint", "comment",
	} {
		if v, ok := changed.Lookup(name); ok {
			asked.Set(name, v)
		}
	}
	made, err := query.ParseFind(asked, query.Options{Privileged: true})
	if err != nil {
		return fmt.Errorf("the query that the trigger has made: %w", err)
	}
	if !changed.Has("limit") {
		made.Limit = q.Limit
	}
	made.ClassName, made.Count, made.Explain, made.Verbosity, made.RedirectClassNameForKey = q.ClassName, q.Count, q.Explain, q.Verbosity, q.RedirectClassNameForKey
	*q = *made
	return nil
}

// failureOf is the error that a reply tells of, nil when it does not.
func failureOf(reply *parse.Map) error {
	if reply.Get("failed") != true {
		return nil
	}
	code, _ := reply.Get("code").(float64)
	failure := &parse.Error{Code: parse.Code(code)}
	var text bool
	if failure.Message, text = reply.Get("message").(string); !text {
		failure.Value = parse.Plain(reply.Get("message"))
		failure.Message = string(parse.Marshal(failure.Value))
	}
	return failure
}
