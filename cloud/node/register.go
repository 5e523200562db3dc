package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// Code is what the workers have registered, for [cloud.Hooks.SetLayer].
func (r *Runtime) Code() *cloud.Code { return r.code(r.pool.Load().registered()) }

// code makes cloud code of an announcement: every function and trigger runs in a worker, with its validator.
func (r *Runtime) code(list []any) *cloud.Code {
	code := &cloud.Code{Timeout: r.o.Timeout}
	for _, v := range list {
		reg := registrationOf(v)
		var validators []cloud.Validator
		if reg.limit != nil {
			validators = append(validators, cloud.Validator{RateLimit: reg.limit})
		}
		switch reg.What {
		case "function":
			code.Define(reg.Name, r.function, validators...)
		case "trigger":
			r.trigger(code, reg, validators)
		case "job":
			code.Job(reg.Name, r.job)
		case "watcher":
			code.OnLiveQueryEvent(r.liveEvent)
		}
	}
	return code
}

// Registration is one function, job or trigger that a file registers.
type Registration struct {
	// What is function, job, trigger, or watcher for onLiveQueryEvent.
	What string `json:"what"`
	// Name of a function or a job.
	Name string `json:"name,omitempty"`
	// Kind and Class of a trigger.
	Kind  cloud.Kind `json:"kind,omitempty"`
	Class string     `json:"class,omitempty"`
	// Validator names the rules of its validator, or "a function".
	Validator []string `json:"validator,omitempty"`

	limit *cloud.RateLimit
}

func (r Registration) String() string {
	var text string
	switch r.What {
	case "trigger":
		text = string(r.Kind) + " of " + r.Class
	case "watcher":
		text = "onLiveQueryEvent"
	default:
		text = r.What + " " + r.Name
	}
	if len(r.Validator) > 0 {
		text += " (" + strings.Join(r.Validator, ", ") + ")"
	}
	return text
}

func registrationOf(v any) Registration {
	m, _ := v.(*parse.Map)
	reg := Registration{What: m.String("what"), Name: m.String("name"), Kind: cloud.Kind(m.String("kind")), Class: m.String("class")}
	rules, _ := m.Get("validator").([]any)
	for _, rule := range rules {
		if name, ok := rule.(string); ok {
			reg.Validator = append(reg.Validator, name)
		}
	}
	if limit, ok := m.Get("rateLimit").(*parse.Map); ok {
		count, _ := limit.Get("requestCount").(float64)
		window, _ := limit.Get("requestTimeWindow").(float64)
		reg.limit = &cloud.RateLimit{
			Count: int(count), Window: time.Duration(window * float64(time.Millisecond)), Zone: limit.String("zone"), Message: limit.String("errorResponseMessage"),
			IncludeMaster: limit.Get("includeMasterKey") == true, IncludeInternal: limit.Get("includeInternalRequests") == true,
		}
	}
	return reg
}

// function runs a function in a worker.
func (r *Runtime) function(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
	what := "function " + req.Function
	m := r.base("function", &req.Request)
	m.Set("name", req.Function)
	m.Set("params", req.Params)
	reply, err := r.call(ctx, req.AsCaller(), what, m)
	if reply != nil { // status and headers of a failure, too
		if status, ok := reply.Get("status").(float64); ok {
			req.Status = int(status)
		}
	}
	if err != nil {
		return nil, err
	}
	if headers, ok := reply.Get("headers").(*parse.Map); ok {
		for name, v := range headers.All() {
			req.Header.Set(name, fmt.Sprint(v))
		}
	}
	result, given := reply.Lookup("result")
	if given && result == nil {
		return null{}, nil
	}
	return parse.Plain(result), nil
}

// null is the result null, which is not none.
type null struct{}

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// trigger registers a trigger.
func (r *Runtime) trigger(code *cloud.Code, reg Registration, validators []cloud.Validator) {
	code.On(reg.Kind, reg.Class, func(ctx context.Context, req any) error {
		return r.runTrigger(ctx, reg.Kind, reg.Class, req)
	}, validators...)
}

// runTrigger runs a trigger in a worker and takes over what it did.
func (r *Runtime) runTrigger(ctx context.Context, kind cloud.Kind, class string, req any) error {
	x, err := r.exchangeOf(kind, class, req)
	if err != nil {
		return err
	}
	x.message.Set("kind", string(kind))
	x.message.Set("class", class)
	reply, err := r.call(ctx, x.request.AsCaller(), string(kind)+" of "+class, x.message)
	if err != nil {
		return err
	}
	if context, ok := reply.Get("context").(*parse.Map); ok {
		x.request.Context = context
	}
	if x.take == nil {
		return nil
	}
	return x.take(reply)
}

// exchange is a trigger's request as a message, and what is done with the reply.
type exchange struct {
	message *parse.Map
	request *cloud.Request
	take    func(reply *parse.Map) error
}
