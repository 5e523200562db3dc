package node

import (
	"context"
	"fmt"
	"net/http"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// job runs a job in a worker.
func (r *Runtime) job(ctx context.Context, req *cloud.JobRequest) error {
	m := r.base("job", &req.Request)
	m.Set("name", req.Job)
	m.Set("jobId", req.ID)
	m.Set("params", req.Params)
	ctx = context.WithValue(ctx, tellKey{}, req.Message)
	reply, err := r.call(ctx, req.AsCaller(), "job "+req.Job, m)
	if err == nil {
		req.Outcome = reply.String("outcome")
	}
	return err
}

// tellKey is where the context of a job keeps what its messages go to.
type tellKey struct{}

// told handles what a job says of itself; false when the ask is another one.
func told(ctx context.Context, ask cloud.Ask) (*cloud.Answer, bool) {
	if ask.Method != "TELL" {
		return nil, false
	}
	tell, ok := ctx.Value(tellKey{}).(func(context.Context, string) error)
	if !ok {
		return &cloud.Answer{Status: http.StatusBadRequest, Body: parse.NewMap("code", float64(parse.ScriptFailed), "error", "The job has ended.")}, true
	}
	if err := tell(ctx, ask.Body.String("text")); err != nil {
		return &cloud.Answer{Status: http.StatusBadRequest, Body: parse.NewMap("code", float64(parse.ScriptFailed), "error", "The message of the job cannot be stored.")}, true
	}
	return &cloud.Answer{Status: http.StatusOK, Body: &parse.Map{}}, true
}

// service is a trigger of what is no class.
func (r *Runtime) service(kind cloud.Kind, req any) (*exchange, error) {
	switch req := req.(type) {
	case *cloud.FileRequest:
		return r.file(req), nil
	case *cloud.ConfigRequest:
		return r.config(req), nil
	case *cloud.ConnectRequest:
		m := r.base("trigger", &req.Request)
		m.Set("clients", float64(req.Clients))
		m.Set("subscriptions", float64(req.Subscriptions))
		return &exchange{message: m, request: &req.Request}, nil
	case *cloud.SubscribeRequest:
		return r.subscribe(req), nil
	case *cloud.EventRequest:
		return r.event(req), nil
	}
	return nil, parse.Errorf(parse.ScriptFailed, "Cloud code in JavaScript has no trigger %s.", kind)
}

func (r *Runtime) file(req *cloud.FileRequest) *exchange {
	m := r.base("trigger", &req.Request)
	f := parse.NewMap("name", req.File.Name, "contentType", req.File.ContentType, "url", req.File.URL, "directory", req.File.Directory)
	if req.File.Data != nil {
		f.Set("data", parse.Bytes(req.File.Data))
	}
	for name, v := range map[string]*parse.Map{"metadata": req.File.Metadata, "tags": req.File.Tags} {
		if v != nil {
			f.Set(name, v)
		}
	}
	m.Set("file", f)
	if req.Size >= 0 {
		m.Set("fileSize", float64(req.Size))
	}
	m.Set("forceDownload", req.ForceDownload)
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
		req.ForceDownload = reply.Get("forceDownload") == true
		if headers, ok := reply.Get("responseHeaders").(*parse.Map); ok {
			if req.Header == nil {
				req.Header = http.Header{}
			}
			for name, v := range headers.All() {
				req.Header.Set(name, fmt.Sprint(v))
			}
		}
		f, ok := reply.Get("file").(*parse.Map)
		if !ok {
			return nil
		}
		changed := *req.File
		changed.Name, changed.URL = f.String("name"), f.String("url")
		if v := f.String("contentType"); v != "" {
			changed.ContentType = v
		}
		if v, ok := f.Get("directory").(string); ok {
			changed.Directory = v
		}
		if data, ok := f.Get("data").(parse.Bytes); ok {
			changed.Data = data
		}
		changed.Metadata, _ = f.Get("metadata").(*parse.Map)
		changed.Tags, _ = f.Get("tags").(*parse.Map)
		req.File = &changed
		return nil
	}}
}

func (r *Runtime) config(req *cloud.ConfigRequest) *exchange {
	m := r.base("trigger", &req.Request)
	m.Set("params", req.Params)
	if req.Original != nil {
		m.Set("original", req.Original)
	}
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
		changes, _ := reply.Get("changes").(*parse.Map)
		for name, v := range changes.All() {
			req.Params.Set(name, v)
		}
		return nil
	}}
}

func (r *Runtime) subscribe(req *cloud.SubscribeRequest) *exchange {
	m := r.base("trigger", &req.Request)
	q := queryOf(req.Query)
	m.Set("query", q)
	m.Set("watch", req.Watch)
	m.Set("clients", float64(req.Clients))
	m.Set("subscriptions", float64(req.Subscriptions))
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
		changed, ok := reply.Get("query").(*parse.Map)
		if !ok {
			return nil
		}
		made := &query.Find{ClassName: req.Query.ClassName, Limit: req.Query.Limit}
		if err := takeQuery(made, changed); err != nil {
			return err
		}
		req.Query.Where, req.Query.Keys = made.Where, made.Keys
		return nil
	}}
}

func (r *Runtime) event(req *cloud.EventRequest) *exchange {
	m := r.base("trigger", &req.Request)
	m.Set("event", req.Event)
	m.Set("object", req.Object)
	if req.Original != nil {
		m.Set("original", req.Original)
	}
	m.Set("clients", float64(req.Clients))
	m.Set("subscriptions", float64(req.Subscriptions))
	return &exchange{message: m, request: &req.Request, take: func(reply *parse.Map) error {
		req.Send = reply.Get("sendEvent") != false
		for name, to := range map[string]**parse.Object{"object": &req.Object, "original": &req.Original} {
			if object, ok := reply.Get(name).(*parse.Object); ok {
				*to = object
			}
		}
		return nil
	}}
}

// liveEvent tells the workers of what happens to a connection of live queries.
func (r *Runtime) liveEvent(ctx context.Context, req *cloud.LiveEventRequest) error {
	m := r.base("watcher", &req.Request)
	m.Set("event", req.Event)
	m.Set("client", req.Client)
	m.Set("clients", float64(req.Clients))
	m.Set("subscriptions", float64(req.Subscriptions))
	if req.Err != nil {
		m.Set("error", req.Err.Error())
	}
	_, err := r.call(ctx, req.AsCaller(), "onLiveQueryEvent", m)
	return err
}
