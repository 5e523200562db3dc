package webhook

import (
	"bytes"
	"context"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// answered is what a hook answered: {"success": value}, or nothing at all.
type answered struct {
	value any
	given bool
}

// limits of an answer. Its size is bounded before.
var limits = parse.Limits{}

// read reads the body of an answer. {"error": …} is an error; whatever is no JSON object is malformed, code -1. An empty one says
// nothing and is no error.
func read(body []byte) (answered, error) {
	if len(body) == 0 {
		return answered{}, nil
	}
	m, err := parse.DecodeMap(body, limits)
	if err != nil {
		return answered{}, malformed()
	}
	if failure := m.Get("error"); parse.Truthy(failure) {
		return answered{}, failed(failure)
	}
	value, given := m.Lookup("success")
	return answered{value, given}, nil
}

func malformed() *parse.Error { return parse.Errorf(parse.OtherCause, "Malformed response") }

// failed is the error that a hook told. Parse Server hands on an object as it is, unless it has a message.
func failed(failure any) error {
	if text, ok := failure.(string); ok {
		return &parse.Error{Code: parse.ScriptFailed, Message: text}
	}
	if m, ok := failure.(*parse.Map); ok && m.String("message") != "" {
		return &parse.Error{Code: parse.ScriptFailed, Message: m.String("message")}
	}
	return &parse.Error{Code: parse.ScriptFailed, Message: "the webhook failed with a value", Value: parse.Plain(failure)}
}

// register makes a hook part of the cloud code.
func (s *Service) register(code *cloud.Code, hook Hook, to target) {
	if hook.Function != "" {
		code.Define(hook.Function, func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
			got, err := s.call(ctx, hook, to, functionPayload(req))
			if err != nil {
				return nil, err
			}
			if got.given && got.value == nil {
				return cloud.Null, nil
			}
			return parse.Plain(got.value), nil
		})
		return
	}
	code.On(hook.Trigger, hook.Class, func(ctx context.Context, req any) error {
		got, err := s.call(ctx, hook, to, triggerPayload(hook.Trigger, req))
		if err != nil {
			return err
		}
		return apply(hook.Trigger, req, got)
	})
}

// kept are the members of an object that no hook changes.
func kept(name string) bool {
	switch name {
	case "objectId", "createdAt", "updatedAt", "className", "__type":
		return true
	}
	return false
}

// apply does to a request what the answer says: beforeSave, afterSave and afterFind may change something, and nothing else does.
func apply(kind cloud.Kind, req any, got answered) error {
	switch req := req.(type) {
	case *cloud.SaveRequest:
		m, ok := got.value.(*parse.Map)
		if object, is := got.value.(*parse.Object); is { // a hook may write "__type":"Object" into what it was sent
			m, ok = &object.Map, true
		}
		if !ok || m.Len() == 0 {
			return nil
		}
		if kind == cloud.AfterSave {
			req.Answer = m
			return nil
		}
		replace(req, m)
		for name, v := range m.All() {
			if !kept(name) {
				set(req.Object, name, v)
			}
		}
	case *cloud.FoundRequest:
		list, ok := got.value.([]any)
		if !ok {
			return nil
		}
		return found(req, list)
	}
	return nil
}

// set sets a field to a value or an operator. What the hook was sent it sends back: that is no change.
func set(o *parse.Object, name string, v any) {
	if _, gone := v.(parse.Delete); gone {
		o.Delete(name)
		return
	}
	if before, had := o.Lookup(name); had && bytes.Equal(parse.Marshal(before), parse.Marshal(v)) {
		return
	}
	o.Set(name, v)
}

// replace undoes what the client wants of fields that the answer leaves out: the answer is what is saved.
func replace(req *cloud.SaveRequest, m *parse.Map) {
	for _, name := range req.Given {
		if m.Has(name) || kept(name) {
			continue
		}
		if req.Original != nil && req.Original.Has(name) {
			req.Object.Set(name, parse.Clone(req.Original.Get(name)))
		} else {
			req.Object.Delete(name)
		}
	}
}

// found makes a list of objects the result of a read.
func found(req *cloud.FoundRequest, list []any) error {
	objects := make([]*parse.Object, 0, len(list))
	for _, v := range list {
		var object *parse.Object
		switch v := v.(type) {
		case *parse.Object:
			object = v
		case *parse.Map:
			object = &parse.Object{ClassName: v.String("className"), Map: *v.Clone()}
		default:
			return malformed()
		}
		object.Delete("className")
		if object.ClassName == "" && req.Query != nil {
			object.ClassName = req.Query.ClassName
		}
		for _, name := range []string{"createdAt", "updatedAt"} {
			if text, ok := object.Get(name).(string); ok {
				if date, ok := parse.ParseDate(text); ok {
					object.Set(name, date)
				}
			}
		}
		objects = append(objects, object)
	}
	req.Objects = objects
	return nil
}
