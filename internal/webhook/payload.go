package webhook

import (
	"net/http"
	"slices"
	"strings"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// The payloads are those of Parse Server, member by member. What a request was allowed by (keys, cookies, the session token in
// its headers) is not among them; see [cloud.Request] for what the headers are without. The one secret is the session token of a user that is
// logged in, as Parse Server sends it: a hook needs it to ask the server as this user.

func functionPayload(req *cloud.FunctionRequest) *parse.Map {
	m := parse.NewMap("params", req.Params)
	about(m, &req.Request)
	m.Set("functionName", req.Function)
	m.Set("context", req.Context)
	return m
}

// triggerPayload is what is sent of a request of any trigger.
func triggerPayload(kind cloud.Kind, req any) *parse.Map {
	m := parse.NewMap("triggerName", string(kind))
	var base *cloud.Request
	switch req := req.(type) {
	case *cloud.SaveRequest:
		base = &req.Request
		m.Set("object", whole(req.Object))
		if req.Original != nil {
			m.Set("original", whole(req.Original))
		}
	case *cloud.DeleteRequest:
		base = &req.Request
		m.Set("object", whole(req.Object))
	case *cloud.LoginRequest:
		base = &req.Request
		m.Set("object", whole(req.Object))
	case *cloud.LogoutRequest:
		base = &req.Request
		m.Set("object", whole(req.Object))
	case *cloud.PasswordResetRequest:
		base = &req.Request
		m.Set("object", whole(req.Object))
	case *cloud.FindRequest:
		base = &req.Request
		m.Set("query", queryJSON(req.Query))
		m.Set("count", req.Count)
		m.Set("isGet", req.Get)
	case *cloud.FoundRequest:
		base = &req.Request
		objects := make([]any, len(req.Objects))
		for i, object := range req.Objects {
			objects[i] = whole(object)
		}
		m.Set("isGet", req.Get)
		m.Set("query", queryJSON(req.Query))
		m.Set("objects", objects)
	case *cloud.ConfigRequest:
		base = &req.Request
		m.Set("object", named(req.Params, cloud.ConfigClass))
		if req.Original != nil {
			m.Set("original", named(req.Original, cloud.ConfigClass))
		}
	case *cloud.FileRequest:
		base = &req.Request
		m.Set("file", fileJSON(req.File))
		m.Set("fileSize", float64(req.Size))
	case *cloud.ConnectRequest:
		base = &req.Request
		numbers(m, req.Clients, req.Subscriptions)
	case *cloud.SubscribeRequest:
		base = &req.Request
		m.Set("query", queryJSON(req.Query))
		numbers(m, req.Clients, req.Subscriptions)
	case *cloud.EventRequest:
		base = &req.Request
		m.Set("event", req.Event)
		if req.Object != nil {
			m.Set("object", whole(req.Object))
		}
		if req.Original != nil {
			m.Set("original", whole(req.Original))
		}
		numbers(m, req.Clients, req.Subscriptions)
	}
	about(m, base)
	m.Set("context", base.Context)
	return m
}

// about adds who asks.
func about(m *parse.Map, r *cloud.Request) {
	m.Set("master", r.Master)
	m.Set("isReadOnly", r.ReadOnly)
	if r.User != nil {
		user := bare(r.User)
		if r.SessionToken.Len() > 0 {
			user.Set("sessionToken", string(r.SessionToken.Reveal()))
		}
		m.Set("user", user)
	}
	if r.InstallationID != "" {
		m.Set("installationId", r.InstallationID)
	}
	m.Set("log", &parse.Map{})
	m.Set("headers", headers(r.Headers))
	if r.IP.IsValid() {
		m.Set("ip", r.IP.String())
	}
}

// headers are those of a request as Node.js has them: names in lower case, one text each.
func headers(h http.Header) *parse.Map {
	m := &parse.Map{}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m.Set(strings.ToLower(name), strings.Join(h[name], ", "))
	}
	return m
}

// bare is an object without its class: dates of its own as text, as objects are written everywhere.
func bare(o *parse.Object) *parse.Map {
	m := &parse.Map{}
	for name, v := range o.All() {
		if date, ok := v.(parse.Date); ok && (name == "createdAt" || name == "updatedAt") {
			v = date.String()
		}
		m.Set(name, v)
	}
	return m
}

func whole(o *parse.Object) *parse.Map {
	if o == nil {
		return nil
	}
	return named(bare(o), o.ClassName)
}

func named(m *parse.Map, class string) *parse.Map {
	m = m.Clone()
	m.Set("className", class)
	return m
}

func numbers(m *parse.Map, clients, subscriptions int) {
	m.Set("clients", float64(clients))
	m.Set("subscriptions", float64(subscriptions))
}

func fileJSON(f *cloud.File) *parse.Map {
	if f == nil {
		return nil
	}
	m := parse.NewMap("__type", "File", "name", f.Name)
	for _, member := range []struct{ name, text string }{{"url", f.URL}, {"contentType", f.ContentType}, {"directory", f.Directory}} {
		if member.text != "" {
			m.Set(member.name, member.text)
		}
	}
	if f.Metadata != nil {
		m.Set("metadata", f.Metadata)
	}
	if f.Tags != nil {
		m.Set("tags", f.Tags)
	}
	return m
}

// queryJSON is a query with the parameters of the REST API.
func queryJSON(q *query.Find) *parse.Map {
	if q == nil {
		return nil
	}
	m := parse.NewMap("where", &parse.Map{})
	if q.Where != nil {
		m.Set("where", query.ToMap(q.Where))
	}
	if q.Limit >= 0 {
		m.Set("limit", float64(q.Limit))
	}
	if q.Skip > 0 {
		m.Set("skip", float64(q.Skip))
	}
	list := func(name string, texts []string) {
		if len(texts) > 0 {
			m.Set(name, strings.Join(texts, ","))
		}
	}
	list("keys", q.Keys)
	list("excludeKeys", q.ExcludeKeys)
	var include, order []string
	for _, path := range q.Include {
		include = append(include, strings.Join(path, "."))
	}
	list("include", include)
	for _, key := range q.Order {
		if key.Descending {
			order = append(order, "-"+key.Key)
		} else {
			order = append(order, key.Key)
		}
	}
	list("order", order)
	return m
}
